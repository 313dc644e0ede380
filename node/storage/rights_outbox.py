"""Notices about people's rights that other members still wait for, and what they acknowledged.

A row of the outbox is written in the transaction of the act it tells of and goes when the member's
signed answer is stored: a crash in between loses nothing.
"""

from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update

from audit.database import Connection
from consent.right_notices import Acknowledgement, Notice
from node.storage.rights_tables import rights_heard, rights_outbox, rights_told
from protocols.canonical import sha256

LOOK_AHEAD = 500


@dataclass(frozen=True, slots=True)
class Waiting:
    """One notice on its way; `attempts` were answered with a refusal that may pass."""

    message_id: str
    member_id: str
    pseudonym: bytes
    request_id: str
    topic: str
    body: bytes
    attempts: int


@dataclass(frozen=True, slots=True)
class Told:
    """What a member answered to a notice, or None while it has not.

    Attributes:
        member_id: who was told.
        topic: of what.
        refusal: stable code, or empty.
        effective_at_ms: since when it is so there; None: no answer yet.
    """

    member_id: str
    topic: str
    refusal: str
    effective_at_ms: int | None


def promise(connection: Connection, pseudonym: bytes, request_id: str, notice: Notice) -> None:
    """Have a notice delivered."""
    connection.execute(
        insert(rights_outbox).values(
            message_id=notice.message_id,
            member_id=notice.receiver,
            pseudonym=pseudonym,
            request_id=request_id,
            topic=notice.topic.value,
            body=notice.body(),
            due_at_ms=notice.at_ms,
            attempts=0,
        )
    )


def waiting_members(connection: Connection) -> list[str]:
    """Members that some notice waits for."""
    query = select(rights_outbox.c.member_id).distinct().order_by(rights_outbox.c.member_id)
    return list(connection.execute(query).scalars())


def next_for(connection: Connection, member_id: str, now_ms: int) -> Waiting | None:
    """The oldest due notice for a member; of one person, what was said first is heard first."""
    query = (
        select(rights_outbox)
        .where(rights_outbox.c.member_id == member_id)
        .order_by(rights_outbox.c.seq)
        .limit(LOOK_AHEAD)
    )
    held_up: set[bytes] = set()
    for row in connection.execute(query):
        if row.due_at_ms <= now_ms and row.pseudonym not in held_up:
            return Waiting(
                row.message_id,
                row.member_id,
                row.pseudonym,
                row.request_id,
                row.topic,
                row.body,
                row.attempts,
            )
        held_up.add(row.pseudonym)
    return None


def later(connection: Connection, message_id: str, due_at_ms: int) -> None:
    """Try a notice again at `due_at_ms`."""
    connection.execute(
        update(rights_outbox)
        .where(rights_outbox.c.message_id == message_id)
        .values(due_at_ms=due_at_ms, attempts=rights_outbox.c.attempts + 1)
    )


def settle(connection: Connection, sent: Waiting, answer: Acknowledgement) -> None:
    """Store a member's final answer; a second process may have done so already."""
    gone = connection.execute(
        delete(rights_outbox).where(rights_outbox.c.message_id == sent.message_id)
    ).rowcount
    if not gone:
        return
    connection.execute(
        insert(rights_told).values(
            message_id=sent.message_id,
            member_id=sent.member_id,
            pseudonym=sent.pseudonym,
            request_id=sent.request_id,
            topic=sent.topic,
            body_sha256=sha256(sent.body),
            refusal=answer.refusal,
            effective_at_ms=answer.effective_at_ms,
            signature=answer.signature,
        )
    )


def told(connection: Connection, pseudonym: bytes, request_id: str) -> list[Told]:
    """What members were told about a request (empty: about a freeze), answered first."""
    answered = select(rights_told).where(
        rights_told.c.pseudonym == pseudonym, rights_told.c.request_id == request_id
    )
    pending = (
        select(rights_outbox.c.member_id, rights_outbox.c.topic)
        .where(rights_outbox.c.pseudonym == pseudonym, rights_outbox.c.request_id == request_id)
        .order_by(rights_outbox.c.seq)
    )
    return [
        Told(row.member_id, row.topic, row.refusal, row.effective_at_ms)
        for row in connection.execute(answered.order_by(rights_told.c.effective_at_ms))
    ] + [Told(row.member_id, row.topic, "", None) for row in connection.execute(pending)]


# -- heard from others


def heard(connection: Connection, sender: str, message_id: str) -> tuple[bytes, int] | None:
    """Hash of a notice that was taken before, and since when it is in effect; or None."""
    query = select(rights_heard.c.body_sha256, rights_heard.c.effective_at_ms).where(
        rights_heard.c.sender == sender, rights_heard.c.message_id == message_id
    )
    row = connection.execute(query).first()
    return None if row is None else (row.body_sha256, int(row.effective_at_ms))


def remember(connection: Connection, notice: Notice, body: bytes, at_ms: int) -> None:
    """Note that a notice was taken."""
    connection.execute(
        insert(rights_heard).values(
            sender=notice.sender,
            message_id=notice.message_id,
            body_sha256=sha256(body),
            effective_at_ms=at_ms,
        )
    )
