"""Whether a consent of another controller is proven to hold, read where a release is decided.

A proof ends at two moments, whichever comes first: one by the wall clock, one by the time since the
machine's start. So a clock that is set back extends nothing, and one that is set forward, or a
machine that slept, only shortens. A proof of another start of the machine proves nothing.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from audit.database import Connection
from node.consents.elapsed import Elapsed, Instant, elapsed
from node.storage import statuses
from node.storage.statuses import Proven


class Kept(Protocol):
    """A consent as it is kept here; `consent.policy.Terms` is one."""

    @property
    def controller(self) -> str:
        """Member id of the consent node."""
        ...

    @property
    def consent_hash(self) -> bytes:
        """Hash of the version, 32 bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Fresh:
    """What is proven in one transaction.

    Attributes:
        member_id: this node.
        until_ms: by controller, for how long its list proves anything, UTC milliseconds.
        doubted: hashes of versions that the lists do not call valid.
    """

    member_id: str
    until_ms: Mapping[str, int]
    doubted: Collection[bytes]

    def proof(self, terms: Kept | None) -> int | None:
        """`ReleaseFacts.status_proof_until_ms` of a consent; 0: nothing proves it."""
        if terms is None:
            return 0
        if terms.controller == self.member_id:
            return None
        if terms.consent_hash in self.doubted:
            return 0
        return self.until_ms.get(terms.controller, 0)


UNPROVEN = Fresh("", {}, ())
"""Nothing was asked, so nothing is proven."""


class Freshness:
    """Reads proofs; stateless but for its clock."""

    def __init__(self, member_id: str, now: Elapsed = elapsed) -> None:
        """Read for member `member_id`.

        Args:
            member_id: this node, which needs no proof of its own consents.
            now: the time since the machine's start.
        """
        self._member_id = member_id
        self._now = now

    def read(self, connection: Connection, terms: Collection[Kept], now_ms: int) -> Fresh:
        """What is proven of these consents.

        Args:
            connection: of the transaction that decides.
            terms: the consents.
            now_ms: what the decision takes for now, UTC milliseconds.
        """
        wanted = {one.controller for one in terms} - {self._member_id}
        if not wanted:
            return Fresh(self._member_id, {}, ())
        found = statuses.proven(connection, wanted)
        now = self._now()
        until_ms = {one.controller: _until_ms(one, now, now_ms) for one in found}
        doubtful = {one.controller for one in found if one.doubts}
        if not doubtful:
            return Fresh(self._member_id, until_ms, ())
        doubted = statuses.doubted(
            connection, [one.consent_hash for one in terms if one.controller in doubtful]
        )
        return Fresh(self._member_id, until_ms, doubted)


def _until_ms(proof: Proven, now: Instant, now_ms: int) -> int:
    if proof.boot_id != now.boot_id:
        return 0
    return min(proof.until_ms, now_ms + proof.until_elapsed_ms - now.ms)
