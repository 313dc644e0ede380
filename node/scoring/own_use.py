"""What this node may do itself under a consent, as recipient, read from the consents it keeps."""

from collections import Counter
from collections.abc import Callable, Iterable

from audit.database import Connection
from consent.policy import Refusal, ReleaseFacts
from consent.refusals import refusal_error
from node.consents.freshness import Freshness
from node.storage import consents, marks
from protocols.directory import Directory


class OwnUse:
    """The consents behind this node's own acts; everything inside the caller's transaction."""

    def __init__(
        self, member_id: str, directory: Callable[[], Directory], freshness: Freshness
    ) -> None:
        self._member_id = member_id
        self._directory = directory
        self._freshness = freshness

    def facts_for_use(
        self,
        connection: Connection,
        consent_id: str,
        *,
        pseudonym: bytes,
        purpose: str,
        now_ms: int,
    ) -> ReleaseFacts:
        """All that a decision on a use by this node depends on.

        Args:
            connection: in whose snapshot or transaction to read.
            consent_id: the consent that the use names.
            pseudonym: the person it is about.
            purpose: what it is for.
            now_ms: what the decision takes for now, UTC milliseconds.
        """
        terms = consents.terms_by_id(connection, [consent_id]).get(consent_id)
        fresh = self._freshness.read(connection, [terms] if terms else [], now_ms)
        return ReleaseFacts(
            terms=terms,
            requester=self._member_id,
            requester_active=self._directory().member(self._member_id).active,
            holder=None,
            purpose=purpose,
            categories=frozenset(),
            subject_matches=terms is not None and terms.pseudonym == pseudonym,
            status_proof_until_ms=fresh.proof(terms),
            frozen=marks.of_person(connection, pseudonym).frozen,
        )

    def count_uses(self, connection: Connection, consent_ids: Iterable[str]) -> None:
        """Count a use of each consent.

        Raises:
            UsesExhausted: one has no use left; the caller's transaction must not commit.
        """
        uses = Counter(consent_ids)
        if consents.count_uses(connection, uses) != len(uses):
            raise refusal_error(Refusal.USES_EXHAUSTED)
