"""What an exchange leaves behind: used nonces with their answers, and the release records."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from sqlalchemy import bindparam, delete, func, select, tuple_

from audit.bulk import BulkInsert, SelectByKeys
from audit.database import Connection
from node.storage.tables import nonce, release

OUT: Literal["out"] = "out"
IN: Literal["in"] = "in"


@dataclass(frozen=True, slots=True)
class Claim:
    """A nonce that was used: the request it was used for and the answer that was given.

    Attributes:
        request_hash: SHA-256 of the request body.
        answer: the sealed bytes that were answered.
    """

    request_hash: bytes
    answer: bytes


@dataclass(frozen=True, slots=True)
class NewClaim:
    """A nonce to be remembered as `sender`'s until `expires_at_ms`, 16 bytes."""

    sender: str
    nonce: bytes
    claim: Claim
    expires_at_ms: int


class Release(NamedTuple):
    """One subject's signals, released or refused: a row of the table without its number.

    Attributes:
        direction: `out` at the holder, `in` at the recipient.
        request_id: id of the request, the same on both sides.
        consent_id: the consent it rests on; empty when the holder knows none.
        peer: the other member.
        purpose: `score`, `train` or `monitor`.
        refusal: stable code, or empty.
        signal_count: signals with a value or `none_on_record`.
        at_ms: UTC milliseconds.
        leaf_seq: sequence number of the audit leaf.
    """

    direction: Literal["in", "out"]
    request_id: str
    consent_id: str
    peer: str
    purpose: str
    refusal: str
    signal_count: int
    at_ms: int
    leaf_seq: int


# Built once: for one request, building a statement costs more than running it.
_CLAIMED = SelectByKeys(
    lambda nonces: select(nonce.c.nonce, nonce.c.request_hash, nonce.c.answer).where(
        nonce.c.sender == bindparam("one_sender"), nonce.c.nonce.in_(nonces)
    )
)
_INSERT_NONCES = BulkInsert(nonce)
_INSERT_RELEASES = BulkInsert(release, without=["release_id"])


def claimed(connection: Connection, sender: str, nonces: Sequence[bytes]) -> dict[bytes, Claim]:
    """What a sender's nonces were used for; a new one is absent."""
    return {
        used: Claim(request_hash, answer)
        for used, request_hash, answer in _CLAIMED(connection, nonces, one_sender=sender)
    }


def claim(connection: Connection, used: Sequence[NewClaim]) -> None:
    """Remember nonces as used."""
    _INSERT_NONCES(
        connection,
        [
            (one.sender, one.nonce, one.claim.request_hash, one.claim.answer, one.expires_at_ms)
            for one in used
        ],
    )


def record(connection: Connection, releases: Sequence[Release]) -> None:
    """Append release records."""
    _INSERT_RELEASES(connection, releases)


def forget_claims(connection: Connection, now_ms: int, limit: int) -> int:
    """Delete up to `limit` nonces whose requests are refused by their time alone; how many."""
    old = select(nonce.c.sender, nonce.c.nonce).where(nonce.c.expires_at_ms < now_ms).limit(limit)
    return connection.execute(
        delete(nonce).where(tuple_(nonce.c.sender, nonce.c.nonce).in_(old))
    ).rowcount


def of_consent(connection: Connection, consent_id: str) -> list[Release]:
    """All release records of one consent, oldest first."""
    columns = [column for column in release.c if column is not release.c.release_id]
    rows = connection.execute(
        select(*columns).where(release.c.consent_id == consent_id).order_by(release.c.release_id)
    )
    return [Release(**row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's public name


def leaves_with(connection: Connection, peer: str, since_ms: int, until_ms: int) -> list[int]:
    """Sequence numbers of the leaves about exchanges with `peer` in a period, in order."""
    rows = connection.execute(
        select(release.c.leaf_seq)
        .where(release.c.peer == peer, release.c.at_ms >= since_ms, release.c.at_ms < until_ms)
        .order_by(release.c.leaf_seq)
    )
    return list(rows.scalars())


def released_to(
    connection: Connection, peer: str, request_id: str, consent_ids: Collection[str]
) -> set[str]:
    """Of some consents, those under which a request of `peer` was answered with signals."""
    rows = connection.execute(
        select(release.c.consent_id).where(
            release.c.consent_id.in_(consent_ids),
            release.c.request_id == request_id,
            release.c.direction == OUT,
            release.c.peer == peer,
            release.c.refusal == "",
        )
    )
    return set(rows.scalars())


def totals(connection: Connection) -> dict[tuple[str, bool], int]:
    """How many records there are, by direction and whether refused."""
    refused = (release.c.refusal != "").label("refused")
    rows = connection.execute(
        select(release.c.direction, refused, func.count().label("number")).group_by(
            release.c.direction, refused
        )
    )
    return {(row.direction, bool(row.refused)): int(row.number) for row in rows}
