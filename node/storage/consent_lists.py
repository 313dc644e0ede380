"""Lists of one person's consents: for a reader who pages through them, and by who is in them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, func, select

from audit.database import Connection
from consent.lifecycle import State
from node.storage.tables import consent, consent_outbox


@dataclass(frozen=True, slots=True)
class ConsentParties:
    """A consent of a person, whatever its state, and who is in it."""

    consent_hash: bytes
    state: str
    holders: frozenset[str]
    recipients: frozenset[str]


def ids_of_subject(
    connection: Connection,
    pseudonym: bytes,
    states: Sequence[State],
    *,
    before: int | None,
    limit: int,
) -> list[tuple[str, int]]:
    """Up to `limit` consents of a person, the newest change first: (consent id, changed at leaf).

    Args:
        connection: of any transaction.
        pseudonym: the person, 32 bytes.
        states: only those in one of these.
        before: only those changed before this leaf; None: all.
        limit: at most so many.
    """
    query: Select[tuple[str, int]] = select(consent.c.consent_id, consent.c.changed_seq).where(
        consent.c.pseudonym == pseudonym,
        consent.c.state.in_([state.value for state in states]),
    )
    if before is not None:
        query = query.where(consent.c.changed_seq < before)
    rows = connection.execute(query.order_by(consent.c.changed_seq.desc()).limit(limit))
    return [(row.consent_id, row.changed_seq) for row in rows]


def counts_of_subject(connection: Connection, pseudonym: bytes) -> dict[State, int]:
    """How many consents a person has in each state."""
    query = (
        select(consent.c.state, func.count().label("number"))
        .where(consent.c.pseudonym == pseudonym)
        .group_by(consent.c.state)
    )
    return {State(row.state): int(row.number) for row in connection.execute(query)}


def unacknowledged(connection: Connection, pseudonym: bytes, limit: int) -> dict[str, int]:
    """Withdrawn consents of a person that parties have not acknowledged: id -> how many."""
    query = (
        select(
            consent.c.consent_id, func.count(consent_outbox.c.member_id.distinct()).label("number")
        )
        .join(consent_outbox, consent_outbox.c.consent_id == consent.c.consent_id)
        .where(consent.c.pseudonym == pseudonym, consent.c.state == State.WITHDRAWN.value)
        .group_by(consent.c.consent_id)
        .limit(limit)
    )
    return {row.consent_id: int(row.number) for row in connection.execute(query)}


def kept_by(connection: Connection, pseudonym: bytes, controller: str) -> list[ConsentParties]:
    """The consents of a person that `controller` keeps for them, the newest first."""
    query = (
        select(consent.c.consent_hash, consent.c.state, consent.c.holders, consent.c.recipients)
        .where(consent.c.pseudonym == pseudonym, consent.c.controller == controller)
        .order_by(consent.c.changed_seq.desc())
    )
    return [
        ConsentParties(
            row.consent_hash,
            row.state,
            frozenset(row.holders.split()),
            frozenset(row.recipients.split()),
        )
        for row in connection.execute(query)
    ]


def hashes_kept_by(connection: Connection, pseudonym: bytes, controller: str) -> list[bytes]:
    """Hashes of the consents of a person that `controller` keeps for them, newest first."""
    return [one.consent_hash for one in kept_by(connection, pseudonym, controller)]
