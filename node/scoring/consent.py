"""The consent behind a score, decided on the transaction that is given."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from audit.database import Connection
from consent.policy import Decision, Refusal, ReleaseFacts, Terms, decide
from consent.refusals import refusal_error
from node.scoring.own_use import Use
from node.storage.subjects import Subject


class Consents(Protocol):
    """The consents a node keeps; `node.scoring.own_use.OwnUse` reads them."""

    def facts_for_uses(
        self, connection: Connection, uses: Sequence[Use], now_ms: int
    ) -> list[ReleaseFacts]:
        """All that a decision on each of this node's own uses depends on."""
        ...

    def count_uses(self, connection: Connection, consent_ids: Iterable[str]) -> None:
        """Count a use; raises `UsesExhausted`."""
        ...


class Asked(Protocol):
    """What a call names."""

    @property
    def consent_id(self) -> str:
        """The consent it rests on."""
        ...

    @property
    def purpose(self) -> str:
        """What it is for."""
        ...


@dataclass(frozen=True, slots=True)
class Granted:
    """A consent that allows the call, and what it allows."""

    terms: Terms
    decision: Decision


class ScoreConsent:
    """Checks the consent of score calls at this node, the recipient."""

    def __init__(self, member_id: str, consents: Consents) -> None:
        self._member_id = member_id
        self._consents = consents

    def facts(
        self, connection: Connection, asked: Sequence[tuple[Subject, Asked]], now_ms: int
    ) -> list[ReleaseFacts]:
        """What the decision on each call depends on, in their order."""
        uses = [Use(one.consent_id, subject.pseudonym, one.purpose) for subject, one in asked]
        return self._consents.facts_for_uses(connection, uses, now_ms)

    def granting(self, facts: ReleaseFacts, now_ms: int) -> Granted:
        """Whether a score may be made now.

        Raises:
            ReleaseRefused: no; the class says why.
        """
        decision = decide(facts, now_ms)
        if decision.refusal is not None:
            raise refusal_error(decision.refusal)
        if facts.terms is None:
            raise refusal_error(Refusal.CONSENT_UNKNOWN)
        return Granted(facts.terms, decision)

    def reading(self, facts: ReleaseFacts, now_ms: int) -> Granted:
        """Whether a score made before may be read again; reading spends no use.

        Raises:
            ReleaseRefused: no; the class says why.
        """
        spent = facts.terms.uses if facts.terms is not None else 0
        return self.granting(facts.with_uses(-spent), now_ms)

    def counts(self, granted: Granted) -> bool:
        """Whether a score spends a use: where the consent names this node as a holder.

        Other holders count their own.
        """
        return self._member_id in granted.terms.holders

    def use(self, connection: Connection, granted: Iterable[Granted]) -> None:
        """Count a use of own signals for each score, in the transaction that decided on it.

        Raises:
            ReleaseRefused: there are fewer left; the caller's transaction must not commit.
        """
        counted = [one.terms.consent_id for one in granted if self.counts(one)]
        self._consents.count_uses(connection, counted)

    def check(self, connection: Connection, subject: Subject, asked: Asked, now_ms: int) -> Granted:
        """`granting` of one call, read now."""
        (facts,) = self.facts(connection, [(subject, asked)], now_ms)
        return self.granting(facts, now_ms)

    def check_reading(
        self, connection: Connection, subject: Subject, asked: Asked, now_ms: int
    ) -> Granted:
        """`reading` of one call, read now."""
        (facts,) = self.facts(connection, [(subject, asked)], now_ms)
        return self.reading(facts, now_ms)
