"""Consents that an institution asked for: why, and until when an answer is waited for."""

from dataclasses import dataclass

from sqlalchemy import insert, select

from audit.database import Connection
from consent.lifecycle import State
from node.storage import consents
from node.storage.consents import StoredConsent
from node.storage.request_tables import consent_request
from node.storage.tables import consent


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """What was asked for.

    Attributes:
        consent_id: of the consent that would come of it.
        requested_by: who at the institution asked.
        message: why, in words for the person.
        requested_at_ms: when.
        lapses_at_ms: until when an answer is waited for.
    """

    consent_id: str
    requested_by: str
    message: str
    requested_at_ms: int
    lapses_at_ms: int


def add(connection: Connection, request: StoredRequest) -> None:
    """Store a request beside its consent."""
    connection.execute(
        insert(consent_request).values(
            consent_id=request.consent_id,
            requested_by=request.requested_by,
            message=request.message,
            requested_at_ms=request.requested_at_ms,
            lapses_at_ms=request.lapses_at_ms,
        )
    )


def find(connection: Connection, consent_id: str) -> StoredRequest | None:
    """The request that a consent began with, or None."""
    row = connection.execute(
        select(consent_request).where(consent_request.c.consent_id == consent_id)
    ).first()
    return None if row is None else StoredRequest(*row)


def waiting(connection: Connection, pseudonym: bytes | None, limit: int) -> list[StoredRequest]:
    """Up to `limit` requests without an answer, the oldest first; of one person or of all."""
    query = (
        select(consent_request)
        .join(consent, consent.c.consent_id == consent_request.c.consent_id)
        .where(consent.c.state == State.REQUESTED.value)
    )
    if pseudonym is not None:
        query = query.where(consent.c.pseudonym == pseudonym)
    query = query.order_by(consent_request.c.requested_at_ms, consent_request.c.consent_id)
    return [StoredRequest(*row) for row in connection.execute(query.limit(limit))]


def overdue(connection: Connection, now_ms: int, limit: int) -> list[StoredConsent]:
    """Up to `limit` requested consents whose answer is not waited for any more."""
    query = (
        select(consent_request.c.consent_id)
        .join(consent, consent.c.consent_id == consent_request.c.consent_id)
        .where(
            consent.c.state == State.REQUESTED.value,
            consent_request.c.lapses_at_ms <= now_ms,
        )
        .order_by(consent_request.c.lapses_at_ms)
        .limit(limit)
    )
    ids = list(connection.execute(query).scalars())
    return list(consents.find_many(connection, ids).values())
