"""Geometry of plots with axes: series in, coordinates and ticks out; `plots.html` draws them.

A plot is 440 units wide, so that its letters are still read where a phone makes it 330 pixels.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 440.0, 240.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 12.0, 26.0, 44.0
_ROW, _ROW_HEAD = 52.0, 20.0


@dataclass(frozen=True, slots=True)
class Series:
    """Values to draw: `tone` is one of a, b."""

    label: str
    points: Sequence[tuple[float, float]]
    tone: str = "a"


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis and what stands there."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Curve:
    """A drawn series; a dot marks its last point, beside which its label stands."""

    path: str
    tone: str
    label: str
    end_x: float
    end_y: float
    label_y: float


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawn plot; `reference` is a level with a name, or None."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    curves: tuple[Curve, ...] = ()
    reference: Tick | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a histogram."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Row:
    """One name with its bars, (y, length, tone, value in words) each."""

    name: str
    name_y: float
    bars: tuple[tuple[float, float, str, str], ...]


@dataclass(frozen=True, slots=True)
class Range:
    """A value on an axis with the ends of its interval, all as x; `words` says it."""

    y: float
    low: float
    at: float
    high: float
    tone: str
    words: str


@dataclass(frozen=True, slots=True)
class RangeRow:
    """One name with its ranges."""

    name: str
    name_y: float
    ranges: tuple[Range, ...]


def curves(
    series: Sequence[Series],
    *,
    reference: tuple[float, str] | None = None,
    from_zero: bool = False,
    x_range: tuple[float, float] | None = None,
) -> Plot:
    """Lines over a common x axis.

    Args:
        series: each with at least one point.
        reference: a level to draw across, and its name.
        from_zero: whether the y axis begins at zero.
        x_range: ends of the x axis; None: of the points.
    """
    xs = [x for one in series for x, _ in one.points]
    ys = [y for one in series for _, y in one.points]
    levels = [*ys, *([reference[0]] if reference else []), *([0.0] if from_zero else [])]
    x_low, x_high = x_range or (min(xs), max(xs))
    x_ticks = _steps(x_low, x_high, whole=True)
    y_marks = _steps(min(levels), max(levels))
    x_place = _scale(x_low, x_high, LEFT, WIDTH - RIGHT)
    y_place = _scale(y_marks[0], y_marks[-1], HEIGHT - BOTTOM, TOP)
    level = y_place(reference[0]) if reference else None
    drawn: list[Curve] = []
    for one in series:
        places = [(x_place(x), y_place(y)) for x, y in one.points]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        end_x, end_y = places[-1]
        drawn.append(Curve(path, one.tone, one.label, end_x, end_y, _clear(end_y, drawn, level)))
    return Plot(
        WIDTH, HEIGHT, LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM,
        tuple(Tick(x_place(mark), _short(mark)) for mark in x_ticks),
        tuple(Tick(y_place(mark), _short(mark)) for mark in y_marks),
        tuple(drawn),
        Tick(y_place(reference[0]), reference[1]) if reference else None,
    )  # fmt: skip


def columns(values: Sequence[float], labels: Sequence[str]) -> tuple[Plot, tuple[Column, ...]]:
    """A histogram from zero; an empty label draws no tick."""
    marks = _steps(0.0, max([*values, 1e-9]))
    y_place = _scale(0.0, marks[-1], HEIGHT - BOTTOM, TOP)
    step = (WIDTH - RIGHT - LEFT) / max(len(values), 1)
    drawn = tuple(
        Column(LEFT + number * step + step * 0.1, y_place(value), step * 0.8,
               HEIGHT - BOTTOM - y_place(value))
        for number, value in enumerate(values)
    )  # fmt: skip
    x_ticks = tuple(
        Tick(LEFT + (number + 0.5) * step, label) for number, label in enumerate(labels) if label
    )
    y_ticks = tuple(Tick(y_place(mark), _short(mark)) for mark in marks)
    plot = Plot(
        WIDTH, HEIGHT, LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM, x_ticks, y_ticks
    )  # fmt: skip
    return plot, drawn


def rows(
    items: Sequence[tuple[str, Sequence[tuple[float, str]]]],
    reference: tuple[float, str],
    digits: int = 2,
) -> tuple[Plot, tuple[Row, ...]]:
    """Horizontal bars from zero, with a vertical reference line (its `at` is an x).

    Args:
        items: (name, (value, tone) each).
        reference: a value and its name.
        digits: of the values in words.
    """
    values = [value for _, bars in items for value, _ in bars if math.isfinite(value)]
    marks = _steps(0.0, max([*values, reference[0]]))
    left = 8.0
    right = WIDTH - 48
    height = TOP + _ROW * len(items) + BOTTOM
    x_place = _scale(0.0, marks[-1], left, right)
    drawn = []
    for number, (name, bars) in enumerate(items):
        top = TOP + number * _ROW
        shapes = tuple(
            (
                top + _ROW_HEAD + place * 14,
                max((x_place(value) if math.isfinite(value) else right) - left, 1.0),
                tone,
                f"{value:.{digits}f}" if math.isfinite(value) else "∞",
            )
            for place, (value, tone) in enumerate(bars)
        )
        drawn.append(Row(name, top + 14, shapes))
    plot = Plot(
        WIDTH, height, left, right, TOP, height - BOTTOM,
        tuple(Tick(x_place(mark), _short(mark)) for mark in marks),
        (),
        (),
        Tick(x_place(reference[0]), reference[1]),
    )  # fmt: skip
    return plot, tuple(drawn)


def ranges(
    items: Sequence[tuple[str, Sequence[tuple[float, float, float, str]]]], digits: int = 2
) -> tuple[Plot, tuple[RangeRow, ...]]:
    """Values with their intervals on one axis from zero, a name a row.

    Args:
        items: (name, (low, value, high, tone) each).
        digits: of the values in words.
    """
    marks = _steps(0.0, max((high for _, found in items for _, _, high, _ in found), default=1.0))
    left, right = 8.0, WIDTH - 48
    x_place = _scale(0.0, marks[-1], left, right)
    drawn, top = [], TOP
    for name, found in items:
        shapes = tuple(
            Range(top + _ROW_HEAD + place * 14 + 5, x_place(low), x_place(value), x_place(high),
                  tone, f"{value:.{digits}f}")
            for place, (low, value, high, tone) in enumerate(found)
        )  # fmt: skip
        drawn.append(RangeRow(name, top + 14, shapes))
        top += _ROW_HEAD + 14 * len(found) + 6
    plot = Plot(
        WIDTH, top + BOTTOM, left, right, TOP, top,
        tuple(Tick(x_place(mark), _short(mark)) for mark in marks), (),
    )  # fmt: skip
    return plot, tuple(drawn)


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    span = high - low or 1.0

    def place(value: float) -> float:
        return round(start + (value - low) / span * (end - start), 1)

    return place


def _steps(low: float, high: float, *, whole: bool = False) -> list[float]:
    """Round marks; the first is at most `low` and the last at least `high` unless `whole`."""
    span = high - low
    if span <= 0:
        span = abs(high) or 1.0
        low, high = (low, high) if whole else (low - span / 2, high + span / 2)
    raw = span / 4
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw * 0.999)
    if whole:
        step = max(1.0, float(round(step)))
        first = math.ceil(low / step)
        return [number * step for number in range(first, math.floor(high / step) + 1)]
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def _short(value: float) -> str:
    text = f"{value:.4f}".rstrip("0").rstrip(".") if abs(value) < 1000 else f"{value:,.0f}"
    return text.replace("-", "\u2212") if text not in {"-0", ""} else "0"


def _clear(y: float, others: Sequence[Curve], level: float | None) -> float:
    """Where a label stands: above its point, or below where something else is already."""
    above = y - 8 if y - 8 > TOP - 10 else y + 18
    taken = any(abs(above - one.label_y) < 14 for one in others)
    taken = taken or (level is not None and abs(above - 5 - level) < 10)
    return y + 18 if taken else above
