"""Synthetic borrowers with monthly statements: a family of worlds, each drawn from one seed.

A world is a set of rules; a person is drawn under them. Rules differ between worlds within what is
plausible of consumer credit anywhere: how often people slip and recover, how far they use their
limits, what they pay, and how default follows from lasting unreliability, lateness, payments,
limit and use. A lender knows all of it in kind and none of it in degree, which is what a prior is.

Columns are those of a table of six monthly statements: LIMIT_BAL; PAY_0, PAY_2 ... PAY_6 status
from the latest back (-2 no consumption, -1 paid in full, 0 revolving, k months late); BILL_AMT1-6
and PAY_AMT1-6 from the latest back.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.credit.table import Table

Floats = NDArray[np.float64]
STATES = ("PAY_0", "PAY_2", "PAY_3", "PAY_4", "PAY_5", "PAY_6")
MONTHS = 6


@dataclass(frozen=True)
class Rules:
    """What differs between worlds. `effects` are log-odds of default, scaled to its predictability.

    Attributes:
        limit: mean and spread of its logarithm, and how it falls with risk.
        habit: shares of inactive, clearing and revolving people.
        slip: log-odds of a late month at mean risk, with its slope; share of two months at once.
        cure: log-odds of paying up and its slope in risk.
        moves: chance of a month unlike the last.
        use: mean and spread of utilisation's log-odds, slope in risk.
        part: share of the balance that a revolver pays, fall with risk.
        skips: chance that a late month pays nothing.
        effects: of risk, lateness now, two months late now, lateness twice, payments, limit, use,
            no use, worst lateness, no payment now.
        default: mean rate.
    """

    limit: tuple[float, float, float]
    habit: tuple[float, ...]
    slip: tuple[float, float, float]
    cure: tuple[float, float]
    moves: float
    use: tuple[float, float, float]
    part: tuple[float, float]
    skips: float
    effects: tuple[float, ...]
    default: float


def rules(seed: int) -> Rules:
    """The rules of a world."""
    rng = np.random.default_rng([seed, 1])

    def near(middle: float, spread: float) -> float:
        return float(rng.normal(middle, spread))

    strength = rng.uniform(0.45, 0.75)
    effects = (
        abs(near(0.75, 0.2)), abs(near(0.5, 0.2)), near(0.35, 0.25), abs(near(0.25, 0.15)),
        -abs(near(0.25, 0.1)), -abs(near(0.2, 0.15)), abs(near(0.5, 0.4)), near(0.0, 0.2),
        abs(near(0.2, 0.15)), abs(near(0.2, 0.15)),
    )  # fmt: skip
    return Rules(
        limit=(near(11.6, 0.15), abs(near(0.8, 0.1)), near(0.35, 0.1)),
        habit=tuple(float(share) for share in rng.dirichlet([2, 4, 8])),
        slip=(near(-2.6, 0.35), abs(near(1.1, 0.25)), float(rng.uniform(0.4, 0.8))),
        cure=(near(-0.1, 0.3), abs(near(0.8, 0.2))),
        moves=float(rng.uniform(0.06, 0.2)),
        use=(near(-0.3, 0.2), abs(near(1.2, 0.2)), near(0.6, 0.2)),
        part=(near(-3.2, 0.3), abs(near(0.2, 0.1))),
        skips=float(rng.uniform(0.35, 0.75)),
        effects=tuple(float(effect * strength) for effect in effects),
        default=near(0.2, 0.03),
    )


def draw(seed: int, size: int) -> Table:
    """A table of people of the world of that seed.

    Args:
        seed: the same seed and size give the same table.
        size: people.
    """
    world = rules(seed)
    rng = np.random.default_rng([seed, 2])
    risk = rng.normal(size=size)
    middle, spread, fall = world.limit
    limit = np.exp(rng.normal(middle, spread, size) - fall * risk)
    limit = np.clip(np.round(limit, -4), 10_000, 800_000)
    state = _states(world, risk, rng)
    billed, paid = _statements(world, risk, limit, state, rng)
    odds = _odds(world, risk, limit, state, billed, paid)
    label = rng.random(size) < sigmoid(odds + _shift(odds, world.default))
    columns: dict[str, Floats] = {"LIMIT_BAL": limit}
    columns |= {name: state[:, month].astype(np.float64) for month, name in enumerate(STATES)}
    columns |= {f"BILL_AMT{month + 1}": billed[:, month] for month in range(MONTHS)}
    columns |= {f"PAY_AMT{month + 1}": paid[:, month] for month in range(MONTHS)}
    return Table(columns, label.astype(np.int64))


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + e^-x)."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * x))


def _states(world: Rules, risk: Floats, rng: np.random.Generator) -> NDArray[np.int64]:
    """int64[n, 6], latest first."""
    size = len(risk)
    habit = rng.choice(3, size, p=np.array(world.habit)) - 2
    current, months = habit.copy(), []
    base, slope, twice = world.slip
    for _ in range(MONTHS):
        slips = rng.random(size) < sigmoid(base + slope * risk)
        cures = rng.random(size) < sigmoid(world.cure[0] - world.cure[1] * risk)
        moved = np.where(rng.random(size) < world.moves, rng.choice(3, size) - 2, current)
        later = np.where(cures, habit, np.minimum(current + rng.integers(0, 2, size), 8))
        fresh = rng.choice([1, 2], size, p=[1 - twice, twice])
        fresh = np.where(slips, fresh, np.minimum(moved, 0))
        current = np.where(current > 0, later, fresh)
        months.append(current)
    return np.stack(months[::-1], axis=1)


def _statements(
    world: Rules,
    risk: Floats,
    limit: Floats,
    state: NDArray[np.int64],
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """Billed and paid float64[n, 6], latest first."""
    shape = (len(risk), MONTHS)
    middle, spread, slope = world.use
    use = sigmoid(slope * risk + rng.normal(middle, spread, len(risk)))[:, None]
    share = np.where(state == -2, 0.02, np.where(state == -1, 0.12 * use, use))
    billed = np.round(limit[:, None] * share * np.exp(rng.normal(0, 0.15, shape)))
    part = np.exp(world.part[0] + rng.normal(0, 0.8, shape) - world.part[1] * risk[:, None])
    ratio = np.where(state <= -1, 1.0, part)
    ratio = np.where((state >= 1) & (rng.random(shape) < world.skips), 0.0, ratio)
    return billed, np.round(billed * np.minimum(ratio, 1.1))


def _odds(
    world: Rules,
    risk: Floats,
    limit: Floats,
    state: NDArray[np.int64],
    billed: Floats,
    paid: Floats,
) -> Floats:
    late = state[:, 0]
    parts = [
        risk,
        np.clip(late, 0, 3),
        late == 2,
        (state >= 2).sum(axis=1) > 1,
        np.log(paid[:, :3].mean(axis=1) / 3e3 + 0.2),
        np.log(limit) - 11.6,
        billed[:, 0] / limit - 0.4,
        late == -2,
        np.clip(state.max(axis=1), 0, 3),
        paid[:, 0] == 0,
    ]
    return np.asarray(np.stack(parts, axis=1).astype(np.float64) @ np.array(world.effects))


def _shift(odds: Floats, rate: float) -> float:
    """What makes the mean rate come true."""
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if sigmoid(odds + middle).mean() < rate else (low, middle)
    return middle
