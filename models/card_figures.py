"""From a campaign's opened tally to the figures of its model card. Post-processing: it is free.

**Intervals.** A figure is a function of noisy counts. The noise of a cell is known: a Gaussian of
the deviation that was charged. So is the law by which another draw of people would differ: a count
varies by about its own square root. `measured` draws both `DRAWS` times around the counts at hand,
takes how far that moves the figure on average as its bias (noise makes distances such as KS, PSI
and ECE look larger) and subtracts it; the interval is 1.96 standard deviations on either side. The
draws are seeded: the same tally always gives the same card.

**Where nobody is.** A bin that holds less than `LEAST_MASS` of those who trained, by their own
noisy histogram, is taken for empty: what stands in it is noise, and would blur everything else.

**What is left out.** A figure is None when there are too few people for it, by the noisy counts:
fewer than `FEWEST` of either outcome, or fewer than `CLEAR` deviations of the noise in their sum;
and when, all the same, draws in which it has no value are not rare.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.calibration import Calibration
from models.card import BandPart, Count, Figure, GroupPart
from models.catalogue import Catalogue
from models.evaluation import GROUP_EDGES
from models.scale import Band, Scale

DRAWS = 400
FEWEST = 20.0
CLEAR = 4.0
LEAST_MASS = 0.005
_SEED = 20_240_517

Floats = NDArray[np.float64]
# Each table float64[draws, ...]; gives float64[draws].
Statistic = Callable[..., Floats]


@dataclass(frozen=True)
class Table:
    """Counts with noise.

    Attributes:
        counts: float64[...], people.
        deviation: of the noise in each cell, people.
        used: float64[...] of ones and zeros, to multiply cells with; 1: all are used.
    """

    counts: Floats
    deviation: float
    used: Floats = field(default_factory=lambda: np.ones(1))

    @property
    def noise(self) -> Floats:
        """Standard deviation of the noise in each cell that is used."""
        return np.broadcast_to(self.deviation * self.used, self.counts.shape)

    def where(self, bins: NDArray[np.bool_]) -> "Table":
        """The same with only these bins used, bool[bins]; the axis before that of outcomes."""
        used = bins.astype(np.float64)[:, None]
        return Table(self.counts * used, self.deviation, used)

    @property
    def people(self) -> float:
        """Of all cells."""
        return float(self.counts.sum())

    def clear(self) -> bool:
        """Whether there are so many people that a figure can be told from noise."""
        return _clear(self.counts, self.noise)

    def clear_outcomes(self) -> bool:
        """Whether there are so many of either outcome, which is the last axis."""
        return all(_clear(self.counts[..., one], self.noise[..., one]) for one in (0, 1))

    def part(self, index: int) -> "Table":
        """One row of the first axis."""
        return Table(self.counts[index], self.deviation, self.used)


def measured(
    statistic: Statistic, tables: Sequence[Table], low: float = 0.0, high: float = 1.0
) -> Figure | None:
    """An estimate with its interval; see the module's text.

    Args:
        statistic: of the tables' counts.
        tables: what it is of.
        low: least it may be.
        high: most it may be.
    """
    rng = np.random.default_rng(_SEED)
    at = float(statistic(*(table.counts[None] for table in tables))[0])
    drawn = statistic(
        *(
            table.counts
            + rng.normal(size=(DRAWS, *table.counts.shape))
            * np.sqrt(table.noise**2 + np.maximum(table.counts, 0))
            for table in tables
        )
    )
    drawn = drawn[np.isfinite(drawn)]
    if not np.isfinite(at) or len(drawn) < 0.95 * DRAWS:
        return None
    reach = 1.96 * float(drawn.std(ddof=1))
    value = float(np.clip(2 * at - drawn.mean(), low, high))
    ends = np.clip([value - reach, value + reach], low, high)
    return Figure(round(value, 5), round(float(ends[0]), 5), round(float(ends[1]), 5))


# Statistics of tables of score bin x outcome, bins from safe to risky: float64[draws, bins, 2].


def auc(table: Floats) -> Floats:
    """Chance that a defaulter's bin is the riskier one, ties counted half."""
    good, bad = table[..., 0], table[..., 1]
    below = np.cumsum(good, axis=-1) - good / 2
    pairs = good.sum(axis=-1) * bad.sum(axis=-1)
    return _ratio((bad * below).sum(axis=-1), pairs)


def ks(table: Floats) -> Floats:
    """Largest distance of the two outcomes' distributions."""
    totals = table.sum(axis=-2, keepdims=True)
    shares = np.cumsum(_ratio(table, np.broadcast_to(totals, table.shape)), axis=-2)
    return np.asarray(np.abs(shares[..., 1] - shares[..., 0]).max(axis=-1))


def ece(pd: Floats) -> Statistic:
    """Mean distance of PD and default rate over bins, for the PD of each bin."""

    def of(table: Floats) -> Floats:
        gaps = np.abs(table.sum(axis=-1) * pd - table[..., 1]).sum(axis=-1)
        return _ratio(gaps, table.sum(axis=(-1, -2)))

    return of


def brier(pd: Floats) -> Statistic:
    """Mean squared error of the PD."""

    def of(table: Floats) -> Floats:
        errors = table[..., 1] * (1 - pd) ** 2 + table[..., 0] * pd**2
        return _ratio(errors.sum(axis=-1), table.sum(axis=(-1, -2)))

    return of


def gap(pd: Floats) -> Statistic:
    """Mean PD less default rate."""

    def of(table: Floats) -> Floats:
        over = (table.sum(axis=-1) * pd - table[..., 1]).sum(axis=-1)
        return _ratio(over, table.sum(axis=(-1, -2)))

    return of


def share(parts: Floats) -> Statistic:
    """Share of people, for the share of each bin that counts."""

    def of(table: Floats) -> Floats:
        people = table.sum(axis=-1)
        return _ratio((people * parts).sum(axis=-1), people.sum(axis=-1))

    return of


def default_rate(parts: Floats) -> Statistic:
    """Default rate, for the share of each bin that counts."""

    def of(table: Floats) -> Floats:
        inside = (table * parts[:, None]).sum(axis=-2)
        return _ratio(inside[..., 1], inside.sum(axis=-1))

    return of


def psi(then: Floats, now: Floats) -> Statistic:
    """Population stability index over bands of two tables.

    Args:
        then: float64[bands, bins], share of each bin of the first that lies in a band.
        now: the same of the second.
    """

    def of(before: Floats, after: Floats) -> Floats:
        old, new = (
            np.maximum(table.sum(axis=-1) @ parts.T, 0.5)
            for table, parts in ((before, then), (after, now))
        )
        old, new = (one / one.sum(axis=-1, keepdims=True) for one in (old, new))
        return np.asarray(((new - old) * np.log(new / old)).sum(axis=-1))

    return of


def churn(table: Floats) -> Floats:
    """Share of a person's reasons that the two versions do not have in common, float64[draws]."""
    kept = table * np.linspace(0, 1, table.shape[-1])
    return 1 - _ratio(kept.sum(axis=-1), table.sum(axis=-1))


# Bins.


def bin_pd(edges: Floats, calibration: Calibration) -> Floats:
    """The PD in the middle of each bin of raw log-odds."""
    return calibration.pd(_middles(edges))


def at_or_above(edges: Floats, floor: float, calibration: Calibration, scale: Scale) -> Floats:
    """Share of each bin of raw log-odds at or above a floor in points, spread evenly within it."""
    step = edges[1] - edges[0]
    ends = np.concatenate([[edges[0] - step], edges, [edges[-1] + step]])
    fine = ends[:-1, None] + (np.arange(32) + 0.5) / 32 * np.diff(ends)[:, None]
    return np.asarray((scale.unclipped(calibration.logit(fine)) >= floor).mean(axis=1))


def in_bands(
    edges: Floats, bands: Sequence[Band], calibration: Calibration, scale: Scale
) -> Floats:
    """Share of each bin that lies in each band, float64[bands, bins]; bands best first."""
    above = [at_or_above(edges, band.floor, calibration, scale) for band in bands[:-1]]
    within = np.array([*above, np.ones(len(edges) + 1)])
    return np.diff(within, axis=0, prepend=np.zeros((1, within.shape[1])))


def count_band(people: float) -> Count:
    """A count in steps of 1, 2, 5: 0-100, 100-200, 200-500, ..."""
    if people < 100:
        return Count(0, 100)
    power = 10 ** int(np.floor(np.log10(people)))
    step = max(one for one in (1, 2, 5) if people >= one * power)
    return Count(step * power, {1: 2, 2: 5, 5: 10}[step] * power)


def band_parts(
    table: Table,
    before: Table | None,
    bands: Sequence[Band],
    inside: Floats,
    inside_before: Floats | None,
) -> tuple[BandPart, ...]:
    """Predicted and observed by band.

    Args:
        table: score bin x outcome.
        before: the same people by the version before.
        bands: of the model.
        inside: of `in_bands`.
        inside_before: the same for the version before.
    """
    if not table.clear():
        return tuple(BandPart(band.name, band.pd) for band in bands)
    found = []
    for position, band in enumerate(bands):
        parts = inside[position]
        people = (table.counts.sum(axis=-1) * parts).sum()
        noise = np.linalg.norm(table.noise * parts[:, None])
        rate = measured(default_rate(parts), [table]) if people > max(100, CLEAR * noise) else None
        old = None
        if before is not None and inside_before is not None and before.clear():
            old = measured(share(inside_before[position]), [before])
        found.append(BandPart(band.name, band.pd, measured(share(parts), [table]), rate, old))
    return tuple(found)


def group_parts(
    catalogue: Catalogue,
    tables: dict[str, Table],
    whole: Table,
    calibration: Calibration,
    scale: Scale,
    floor: int,
) -> tuple[GroupPart, ...]:
    """Every cell of every group.

    Args:
        catalogue: names the groups.
        tables: by group id, cell x bin of `GROUP_EDGES` x outcome.
        whole: everybody measured, bin of `GROUP_EDGES` x outcome.
        calibration: of the model.
        scale: of the model.
        floor: of approval, points.
    """
    pd = bin_pd(GROUP_EDGES, calibration)
    parts = at_or_above(GROUP_EDGES, floor, calibration, scale)
    approved = share(parts)
    found = []
    for group in catalogue.groups:
        for position, cell in enumerate(group.labels):
            table = tables[group.id].part(position)
            line = GroupPart(group.id, cell, count_band(table.people))
            if table.clear() and table.people >= 100:
                line = GroupPart(
                    group.id,
                    cell,
                    line.people,
                    auc=measured(auc, [table]) if table.clear_outcomes() else None,
                    gap=measured(gap(pd), [table], -1.0),
                    approved=measured(approved, [table]),
                    ratio=_approval_ratio(approved, table, whole),
                )
            found.append(line)
    return tuple(found)


def _approval_ratio(approved: Statistic, table: Table, whole: Table) -> Figure | None:
    if not whole.clear():
        return None
    return measured(
        lambda one, all_: _ratio(approved(one), approved(all_)), [table, whole], 0.0, 10.0
    )


def coarser(table: Table) -> Table:
    """A table of the bins of `EDGES` or of `SCORE_EDGES` on those of `GROUP_EDGES`."""
    every = (len(table.counts) - 2) // (len(GROUP_EDGES) - 1)
    # Each cell is a sum of `every` noisy ones, the two open bins of one.
    return Table(joined(table.counts, len(GROUP_EDGES) + 1), table.deviation * every**0.5)


def joined(counts: Floats, bins: int) -> Floats:
    """Counts float64[n, ...] of fine bins on `bins` wider ones; the two open ones stay."""
    inner = counts[1:-1].reshape(bins - 2, -1, *counts.shape[1:]).sum(axis=1)
    return np.concatenate([counts[:1], inner, counts[-1:]])


def occupied(histogram: Floats, bins: int) -> NDArray[np.bool_]:
    """Which of `bins` bins hold people, bool[bins], by a histogram of at least as many bins.

    Args:
        histogram: float64[n, 2], of the people who trained.
        bins: of the table that is asked about.
    """
    people = joined(histogram.sum(axis=1), bins)
    return np.asarray(people > LEAST_MASS * max(float(people.sum()), 1.0))


def _middles(edges: Floats) -> Floats:
    half = (edges[1] - edges[0]) / 2
    return np.concatenate([[edges[0] - half], edges[:-1] + half, [edges[-1] + half]])


def _clear(counts: Floats, noise: Floats) -> bool:
    return bool(counts.sum() >= max(FEWEST, CLEAR * float(np.linalg.norm(noise))))


def _ratio(part: Floats, whole: Floats) -> Floats:
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    out = np.full(np.shape(whole), np.nan)
    return np.asarray(np.divide(part, whole, out=out, where=whole > 0))
