"""What this node may do itself under a consent, as recipient, read from the consents it keeps."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from audit.database import Connection
from consent.policy import Refusal, ReleaseFacts
from consent.refusals import refusal_error
from node.consents.freshness import Freshness
from node.storage import consents, marks
from node.storage.marks import NO_MARKS
from protocols.directory import Directory


@dataclass(frozen=True, slots=True)
class Use:
    """One use by this node.

    Attributes:
        consent_id: the consent that the use names.
        pseudonym: the person it is about.
        purpose: what it is for.
    """

    consent_id: str
    pseudonym: bytes
    purpose: str


class OwnUse:
    """The consents behind this node's own acts; everything inside the caller's transaction."""

    def __init__(
        self, member_id: str, directory: Callable[[], Directory], freshness: Freshness
    ) -> None:
        self._member_id = member_id
        self._directory = directory
        self._freshness = freshness

    def facts_for_uses(
        self, connection: Connection, uses: Sequence[Use], now_ms: int
    ) -> list[ReleaseFacts]:
        """All that a decision on each use by this node depends on, in their order.

        Args:
            connection: in whose snapshot or transaction to read.
            uses: who, under which consent, for what.
            now_ms: what the decisions take for now, UTC milliseconds.
        """
        found = consents.terms_by_id(connection, [one.consent_id for one in uses])
        fresh = self._freshness.read(connection, list(found.values()), now_ms)
        marked = marks.of_people(connection, sorted({one.pseudonym for one in uses}))
        active = self._directory().member(self._member_id).active
        return [
            ReleaseFacts(
                terms=(terms := found.get(one.consent_id)),
                requester=self._member_id,
                requester_active=active,
                holder=None,
                purpose=one.purpose,
                categories=frozenset(),
                subject_matches=terms is not None and terms.pseudonym == one.pseudonym,
                status_proof_until_ms=fresh.proof(terms),
                frozen=marked.get(one.pseudonym, NO_MARKS).frozen,
            )
            for one in uses
        ]

    def count_uses(self, connection: Connection, consent_ids: Iterable[str]) -> None:
        """Count a use of each consent.

        Raises:
            UsesExhausted: one has no use left; the caller's transaction must not commit.
        """
        uses = Counter(consent_ids)
        if consents.count_uses(connection, uses) != len(uses):
            raise refusal_error(Refusal.USES_EXHAUSTED)
