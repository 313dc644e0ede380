"""The consent behind a score, decided on the transaction that is given."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from audit.database import Connection
from consent.policy import Decision, Refusal, ReleaseFacts, Terms, decide
from consent.refusals import refusal_error
from node.storage.subjects import Subject


class Consents(Protocol):
    """The consents a node keeps; `node.consents.ConsentService` is one."""

    def facts_for_use(
        self,
        connection: Connection,
        consent_id: str,
        *,
        pseudonym: bytes,
        purpose: str,
        now_ms: int,
    ) -> ReleaseFacts:
        """All that a decision on this node's own use depends on."""
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

    def check(self, connection: Connection, subject: Subject, asked: Asked, now_ms: int) -> Granted:
        """Whether a score may be made now.

        Raises:
            ReleaseRefused: no; the class says why.
        """
        return _granted(self._facts(connection, subject.pseudonym, asked, now_ms), now_ms)

    def use(self, connection: Connection, granted: Granted, asked: Asked, now_ms: int) -> None:
        """Check again on the same version of the consent, and count a use of own signals.

        A use is counted where the consent names this node as a holder: others count their own.

        Raises:
            ReleaseRefused: no more; the class says why.
        """
        facts = self._facts(connection, granted.terms.pseudonym, asked, now_ms)
        terms = _granted(facts, now_ms).terms
        if terms.consent_hash != granted.terms.consent_hash:
            raise refusal_error(Refusal.CONSENT_SUPERSEDED)
        if self._member_id in terms.holders:
            self._consents.count_uses(connection, [terms.consent_id])

    def check_reading(
        self, connection: Connection, subject: Subject, asked: Asked, now_ms: int
    ) -> Granted:
        """Whether a score made before may be read again; reading spends no use.

        Raises:
            ReleaseRefused: no; the class says why.
        """
        facts = self._facts(connection, subject.pseudonym, asked, now_ms)
        spent = facts.terms.uses if facts.terms is not None else 0
        return _granted(facts.with_uses(-spent), now_ms)

    def _facts(
        self, connection: Connection, pseudonym: bytes, asked: Asked, now_ms: int
    ) -> ReleaseFacts:
        return self._consents.facts_for_use(
            connection,
            asked.consent_id,
            pseudonym=pseudonym,
            purpose=asked.purpose,
            now_ms=now_ms,
        )


def _granted(facts: ReleaseFacts, now_ms: int) -> Granted:
    decision = decide(facts, now_ms)
    if decision.refusal is not None:
        raise refusal_error(decision.refusal)
    if facts.terms is None:
        raise refusal_error(Refusal.CONSENT_UNKNOWN)
    return Granted(facts.terms, decision)
