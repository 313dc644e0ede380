"""Signals that were corrected at this node: what, from what to what, and why."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import insert, select

from audit.database import Connection
from node.storage.rights_tables import signal_correction


@dataclass(frozen=True, slots=True)
class Correction:
    """What was corrected: (status, value) before and after, and why."""

    signal: str
    as_of_ms: int
    old: tuple[int, float]
    new: tuple[int, float]
    request_id: str
    at_ms: int
    leaf_seq: int


def add(connection: Connection, pseudonym: bytes, one: Correction) -> None:
    """Record what was corrected."""
    connection.execute(
        insert(signal_correction).values(
            pseudonym=pseudonym,
            signal=one.signal,
            as_of_ms=one.as_of_ms,
            old_status=one.old[0],
            old_value=one.old[1],
            new_status=one.new[0],
            new_value=one.new[1],
            request_id=one.request_id,
            at_ms=one.at_ms,
            leaf_seq=one.leaf_seq,
        )
    )


def by_person(
    connection: Connection, pseudonyms: Sequence[bytes] | None = None
) -> dict[bytes, list[Correction]]:
    """Corrections by person, in order; None: of everybody."""
    query = select(signal_correction).order_by(signal_correction.c.correction_id)
    if pseudonyms is not None:
        query = query.where(signal_correction.c.pseudonym.in_(pseudonyms))
    found: dict[bytes, list[Correction]] = {}
    for row in connection.execute(query):
        one = Correction(
            row.signal,
            row.as_of_ms,
            (row.old_status, row.old_value),
            (row.new_status, row.new_value),
            row.request_id,
            row.at_ms,
            row.leaf_seq,
        )
        found.setdefault(row.pseudonym, []).append(one)
    return found
