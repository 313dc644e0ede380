"""Why a score is not higher: up to four reasons, one a family.

Each signal's share of the difference between the subject and the catalogue's reference profile is
its integrated gradient (Sundararajan, Taly and Yan 2017). For one tanh layer the path integral has
a closed form, so the shares are exact, add up to the difference, and cost one forward pass.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache
from importlib import resources
from typing import NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from models.encoder import Encoded, Encoder
from models.weights import Weights
from protocols.errors import InvalidInput

MAX_REASONS = 4
LANGUAGES = ("en", "zh-Hans", "zh-Hant")
# A family that costs less than this many points is not a reason.
LEAST_POINTS = 1.0

Floats = NDArray[np.float64]


class Reason(NamedTuple):
    """One principal reason.

    Attributes:
        code: id of the signal that weighs most in its family; key of the text.
        family: reason family; its signals are told as one.
        points: points the whole family takes from the score, against the reference.
    """

    code: str
    family: str
    points: float


class Factor(NamedTuple):
    """What one family of signals does to a score.

    Attributes:
        family: reason family; its signals are told as one.
        code: id of the signal that weighs most in it.
        points: points the family adds to the score against the reference; below 0, takes.
    """

    family: str
    code: str
    points: float


def contributions(
    weights: Weights, encoder: Encoder, encoded: Encoded, reference: Encoded
) -> Floats:
    """Share of each signal in logit(encoded) - logit(reference).

    Args:
        weights: of the network.
        encoder: of the catalogue.
        encoded: float32[n, width].
        reference: float32[n, width], `Encoder.reference`.

    Returns:
        float64[n, signals]; rows add up to the difference; positive raises the risk.
    """
    kernel = weights["hidden.weight"].astype(np.float64)
    bias = weights["hidden.bias"].astype(np.float64)
    out = weights["out.weight"][0].astype(np.float64)
    wide = weights["wide.weight"][0].astype(np.float64)
    change = (encoded - reference).astype(np.float64)
    start = reference @ kernel.T + bias
    slope = _mean_slope(start, change @ kernel.T)
    per_column = change * (wide + (slope * out) @ kernel)
    starts = [place.start for place in encoder.columns]
    return np.add.reduceat(per_column, starts, axis=1)


class Reasons:
    """The principal reasons of n subjects, kept as arrays: objects are made of those one reads.

    Args:
        encoder: of the catalogue.
        codes: int64[n, 4], place in the catalogue of the signal that weighs most, heaviest first.
        points: float64[n, 4], what each family takes.

    Attributes:
        codes, points: as given, points to a tenth.
        number: int64[n], how many of the four are reasons; they come first.
    """

    def __init__(self, encoder: Encoder, codes: NDArray[np.int64], points: Floats) -> None:
        specs = encoder.catalogue.signals
        self._ids = np.array([spec.id for spec in specs], object)
        self._families = np.array([spec.family for spec in specs], object)
        self.codes = codes
        self.points = points.round(1)
        self.number = (points >= LEAST_POINTS).sum(axis=1)

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, subject: int) -> tuple[Reason, ...]:
        told = slice(int(self.number[subject]))
        codes = self.codes[subject, told]
        points = self.points[subject, told].tolist()
        return tuple(map(Reason, self._ids[codes], self._families[codes], points))

    def __iter__(self) -> Iterator[tuple[Reason, ...]]:
        told = (self._ids[self.codes].tolist(), self._families[self.codes].tolist())
        rows = zip(*told, self.points.tolist(), self.number.tolist(), strict=True)
        for code, family, points, number in rows:
            yield tuple(map(Reason, code, family, points))[:number]


def principal_reasons(points_lost: Floats, encoder: Encoder) -> Reasons:
    """The reasons of each subject, heaviest first.

    Args:
        points_lost: float64[n, signals], points each signal takes from a score.
        encoder: of the catalogue.
    """
    totals, leaders = _by_family(points_lost, _families(encoder).values(), np.asarray)
    heaviest = np.argsort(-totals, axis=1, kind="stable")[:, :MAX_REASONS]
    codes = np.take_along_axis(leaders, heaviest, axis=1)
    return Reasons(encoder, codes, np.take_along_axis(totals, heaviest, axis=1))


def factors(points_lost: Floats, encoder: Encoder) -> list[tuple[Factor, ...]]:
    """What every family does to each subject's score, heaviest first.

    Args:
        points_lost: float64[n, signals], points each signal takes from a score.
        encoder: of the catalogue.
    """
    families = _families(encoder)
    totals, leaders = _by_family(points_lost, families.values(), np.abs)
    order = np.argsort(-np.abs(totals), axis=1, kind="stable")
    codes = np.take_along_axis(leaders, order, axis=1).tolist()
    added = np.take_along_axis(-totals, order, axis=1).round(1).tolist()
    names, ids = tuple(families), tuple(spec.id for spec in encoder.catalogue.signals)
    return [
        tuple(
            Factor(names[family], ids[code], points)
            for family, code, points in zip(*row, strict=True)
        )
        for row in zip(order.tolist(), codes, added, strict=True)
    ]


def _by_family(
    points_lost: Floats,
    families: Collection[list[int]],
    weight: Callable[[Floats], Floats],
) -> tuple[Floats, NDArray[np.int64]]:
    """Each family's points float64[n, families], and the place of the signal that weighs most."""
    by_signal = np.ascontiguousarray(points_lost.T)
    shape = (len(families), len(points_lost))
    totals, leaders = np.empty(shape), np.empty(shape, np.int64)
    for places, total, leader in zip(families, totals, leaders, strict=True):
        members = by_signal[places]
        members.sum(axis=0, out=total)
        leader[:] = np.asarray(places)[weight(members).argmax(axis=0)]
    return np.ascontiguousarray(totals.T), np.ascontiguousarray(leaders.T)


def _families(encoder: Encoder) -> dict[str, list[int]]:
    """Places of each family's signals, in catalogue order."""
    families: dict[str, list[int]] = {}
    for place, spec in enumerate(encoder.catalogue.signals):
        families.setdefault(spec.family, []).append(place)
    return families


@cache
def _texts() -> Mapping[str, Mapping[str, str]]:
    text = resources.files("models").joinpath("reasons.yaml").read_text(encoding="utf-8")
    loaded: dict[str, dict[str, str]] = yaml.safe_load(text)
    return loaded


def reason_text(code: str, language: str) -> str:
    """What a reason says to a person.

    Args:
        code: `Reason.code`.
        language: one of `LANGUAGES`.

    Raises:
        InvalidInput: no text for this code and language.
    """
    try:
        return _texts()[code][language]
    except KeyError:
        raise InvalidInput(f"no reason text for {code!r} in {language!r}") from None


def _mean_slope(start: Floats, change: Floats) -> Floats:
    """Mean of tanh' along each unit's straight path: (tanh(end) - tanh(start)) / change."""
    small = np.abs(change) < 1e-6
    safe = np.where(small, 1.0, change)
    chord = (np.tanh(start + change) - np.tanh(start)) / safe
    return np.where(small, 1 - np.tanh(start + change / 2) ** 2, chord)
