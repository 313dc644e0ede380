"""This node's own newest scores against a reference; nothing of it leaves, so it costs no privacy.

The reference is how the model's card says its people fall into bands; where the card does not say,
this node's scores of the version before the days that are looked at. One person counts once, by the
newest score. What it shows is exact, for whoever runs the node: it must not be passed on.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.database import Connection
from models.bundle import Manifest
from models.card import ModelCard
from models.drift import PSI_ALERT, PSI_WATCH
from models.metrics import psi
from node.parts import Node
from node.storage import bundles, scores
from protocols.errors import NotFound

DAY_MS = 86_400_000
Counts = NDArray[np.float64]
FEWEST = 50


class NoModelInForce(NotFound):
    """This node answers with no model."""

    code = "no_model_in_force"
    next_step = "Let the node fetch the network's release; see `credence node models list`."


@dataclass(frozen=True)
class BandShare:
    """Share of the people in one band, in the reference and now."""

    band: str
    then: float
    now: float


@dataclass(frozen=True)
class ScoreDrift:
    """How this node's scores have moved.

    Attributes:
        version: of the model in force.
        reference: `card` or `earlier`.
        then, now: people counted; of a card, about as many as it says.
        psi: over bands; None: fewer than `FEWEST` people on a side.
        verdict: `steady`, `watch` or `act`, by the thresholds .10 and .25.
        mean_then, mean_now: points, before these days and in them; 0 where there were no scores.
        bands: the best first.
    """

    version: str
    reference: str
    then: int
    now: int
    psi: float | None
    verdict: str
    mean_then: float
    mean_now: float
    bands: tuple[BandShare, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON object."""
        return asdict(self)


def score_drift(node: Node, days: int, now_ms: int) -> ScoreDrift:
    """Compare the scores of the last `days` with the reference.

    Raises:
        NoModelInForce: nothing is answered with here.
    """
    since_ms = now_ms - days * DAY_MS
    with node.database.read() as connection:
        row = bundles.active(connection)
        if row is None:
            raise NoModelInForce("this node answers with no model")
        manifest = Manifest.from_body(row.manifest)
        now = _people(connection, manifest.version, since_ms, now_ms + 1)
        earlier = _people(connection, manifest.version, 0, since_ms)
    names = [band.name for band in manifest.bands]
    counts, then, reference = _counted(now, names), _of_card(manifest.card, names), "card"
    if then is None:
        then, reference = _counted(earlier, names), "earlier"
    enough = min(then.sum(), counts.sum()) >= FEWEST
    index = psi(then, counts) if enough else None
    return ScoreDrift(
        version=manifest.version,
        reference=reference,
        then=int(then.sum()),
        now=len(now),
        psi=index,
        verdict=_verdict(index),
        mean_then=_mean(earlier),
        mean_now=_mean(now),
        bands=tuple(
            BandShare(name, float(a), float(b))
            for name, a, b in zip(names, _shares(then), _shares(counts), strict=True)
        ),
    )


def _people(
    connection: Connection, version: str, from_ms: int, until_ms: int
) -> Mapping[str, tuple[str, int]]:
    """Band and points of each person's newest score by that version."""
    found: dict[str, tuple[str, int]] = {}
    for subject, result in scores.between(connection, from_ms, until_ms):
        said = json.loads(result) if result else {}
        if said.get("versions", {}).get("model") == version and said.get("band"):
            found[subject] = (str(said["band"]["code"]), int(said["score"]))
    return found


def _of_card(card: ModelCard | None, names: list[str]) -> Counts | None:
    """People by band as the card says, or None where it does not."""
    told = {} if card is None else {one.name: one.share for one in card.bands if one.share}
    if card is None or not told:
        return None
    people = (card.measured.low + card.measured.high) / 2
    shares = [told[name].value if name in told else 0.0 for name in names]
    return np.array(shares, np.float64) * people


def _counted(people: Mapping[str, tuple[str, int]], names: list[str]) -> Counts:
    count = Counter(band for band, _ in people.values())
    return np.array([count[name] for name in names], np.float64)


def _mean(people: Mapping[str, tuple[str, int]]) -> float:
    return float(np.mean([points for _, points in people.values()])) if people else 0.0


def _shares(counts: Counts) -> Counts:
    return np.asarray(counts / max(float(counts.sum()), 1.0))


def _verdict(index: float | None) -> str:
    if index is None:
        return "unknown"
    return "act" if index >= PSI_ALERT else "watch" if index >= PSI_WATCH else "steady"
