"""Correcting this node's own signals, with where each value came from; and keeping them corrected.

Signals are computed from the institution's records. A correction changes the vector that was
computed and is applied again to any vector of the same time; a vector of a later time is computed
from records that the institution has corrected too, and stands for itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from audit.database import Connection
from models.catalogue import SignalStatus
from node.rights.errors import ItemUnknown
from node.storage import corrections, signals
from node.storage.corrections import Correction
from node.storage.signals import OWN, SignalVector

_NOT_HELD = (int(SignalStatus.NOT_HELD), 0.0)


@dataclass(frozen=True, slots=True)
class Corrected:
    """(status, value) of one own signal before and after."""

    as_of_ms: int
    old: tuple[int, float]
    new: tuple[int, float]

    def to_json(self) -> dict[str, Any]:
        """For the audit leaf."""
        return {"as_of_ms": self.as_of_ms, "old": list(self.old), "new": list(self.new)}


def correct(
    connection: Connection,
    member_id: str,
    pseudonym: bytes,
    signal: str,
    value: float | None,
    now_ms: int,
) -> Corrected:
    """Change one own signal.

    Args:
        connection: the write transaction of the act.
        member_id: this node.
        pseudonym: the person.
        signal: id in the catalogue.
        value: the right one; None: there is nothing on record.
        now_ms: UTC milliseconds.

    Raises:
        ItemUnknown: this node holds nothing of the person.
    """
    vector = signals.find(connection, pseudonym, member_id, OWN, now_ms)
    if vector is None:
        raise ItemUnknown("this institution holds no such item")
    none = (int(SignalStatus.NONE_ON_RECORD), 0.0)
    new = none if value is None else (int(SignalStatus.PRESENT), value)
    old = vector.signals.get(signal, _NOT_HELD)
    signals.put_many(connection, [_with(vector, {signal: new})])
    return Corrected(vector.as_of_ms, old, new)


def reapply(connection: Connection, member_id: str, now_ms: int) -> int:
    """After an ingest: correct again what was corrected; how many vectors."""
    changed: list[SignalVector] = []
    for pseudonym, made in corrections.by_person(connection).items():
        vector = signals.find(connection, pseudonym, member_id, OWN, now_ms)
        if vector is not None and (right := _right(made, vector.as_of_ms)):
            changed.append(_with(vector, right))
    signals.put_many(connection, changed)
    return len(changed)


def _right(made: list[Correction], as_of_ms: int) -> dict[str, tuple[int, float]]:
    return {one.signal: one.new for one in made if one.as_of_ms == as_of_ms}


def _with(vector: SignalVector, changes: Mapping[str, tuple[int, float]]) -> SignalVector:
    return replace(vector, signals={**vector.signals, **changes})
