"""Deleting a person at their institution: what law says to keep is kept and never served.

What is deleted: signals of classes that nothing says to keep, all that other members released, and
where nothing is kept also outcomes, scores, what was written in requests, and the keys of the audit
payloads about the person (`audit.shredding`). Consents stay as evidence that their use was lawful;
they are under a pseudonym and in force no more.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from audit.database import Connection
from audit.store import AuditLog
from consent.lifecycle import State as ConsentState
from consent.rights import Retention, retention
from models.catalogue import Catalogue, SignalStatus
from node.rights.errors import ConsentsStillLive
from node.storage import erasure, marks, rights, signals
from node.storage.marks import Mark, MarkKind
from node.storage.signals import OWN

_LIVE = frozenset({ConsentState.ACTIVE, ConsentState.PAUSED})
_SAYS = frozenset({int(SignalStatus.PRESENT), int(SignalStatus.NONE_ON_RECORD)})


@dataclass(frozen=True, slots=True)
class Plan:
    """What a deletion comes to.

    Attributes:
        kept: source class -> what law says to keep it; empty: everything goes.
        deleted: source classes that go.
        fetched: vectors of other members that go.
        live_consents: consents in force, which have to be withdrawn first.
    """

    kept: Mapping[str, Retention]
    deleted: tuple[str, ...]
    fetched: int
    live_consents: int


class Deletion:
    """Plans and carries out; inside the caller's transaction."""

    def __init__(self, member_id: str, audit: AuditLog, catalogue: Callable[[], Catalogue]) -> None:
        """Delete at member `member_id`."""
        self._member_id = member_id
        self._audit = audit
        self._catalogue = catalogue

    def plan(self, connection: Connection, pseudonym: bytes, now_ms: int) -> Plan:
        """What deleting the person would do now."""
        vector = signals.find(connection, pseudonym, self._member_id, OWN, now_ms)
        held = {
            self._class_of(signal)
            for signal, (status, _) in (vector.signals.items() if vector else ())
            if status in _SAYS
        }
        kept = {one: rule for one in sorted(held) if (rule := retention(one)).years is not None}
        every = signals.of_subject(connection, pseudonym, now_ms)
        return Plan(
            kept=kept,
            deleted=tuple(sorted(held - set(kept))),
            fetched=sum(1 for one in every if one.purpose != OWN),
            live_consents=sum(
                1 for state in erasure.consent_states(connection, pseudonym) if state in _LIVE
            ),
        )

    def perform(
        self, connection: Connection, pseudonym: bytes, cause: str, actor: str, now_ms: int
    ) -> Plan:
        """Delete; in effect when the transaction commits.

        Raises:
            ConsentsStillLive: consents in force still have the data used.
        """
        plan = self.plan(connection, pseudonym, now_ms)
        if plan.live_consents:
            raise ConsentsStillLive(f"{plan.live_consents} consents are still in force")
        erasure.delete_fetched(connection, pseudonym)
        if plan.kept:
            self._restrict(connection, pseudonym, plan, now_ms)
            mark = Mark(MarkKind.RESTRICTED, self._member_id, "", cause, now_ms)
            marks.put(connection, pseudonym, mark)
            return plan
        erasure.delete_own(connection, pseudonym)
        rights.erase_texts(connection, pseudonym)
        marks.erase_texts(connection, pseudonym)
        marks.put(connection, pseudonym, Mark(MarkKind.ERASED, self._member_id, "", cause, now_ms))
        self._audit.erase(connection, pseudonym, actor=actor, at_ms=now_ms)
        return plan

    def _restrict(self, connection: Connection, pseudonym: bytes, plan: Plan, now_ms: int) -> None:
        vector = signals.find(connection, pseudonym, self._member_id, OWN, now_ms)
        if vector is not None:
            kept = {
                signal: said
                for signal, said in vector.signals.items()
                if self._class_of(signal) in plan.kept
            }
            signals.put_many(connection, [replace(vector, signals=kept)])

    def _class_of(self, signal: str) -> str:
        catalogue = self._catalogue()
        return catalogue.signal(signal).source_class if signal in catalogue.index else ""
