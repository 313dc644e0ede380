"""Deleting a person at their institution: what law says to keep is kept and never served.

What is deleted: signals of classes that nothing says to keep, all that other members released, and
where nothing is kept also scores, what was written in requests, the institution's records of the
person, and the keys of the audit payloads about them (`audit.shredding`), under the pseudonyms of
every key in use: while keys change there are two. Outcomes go in either case, since nothing may be
learnt from what is kept, and so does the portal account with its sessions. Consents stay as
evidence that their use was lawful; they are under a pseudonym and in force no more.

One transaction in the node's database. Files of records and data keys are elsewhere: they go before
it commits, so that nothing ever says "deleted" of what is still there. Where the commit then fails
they are gone all the same, and agreeing again completes the deletion.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from audit.database import Connection
from audit.store import AuditLog
from consent.lifecycle import State as ConsentState
from consent.rights import Retention, retention
from models.catalogue import Catalogue, SignalStatus
from node.rights.errors import ConsentsStillLive, LegallyHeld
from node.storage import erasure, marks, pseudonyms, rights, signals, subjects
from node.storage import retention as retention_rows
from node.storage.marks import Mark, MarkKind
from node.storage.signals import OWN, SignalVector

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


class Holdings(Protocol):
    """What an institution has of a person beside signals: an account, and records."""

    def close_account(self, connection: Connection, subject_ref: str) -> None:
        """Close the person's portal account, inside the caller's transaction."""

    def forget_records(self, customer_id: str) -> None:
        """Drop the institution's records of a customer, at once."""


class Deletion:
    """Plans and carries out; inside the caller's transaction."""

    def __init__(
        self,
        member_id: str,
        audit: AuditLog,
        catalogue: Callable[[], Catalogue],
        holdings: Holdings,
    ) -> None:
        """Delete at member `member_id`."""
        self._member_id = member_id
        self._audit = audit
        self._catalogue = catalogue
        self._holdings = holdings

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
            LegallyHeld: a legal hold keeps records of the person.
        """
        if retention_rows.is_held(connection, pseudonym):
            raise LegallyHeld("a legal hold keeps records of this person")
        plan = self.plan(connection, pseudonym, now_ms)
        if plan.live_consents:
            raise ConsentsStillLive(f"{plan.live_consents} consents are still in force")
        person = subjects.find(connection, pseudonym)
        if person is not None:  # Before the keys go: that it was closed is logged about the person.
            self._holdings.close_account(connection, person.subject_ref)
        erasure.delete_fetched(connection, pseudonym)
        erasure.delete_outcome(connection, pseudonym)
        if plan.kept:
            self._restrict(connection, pseudonym, now_ms)
            mark = Mark(MarkKind.RESTRICTED, self._member_id, "", cause, now_ms)
            marks.put(connection, pseudonym, mark)
            return plan
        erasure.delete_own(connection, pseudonym)
        rights.erase_texts(connection, pseudonym)
        marks.erase_texts(connection, pseudonym)
        marks.put(connection, pseudonym, Mark(MarkKind.ERASED, self._member_id, "", cause, now_ms))
        if person is not None:
            self._holdings.forget_records(person.customer_id)
        others = pseudonyms.aliases_of(connection, [pseudonym]).get(pseudonym, [])
        for name in (pseudonym, *others):
            self._audit.erase(connection, name, actor=actor, at_ms=now_ms)
        return plan

    def _restrict(self, connection: Connection, pseudonym: bytes, now_ms: int) -> None:
        vector = signals.find(connection, pseudonym, self._member_id, OWN, now_ms)
        if vector is not None:
            signals.put_many(connection, [_kept_of(vector, self._catalogue())])

    def _class_of(self, signal: str) -> str:
        return _class_of(self._catalogue(), signal)


def reapply(connection: Connection, member_id: str, catalogue: Catalogue, now_ms: int) -> None:
    """After an ingest: of whom was erased nothing comes back; of whom is restricted what is kept.

    Args:
        connection: the ingest's transaction, after it wrote signals and outcomes.
        member_id: this node.
        catalogue: in force.
        now_ms: UTC milliseconds.
    """
    erased = marks.people_with(connection, MarkKind.ERASED)
    for pseudonym in erased:
        erasure.delete_own(connection, pseudonym)
    for pseudonym in marks.people_with(connection, MarkKind.RESTRICTED) - erased:
        erasure.delete_outcome(connection, pseudonym)
        vector = signals.find(connection, pseudonym, member_id, OWN, now_ms)
        if vector is not None:
            signals.put_many(connection, [_kept_of(vector, catalogue)])


def _kept_of(vector: SignalVector, catalogue: Catalogue) -> SignalVector:
    """A vector with what law says to keep of it."""
    kept = {
        signal: said
        for signal, said in vector.signals.items()
        if retention(_class_of(catalogue, signal)).years is not None
    }
    return replace(vector, signals=kept)


def _class_of(catalogue: Catalogue, signal: str) -> str:
    return catalogue.signal(signal).source_class if signal in catalogue.index else ""
