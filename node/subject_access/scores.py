"""A person's own score: the newest that was given out, what moved it, and what was not looked at.

It shows what was given to others; looking makes no new score and is counted as no enquiry.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from audit.database import Connection, Database
from models.bundle import Manifest
from models.scale import BAND_FLOORS
from node.storage import bundles, clients, scores
from node.storage.scores import ScoreRow

HISTORY = 12


@dataclass(frozen=True, slots=True)
class BandFloor:
    """A band of the scale and the lowest points in it."""

    code: str
    floor: int


@dataclass(frozen=True, slots=True)
class OwnScore:
    """One score as it was given out.

    Attributes:
        score_id: its id.
        at_ms: when.
        leaf_seq: its entry in the log.
        client_id: who was given it.
        answer: what was answered; fields as in `node.scoring.result`.
        bands: of the model that made it, best first.
    """

    score_id: str
    at_ms: int
    leaf_seq: int
    client_id: str
    answer: Mapping[str, Any]
    bands: tuple[BandFloor, ...]


class OwnScores:
    """Reads scores for the person they are about."""

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock

    def newest(self, subject_ref: str, limit: int = HISTORY) -> list[OwnScore]:
        """Up to `limit` scores, the newest first."""
        with self._database.read() as connection:
            rows = scores.newest_of(connection, subject_ref, limit)
            floors: dict[str, tuple[BandFloor, ...]] = {}
            return [_own(connection, row, floors) for row in rows]

    def client_name(self, client_id: str) -> str:
        """The name of who was given a score; the id when they are not known any more."""
        with self._database.read() as connection:
            found = clients.find(connection, client_id)
        return client_id if found is None else found.name

    def is_expired(self, score: OwnScore) -> bool:
        """Whether it may not be used any more."""
        return bool(self._clock() >= score.answer["expires_at_ms"])


def _own(
    connection: Connection, row: ScoreRow, floors: dict[str, tuple[BandFloor, ...]]
) -> OwnScore:
    answer: dict[str, Any] = json.loads(row.result)
    version = str(answer["versions"]["model"])
    if version not in floors:
        floors[version] = _floors(connection, version)
    return OwnScore(row.score_id, row.at_ms, row.leaf_seq, row.client_id, answer, floors[version])


def _floors(connection: Connection, version: str) -> tuple[BandFloor, ...]:
    found = bundles.find(connection, version)
    if found is None:
        return tuple(BandFloor(code, floor) for code, floor in BAND_FLOORS)
    return tuple(
        BandFloor(band.name, band.floor) for band in Manifest.from_body(found.manifest).bands
    )
