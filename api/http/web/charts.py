"""Geometry of the charts that templates draw as SVG; numbers in, coordinates out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

CENTRE_X, CENTRE_Y = 160.0, 158.0
RADIUS = 112.0
_LABEL_RADIUS = 138.0
_GAP = 0.012  # of the half circle, between two bands


@dataclass(frozen=True, slots=True)
class Arc:
    """One band on the gauge: its path and where its letter stands."""

    code: str
    path: str
    label_x: float
    label_y: float
    own: bool


@dataclass(frozen=True, slots=True)
class Gauge:
    """A half circle from `low` (left) to `high` (right) with a hand at the score."""

    arcs: tuple[Arc, ...]
    hand: str
    low: int
    high: int
    score: int
    band: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One signed bar on an axis from -100 to 100: where it begins and how long it is."""

    name: str
    points: float
    start: float
    length: float


def gauge(score: int, low: int, high: int, band: str, floors: Sequence[tuple[str, int]]) -> Gauge:
    """A gauge with its bands.

    Args:
        score: points.
        low: left end of the scale.
        high: right end.
        band: the score's own band.
        floors: (code, lowest points) of the bands, best first.
    """
    arcs = []
    top = high
    for code, floor in floors:
        bottom = max(floor, low)
        if bottom < top:
            arcs.append(_arc(code, _share(bottom, low, high), _share(top, low, high), code == band))
            top = bottom
    at = _share(score, low, high)
    inner, outer = _point(at, RADIUS - 24), _point(at, RADIUS + 12)
    hand = f"M{inner[0]:.1f} {inner[1]:.1f}L{outer[0]:.1f} {outer[1]:.1f}"
    return Gauge(tuple(reversed(arcs)), hand, low, high, score, band)


def bars(items: Sequence[tuple[str, float]]) -> list[Bar]:
    """Signed bars on one axis, as long as the largest asks for.

    Args:
        items: (name, points).
    """
    largest = max((abs(points) for _, points in items), default=0.0) or 1.0
    found = []
    for name, points in items:
        length = abs(points) / largest * 100
        found.append(Bar(name, points, 100.0 if points >= 0 else 100.0 - length, length))
    return found


def _arc(code: str, start: float, end: float, own: bool) -> Arc:
    wide = end - start > 2 * _GAP
    first, last = (start + _GAP / 2, end - _GAP / 2) if wide else (start, end)
    (x0, y0), (x1, y1) = _point(first, RADIUS), _point(last, RADIUS)
    label_x, label_y = _point((start + end) / 2, _LABEL_RADIUS)
    path = f"M{x0:.1f} {y0:.1f}A{RADIUS:g} {RADIUS:g} 0 0 1 {x1:.1f} {y1:.1f}"
    return Arc(code, path, round(label_x, 1), round(label_y + 4, 1), own)


def _share(points: float, low: float, high: float) -> float:
    return min(max((points - low) / (high - low), 0.0), 1.0)


def _point(share: float, radius: float) -> tuple[float, float]:
    angle = math.pi * (1 - share)
    return CENTRE_X + radius * math.cos(angle), CENTRE_Y - radius * math.sin(angle)
