"""Made-up borrowers for the tests of this room and for tuning: one latent risk drives everything.

A borrower has a latent risk r ~ N(0, 1) and a size. Six monthly repayment statuses follow a Markov
chain whose lateness grows with r; balances and payments follow status, limit and r; default is a
logistic draw on r and the last status. Banks take different segments of limit and risk.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.catalogue import Catalogue, SignalStatus


@dataclass(frozen=True)
class Population:
    """Signals in catalogue order, labels and home banks of n borrowers."""

    status: NDArray[np.uint8]
    value: NDArray[np.float64]
    label: NDArray[np.int64]
    bank: NDArray[np.int64]


def make(
    catalogue: Catalogue, size: int, seed: int, *, public: bool = True, banks: int = 3
) -> Population:
    """A population; without `public` nobody's public record is held."""
    rng = np.random.default_rng(seed)
    risk = rng.normal(size=size)
    limit = np.exp(rng.normal(11.6, 0.8, size) - 0.35 * risk)
    limit = np.clip(np.round(limit, -4), 10_000, 800_000)
    state = _statuses(rng, risk)
    billed, paid = _statements(rng, risk, limit, state)
    late = state[:, 0]
    logit = -1.9 + 0.75 * risk + 0.55 * np.minimum(late, 3).clip(0) + 0.35 * (late == 2)
    logit += 0.25 * ((state >= 2).sum(axis=1) > 1)
    logit -= 0.25 * np.log(paid[:, :3].mean(axis=1) / 3e3 + 0.2)
    label = (rng.random(size) < 1 / (1 + np.exp(-logit))).astype(np.int64)
    columns = signals_of(state, billed, paid, limit)
    columns |= _public(rng, risk)
    value = np.zeros((size, len(catalogue.signals)))
    status = np.full(value.shape, SignalStatus.NOT_HELD, np.uint8)
    for name, column in columns.items():
        position = catalogue.index[name]
        value[:, position] = np.nan_to_num(column)
        status[:, position] = np.where(
            np.isnan(column), SignalStatus.NONE_ON_RECORD, SignalStatus.PRESENT
        )
        if not public and catalogue.signals[position].block == "public":
            status[:, position] = SignalStatus.NOT_HELD
    return Population(status, value, label, _home(rng, limit, risk, banks))


def _statuses(rng: np.random.Generator, risk: NDArray[np.float64]) -> NDArray[np.int64]:
    """int64[n, 6], newest first; -2 inactive, -1 cleared, 0 revolving, k months late."""
    size = len(risk)
    habit = rng.choice(3, size, p=[0.13, 0.24, 0.63]) - 2
    current = habit.copy()
    months = []
    for _ in range(6):
        slip = rng.random(size) < 1 / (1 + np.exp(2.6 - 1.1 * risk))
        cure = rng.random(size) < 1 / (1 + np.exp(-0.1 + 0.8 * risk))
        moved = np.where(rng.random(size) < 0.12, rng.choice(3, size) - 2, current)
        late = np.where(cure, habit, np.minimum(current + rng.integers(0, 2, size), 8))
        fresh = np.where(slip, rng.choice([1, 2], size, p=[0.35, 0.65]), np.minimum(moved, 0))
        current = np.where(current > 0, late, fresh)
        months.append(current)
    return np.stack(months[::-1], axis=1)


def _statements(
    rng: np.random.Generator,
    risk: NDArray[np.float64],
    limit: NDArray[np.float64],
    state: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Billed and paid float64[n, 6], newest first."""
    size = len(risk)
    use = 1 / (1 + np.exp(-(0.6 * risk + rng.normal(0, 1.2, size) - 0.3)))
    share = np.where(state == -2, 0.02, np.where(state == -1, 0.12 * use[:, None], use[:, None]))
    billed = np.round(limit[:, None] * share * np.exp(rng.normal(0, 0.15, (size, 6))))
    part = 0.04 * np.exp(rng.normal(0, 0.8, (size, 6)) - 0.2 * risk[:, None])
    ratio = np.where(state <= -1, 1.0, part)
    ratio = np.where((state >= 1) & (rng.random((size, 6)) < 0.6), 0.0, ratio)
    return billed, np.round(billed * np.minimum(ratio, 1.1))


def signals_of(
    state: NDArray[np.int64],
    billed: NDArray[np.float64],
    paid: NDArray[np.float64],
    limit: NDArray[np.float64],
) -> dict[str, NDArray[np.float64]]:
    late = state >= 1
    since = np.where(late.any(axis=1), np.argmax(late, axis=1).astype(float), np.nan)

    def ratio(months: int) -> NDArray[np.float64]:
        due = billed[:, 1 : months + 1].sum(axis=1)
        done = paid[:, :months].sum(axis=1)
        return np.where(due > 0, done / np.where(due > 0, due, 1), np.nan)

    months = np.arange(5, -1, -1.0) - 2.5
    level = np.abs(billed).mean(axis=1)
    slope = (billed @ months) / (months @ months)
    return {
        "credit_limit": limit,
        "current_status": state[:, 0].astype(float),
        "worst_status_3m": state[:, :3].max(axis=1).astype(float),
        "worst_status_6m": state.max(axis=1).astype(float),
        "late_months_6m": late.sum(axis=1).astype(float),
        "late60_months_6m": (state >= 2).sum(axis=1).astype(float),
        "months_since_late": since,
        "inactive_months_6m": (state == -2).sum(axis=1).astype(float),
        "cleared_months_6m": (state == -1).sum(axis=1).astype(float),
        "statement_balance": billed[:, 0],
        "paid_ratio_1m": ratio(1),
        "paid_ratio_3m": ratio(3),
        "paid_ratio_6m": ratio(5),
        "balance_slope_6m": np.where(level > 0, slope / np.where(level > 0, level, 1), np.nan),
        "unpaid_months_6m": ((billed[:, 1:] > 0) & (paid[:, :5] == 0)).sum(axis=1).astype(float),
        "paid_amount_1m": paid[:, 0],
        "paid_amount_3m": paid[:, :3].sum(axis=1),
    }


def _public(rng: np.random.Generator, risk: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    size = len(risk)
    sued = rng.random(size) < 1 / (1 + np.exp(4.5 - 1.2 * risk))
    listed = sued & (rng.random(size) < 0.3)
    owes = rng.random(size) < 1 / (1 + np.exp(4.5 - 0.9 * risk))
    return {
        "enforcement_amount": np.where(sued, np.exp(rng.normal(10.5, 1, size)), np.nan),
        "defendant_suits_24m": np.where(sued, 1.0 + rng.poisson(0.5, size), np.nan),
        "dishonest_debtor": np.where(listed, 1.0, np.nan),
        "tax_arrears": np.where(owes, np.exp(rng.normal(9, 1.2, size)), np.nan),
    }


def _home(
    rng: np.random.Generator, limit: NDArray[np.float64], risk: NDArray[np.float64], banks: int
) -> NDArray[np.int64]:
    """Banks of unequal size whose customers differ in limit and risk."""
    taste = rng.normal(size=(banks, 2))
    size = np.log(np.array([0.55, 0.3, 0.15, 0.1, 0.1])[:banks])
    pull = np.stack([np.log(limit) - 11.5, risk], axis=1) @ taste.T * 0.6 + size
    return np.argmax(pull + rng.gumbel(size=pull.shape), axis=1)
