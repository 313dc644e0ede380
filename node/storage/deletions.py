"""What this node deleted when consents ended here, and what other parties attest to."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update

from audit.database import Connection
from consent.deletion import Deletion
from node.storage import retention
from node.storage.exchange import OUT
from node.storage.status_tables import acknowledged, deletion
from node.storage.tables import nonce, release, score

# Sealed answers are kept for two minutes at most: a release before that has none left.
ANSWERS_LIVE_MS = 300_000


@dataclass(frozen=True, slots=True)
class Received:
    """When a party's acknowledgement of an event came, and what it attests to have deleted."""

    event_id: int
    member_id: str
    received_at_ms: int
    deletion: bytes | None


def delete_scores(connection: Connection, consent_id: str) -> int:
    """Delete the scores made under a consent; how many. The log still says that they were made.

    One that a legal hold keeps stays, and goes by its schedule once the hold is released.
    """
    wanted = delete(score).where(score.c.consent_id == consent_id, retention.not_held_scores())
    return connection.execute(wanted).rowcount


def recent_releases(connection: Connection, consent_id: str, now_ms: int) -> list[tuple[str, int]]:
    """Peer and leaf number of releases whose sealed answers may still be kept."""
    query = select(release.c.peer, release.c.leaf_seq).where(
        release.c.consent_id == consent_id,
        release.c.direction == OUT,
        release.c.refusal == "",
        release.c.at_ms > now_ms - ANSWERS_LIVE_MS,
    )
    return [(row.peer, row.leaf_seq) for row in connection.execute(query)]


def drop_answer(connection: Connection, peer: str, request_hash: bytes) -> int:
    """Drop the sealed answer to a request; its nonce stays used."""
    answered = update(nonce).where(
        nonce.c.sender == peer, nonce.c.request_hash == request_hash, nonce.c.answer != b""
    )
    return connection.execute(answered.values(answer=b"")).rowcount


def add(connection: Connection, made: Deletion) -> None:
    """Note what was deleted here with one version of a consent."""
    connection.execute(
        insert(deletion).values(
            consent_hash=made.consent_hash,
            consent_id=made.consent_id,
            signals=made.signals,
            scores=made.scores,
            answers=made.answers,
            at_ms=made.at_ms,
        )
    )


def find(connection: Connection, member_id: str, consent_id: str) -> Deletion | None:
    """What this node, `member_id`, deleted when a consent ended here; None: it has not."""
    query = select(deletion).where(deletion.c.consent_id == consent_id)
    row = connection.execute(query.order_by(deletion.c.at_ms.desc())).first()
    if row is None:
        return None
    return Deletion(
        member_id=member_id,
        consent_id=row.consent_id,
        consent_hash=row.consent_hash,
        signals=row.signals,
        scores=row.scores,
        answers=row.answers,
        at_ms=row.at_ms,
    )


def note_received(connection: Connection, received: Sequence[Received]) -> None:
    """Note when acknowledgements came; a later one of the same party takes an earlier's place."""
    for one in received:
        connection.execute(
            delete(acknowledged).where(
                acknowledged.c.event_id == one.event_id,
                acknowledged.c.member_id == one.member_id,
            )
        )
    if received:
        connection.execute(
            insert(acknowledged),
            [
                {
                    "event_id": one.event_id,
                    "member_id": one.member_id,
                    "received_at_ms": one.received_at_ms,
                    "deletion": one.deletion,
                }
                for one in received
            ],
        )


def received_of(connection: Connection, event_id: int) -> dict[str, Received]:
    """What came of each party about one event, by member id."""
    query = select(acknowledged).where(acknowledged.c.event_id == event_id)
    return {
        row.member_id: Received(row.event_id, row.member_id, row.received_at_ms, row.deletion)
        for row in connection.execute(query)
    }
