"""Signal vectors: this node's own, and those fetched from holders under a consent.

Own vectors have `source` = this member and purpose `own`. Fetched vectors are kept apart by the
purpose they were released for, name their consent and expire with its data life. A vector stores
what its source holds; a signal that is not in it is `not_held`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
from sqlalchemy import BindParameter, bindparam, delete, func, insert, or_, select

from audit.bulk import SelectByKeys
from audit.database import Connection
from models.catalogue import SignalStatus
from node.storage.tables import signal_vector

OWN = "own"

Signals = Mapping[str, tuple[int, float]]


@dataclass(frozen=True, slots=True)
class SignalVector:
    """What one source says about one person at one time.

    Attributes:
        pseudonym: 32 bytes.
        source: member id of the holder.
        purpose: `own`, or the purpose it was released for: `score`, `train`, `monitor`.
        as_of_ms: the time every window of the signals closes before.
        catalogue_version: version of the catalogue the signals follow.
        signals: signal id -> (SignalStatus number, value).
        consent_id: the consent it was released under; None for own.
        expires_at_ms: end of its data life; None for own.
    """

    pseudonym: bytes
    source: str
    purpose: str
    as_of_ms: int
    catalogue_version: int
    signals: Signals
    consent_id: str | None = None
    expires_at_ms: int | None = None


def put_many(connection: Connection, vectors: Iterable[SignalVector]) -> int:
    """Store vectors; one with the same pseudonym, source and purpose is replaced."""
    rows = [_to_row(vector) for vector in vectors]
    if not rows:
        return 0
    same = (
        (signal_vector.c.pseudonym == bindparam("p"))
        & (signal_vector.c.source == bindparam("s"))
        & (signal_vector.c.purpose == bindparam("u"))
    )
    keys = [{"p": r["pseudonym"], "s": r["source"], "u": r["purpose"]} for r in rows]
    connection.execute(delete(signal_vector).where(same), keys)
    connection.execute(insert(signal_vector), rows)
    return len(rows)


def replace_own(connection: Connection, member_id: str, vectors: Iterable[SignalVector]) -> int:
    """Make `vectors` the node's own; what was there before goes."""
    rows = [_to_row(vector) for vector in vectors]
    if any(row["source"] != member_id or row["purpose"] != OWN for row in rows):
        raise ValueError("an own vector has this member as source and the purpose 'own'")
    connection.execute(
        delete(signal_vector).where(
            signal_vector.c.source == member_id, signal_vector.c.purpose == OWN
        )
    )
    if rows:
        connection.execute(insert(signal_vector), rows)
    return len(rows)


def find(
    connection: Connection, pseudonym: bytes, source: str, purpose: str, now_ms: int
) -> SignalVector | None:
    """One live vector, or None; an expired one is none."""
    row = connection.execute(
        select(signal_vector).where(
            signal_vector.c.pseudonym == pseudonym,
            signal_vector.c.source == source,
            signal_vector.c.purpose == purpose,
            _alive(now_ms),
        )
    ).first()
    return None if row is None else _from_row(row)


def of_subject(connection: Connection, pseudonym: bytes, now_ms: int) -> list[SignalVector]:
    """All live vectors about one person, by source and purpose."""
    return of_subjects(connection, [pseudonym], now_ms).get(pseudonym, [])


def of_subjects(
    connection: Connection, pseudonyms: Iterable[bytes], now_ms: int
) -> dict[bytes, list[SignalVector]]:
    """All live vectors about some people, by source and purpose; who has none is absent."""
    found: dict[bytes, list[SignalVector]] = {}
    rows = _OF_SUBJECTS(connection, sorted(set(pseudonyms)), now_ms=now_ms)
    for vector in map(_from_row, rows):
        found.setdefault(vector.pseudonym, []).append(vector)
    for vectors in found.values():
        vectors.sort(key=lambda one: (one.source, one.purpose))
    return found


def of_source(
    connection: Connection, source: str, purpose: str, now_ms: int
) -> dict[bytes, SignalVector]:
    """All live vectors of one source and purpose, by pseudonym, in the pseudonyms' order."""
    rows = connection.execute(
        select(signal_vector)
        .where(
            signal_vector.c.source == source,
            signal_vector.c.purpose == purpose,
            _alive(now_ms),
        )
        .order_by(signal_vector.c.pseudonym)
    )
    return {row.pseudonym: _from_row(row) for row in rows}


def of_pseudonyms(
    connection: Connection, pseudonyms: Sequence[bytes], source: str, purpose: str, now_ms: int
) -> dict[bytes, SignalVector]:
    """The live vectors of some people at one source, by pseudonym; who has none is absent."""
    found: dict[bytes, SignalVector] = {}
    values = {"one_source": source, "one_purpose": purpose, "now_ms": now_ms}
    for vector in map(_from_row, _OF_PSEUDONYMS(connection, pseudonyms, **values)):
        found[vector.pseudonym] = vector
    return found


def delete_by_consent(connection: Connection, consent_id: str) -> int:
    """Delete what was fetched under a consent (it was withdrawn); the number of vectors."""
    return connection.execute(
        delete(signal_vector).where(signal_vector.c.consent_id == consent_id)
    ).rowcount


def delete_fetched(connection: Connection, pseudonym: bytes, source: str) -> int:
    """Delete what a source released about a person, whatever for: it is asked anew."""
    return connection.execute(
        delete(signal_vector).where(
            signal_vector.c.pseudonym == pseudonym,
            signal_vector.c.source == source,
            signal_vector.c.purpose != OWN,
        )
    ).rowcount


def delete_own(connection: Connection, pseudonym: bytes) -> int:
    """Delete this node's own signals of a person."""
    return connection.execute(
        delete(signal_vector).where(
            signal_vector.c.pseudonym == pseudonym, signal_vector.c.purpose == OWN
        )
    ).rowcount


def delete_expired(connection: Connection, now_ms: int) -> int:
    """Delete vectors whose data life is over; the number of vectors."""
    return connection.execute(
        delete(signal_vector).where(signal_vector.c.expires_at_ms <= now_ms)
    ).rowcount


def count(connection: Connection, source: str, purpose: str) -> int:
    """How many vectors there are of one source and purpose."""
    query = (
        select(func.count())
        .select_from(signal_vector)
        .where(signal_vector.c.source == source, signal_vector.c.purpose == purpose)
    )
    return connection.execute(query).scalar_one()


def count_fetched(connection: Connection, member_id: str) -> int:
    """How many vectors came from other sources than this member."""
    query = select(func.count()).select_from(signal_vector)
    return connection.execute(query.where(signal_vector.c.source != member_id)).scalar_one()


def matrix(
    people: Sequence[Signals], signal_ids: Sequence[str]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    """Vectors as arrays for `models.encoder`.

    Args:
        people: n mappings of signal id -> (status, value).
        signal_ids: the m columns, in the catalogue's order.

    Returns:
        status uint8[n, m] and value float64[n, m]; absent: `not_held` and 0.
    """
    absent = (int(SignalStatus.NOT_HELD), 0.0)
    flat = [one.get(signal, absent) for one in people for signal in signal_ids]
    cells = np.array(flat, dtype=np.float64).reshape(len(people), len(signal_ids), 2)
    return cells[:, :, 0].astype(np.uint8), np.ascontiguousarray(cells[:, :, 1])


def _alive(now_ms: int | BindParameter[int]) -> Any:
    return or_(signal_vector.c.expires_at_ms.is_(None), signal_vector.c.expires_at_ms > now_ms)


_OF_PSEUDONYMS = SelectByKeys(
    lambda keys: select(signal_vector).where(
        signal_vector.c.pseudonym.in_(keys),
        signal_vector.c.source == bindparam("one_source"),
        signal_vector.c.purpose == bindparam("one_purpose"),
        _alive(bindparam("now_ms")),
    )
)


_OF_SUBJECTS = SelectByKeys(
    lambda keys: select(signal_vector).where(
        signal_vector.c.pseudonym.in_(keys), _alive(bindparam("now_ms"))
    )
)


def _to_row(vector: SignalVector) -> dict[str, Any]:
    return {
        "pseudonym": vector.pseudonym,
        "source": vector.source,
        "purpose": vector.purpose,
        "as_of_ms": vector.as_of_ms,
        "catalogue_version": vector.catalogue_version,
        "signals": json.dumps(dict(vector.signals), separators=(",", ":"), allow_nan=False),
        "consent_id": vector.consent_id,
        "expires_at_ms": vector.expires_at_ms,
    }


def _from_row(row: Sequence[Any]) -> SignalVector:
    """A vector from the table's columns, in their order."""
    pseudonym, source, purpose, as_of_ms, version, stored, consent_id, expires_at_ms = row
    pairs = orjson.loads(stored)
    signals = {signal: (status, float(value)) for signal, (status, value) in pairs.items()}
    return SignalVector(
        pseudonym, source, purpose, as_of_ms, version, signals, consent_id, expires_at_ms
    )
