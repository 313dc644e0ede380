"""Which party still has to be told what about a consent, and what the others acknowledged.

A row of the outbox is a promise to deliver: it is written in the transaction of the event itself
and goes when the party's signed answer is stored, so a crash in between loses nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import and_, bindparam, delete, func, insert, select, update

from audit.database import Connection
from consent.delivery import Delivery, Kind
from consent.lifecycle import Event
from consent.receipts import Confirmation
from node.storage.status_tables import acknowledged, status_entry
from node.storage.tables import acknowledgement, consent, consent_event, consent_outbox

# What ends a consent goes before everything else; all the rest goes in the order it happened.
ENDS, CONTINUES = 0, 1
_ENDING = frozenset({Event.WITHDRAW, Event.INVALIDATE})


@dataclass(frozen=True, slots=True)
class Due:
    """One delivery that a party waits for, refused `refusals` times so far."""

    event_id: int
    consent_id: str
    event: Event
    delivery: Delivery
    refusals: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A party's verified answer to one delivery; `final` ends the attempts."""

    event_id: int
    refusal: str
    effective_at_ms: int
    signature: bytes
    final: bool
    retry_at_ms: int = 0


def enqueue(
    connection: Connection,
    event: Event,
    deliveries: Iterable[tuple[int, str, Sequence[str]]],
    now_ms: int,
) -> None:
    """Promise an event to its parties: (event number, consent id, member ids) each."""
    rank = ENDS if event in _ENDING else CONTINUES
    rows = [
        {
            "event_id": event_id,
            "member_id": member_id,
            "consent_id": consent_id,
            "rank": rank,
            "due_at_ms": now_ms,
            "refusals": 0,
        }
        for event_id, consent_id, parties in deliveries
        for member_id in parties
    ]
    if rows:
        connection.execute(insert(consent_outbox), rows)


def cancel(connection: Connection, consent_id: str) -> None:
    """Deliver nothing more of what a consent was before it ended or was replaced."""
    connection.execute(
        delete(consent_outbox).where(
            consent_outbox.c.consent_id == consent_id, consent_outbox.c.rank == CONTINUES
        )
    )


def waiting_members(connection: Connection, now_ms: int) -> list[str]:
    """Members with something due, by id."""
    query = select(consent_outbox.c.member_id).where(consent_outbox.c.due_at_ms <= now_ms)
    return list(connection.execute(query.distinct().order_by("member_id")).scalars())


def due(
    connection: Connection,
    member_id: str,
    now_ms: int,
    limit: int,
    *,
    consent_id: str | None = None,
) -> list[Due]:
    """Up to `limit` deliveries for a member: what ends a consent first, then as it happened."""
    query = (
        select(
            consent_event.c.event_id,
            consent_event.c.consent_id,
            consent_event.c.event,
            consent_event.c.evidence,
            consent.c.artefact,
            consent_outbox.c.refusals,
            status_entry.c.status_index,
        )
        .select_from(consent_outbox)
        .join(consent_event, consent_event.c.event_id == consent_outbox.c.event_id)
        .join(consent, consent.c.consent_id == consent_outbox.c.consent_id)
        .outerjoin(status_entry, status_entry.c.consent_hash == consent.c.consent_hash)
        .where(consent_outbox.c.member_id == member_id, consent_outbox.c.due_at_ms <= now_ms)
        .order_by(consent_outbox.c.rank, consent_outbox.c.event_id)
        .limit(limit)
    )
    if consent_id is not None:
        query = query.where(consent_outbox.c.consent_id == consent_id)
    return [
        Due(
            event_id=row.event_id,
            consent_id=row.consent_id,
            event=Event(row.event),
            delivery=Delivery(Kind.ARTEFACT, row.artefact, row.status_index)
            if row.evidence is None
            else Delivery(Kind.EVENT, row.evidence),
            refusals=row.refusals,
        )
        for row in connection.execute(query)
    ]


def settle(connection: Connection, member_id: str, answers: Sequence[Answer]) -> None:
    """Store a member's answers; what is final leaves the outbox, the rest waits for its time."""
    if not answers:
        return
    keys = [{"event": one.event_id, "member": member_id} for one in answers]
    connection.execute(
        delete(acknowledgement).where(
            acknowledgement.c.event_id == bindparam("event"),
            acknowledgement.c.member_id == bindparam("member"),
        ),
        keys,
    )
    connection.execute(
        insert(acknowledgement),
        [
            {
                "event_id": one.event_id,
                "member_id": member_id,
                "refusal": one.refusal,
                "effective_at_ms": one.effective_at_ms,
                "signature": one.signature,
            }
            for one in answers
        ],
    )
    this = and_(
        consent_outbox.c.event_id == bindparam("event"),
        consent_outbox.c.member_id == bindparam("member"),
    )
    final = [key for key, one in zip(keys, answers, strict=True) if one.final]
    if final:
        connection.execute(delete(consent_outbox).where(this), final)
    later = [
        {**key, "later": one.retry_at_ms}
        for key, one in zip(keys, answers, strict=True)
        if not one.final
    ]
    if later:
        connection.execute(
            update(consent_outbox)
            .where(this)
            .values(due_at_ms=bindparam("later"), refusals=consent_outbox.c.refusals + 1),
            later,
        )


def confirmations(
    connection: Connection, consent_id: str
) -> dict[int, tuple[list[Confirmation], list[str]]]:
    """By event number: what was acknowledged, and which parties have not answered."""
    found: dict[int, tuple[list[Confirmation], list[str]]] = {}
    answered = (
        select(acknowledgement, acknowledged.c.received_at_ms, acknowledged.c.deletion)
        .join(consent_event, consent_event.c.event_id == acknowledgement.c.event_id)
        .outerjoin(
            acknowledged,
            and_(
                acknowledged.c.event_id == acknowledgement.c.event_id,
                acknowledged.c.member_id == acknowledgement.c.member_id,
            ),
        )
        .where(consent_event.c.consent_id == consent_id)
        .order_by(acknowledgement.c.member_id)
    )
    for row in connection.execute(answered):
        one = Confirmation(
            row.member_id,
            row.refusal,
            row.effective_at_ms,
            row.signature,
            row.received_at_ms,
            row.deletion or b"",
        )
        found.setdefault(row.event_id, ([], []))[0].append(one)
    waiting = select(consent_outbox.c.event_id, consent_outbox.c.member_id).where(
        consent_outbox.c.consent_id == consent_id
    )
    for row in connection.execute(waiting.order_by(consent_outbox.c.member_id)):
        confirmed, pending = found.setdefault(row.event_id, ([], []))
        if row.member_id not in {one.member_id for one in confirmed}:
            pending.append(row.member_id)
    return found


def waiting_counts(connection: Connection) -> dict[str, int]:
    """How many deliveries each member waits for."""
    member = consent_outbox.c.member_id
    query = select(member, func.count()).group_by(member).order_by(member)
    return {member_id: int(number) for member_id, number in connection.execute(query)}


def unanswered_counts(connection: Connection) -> dict[str, int]:
    """How many deliveries each member has neither taken nor refused yet."""
    member = consent_outbox.c.member_id
    query = (
        select(member, func.count())
        .where(consent_outbox.c.refusals == 0)
        .group_by(member)
        .order_by(member)
    )
    return {member_id: int(number) for member_id, number in connection.execute(query)}
