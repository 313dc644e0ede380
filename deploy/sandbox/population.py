"""A synthetic population: seeded, with joint distributions that make sense.

Assumptions. Everything about a person follows from two traits and from shocks, so that what
institutions see is correlated for a reason and none of them sees enough to be sure:

- *Risk* `z` ~ N(0, 1): lasting unreliability. *Strain* `l` = .45 z + N(0, .8): how far a person
  lives on credit. A bank's statuses show mostly risk, payments show mostly strain; this is why
  exchanged signals add something.
- *Affluence* = -.3 z - .2 l + N(0, 1) sets the credit limit (log-normal around 120,000, 10,000 to
  800,000) and sorts people softly into banks of 50, 30 and 20 %.
- *Shocks* (illness, lost work) strike with 2 % a month at z = 0 and last five months on average.
- *Month status* is a Markov chain of twelve months, of which the last six are kept: who is not
  late becomes late with a chance that grows with risk, strain and shock; who is late pays up,
  stays or falls a month further behind; otherwise a month is inactive, cleared or revolving, and
  four times in five as the month before.
- *Balances*: utilisation is a logistic random walk around strain; inactive months bill nothing and
  cleared ones a small balance. *Payments*: all of a cleared balance; a share of a revolving one
  that falls with strain and sometimes nothing; of a late one mostly nothing. Statuses and
  payments disagree at times, as two institutions' records do.
- *Public record*: 6 % of people have any, the more likely the higher risk and strain.
- *Default* in the month after: logistic in risk, strain, shock, months late now, utilisation and an
  open enforcement, around a mean of 20 %. Most of the variation stays chance.

The payments processor knows 97 % of the people, at random. Amounts are CNY.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np

from deploy.sandbox.shape import Codes, Filings, Floats, Integers, Population, assign_banks

DEFAULT_SIZE = 12_000
MAX_SIZE = 1_000_000
MONTHS = tuple(date(2025, month, 1) for month in range(4, 10))
OBSERVED_ON = date(2025, 10, 31)
AS_OF = np.datetime64("2025-10-01")
BURN_IN = 6
MEAN_DEFAULT = 0.20
PUBLIC_RECORD_SHARE = 0.06
AT_PAYMENTS_SHARE = 0.97
INACTIVE, CLEARED, NORMAL = -2, -1, 0  # 1..7 months late


@dataclass(frozen=True, slots=True)
class _Traits:
    """What drives a person; float64[n] each, shocks bool[n, all months]."""

    risk: Floats
    strain: Floats
    affluence: Floats
    shock: Floats


def generate(seed: int, size: int = DEFAULT_SIZE) -> Population:
    """Draw a population.

    Args:
        seed: the same seed and size give the same population.
        size: number of people, 100 to `MAX_SIZE`.

    Raises:
        ValueError: the size is out of range.
    """
    if not 100 <= size <= MAX_SIZE:
        raise ValueError(f"a population has 100 to {MAX_SIZE} people")
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(7)]
    traits = _traits(size, streams[0])
    limit = _limits(traits, streams[1])
    states = _states(traits, streams[2])
    billed, paid, utilisation = _amounts(traits, limit, states, streams[3])
    filings = _filings(traits, streams[4])
    defaulted = _outcomes(traits, states, utilisation, filings, streams[5])
    months_open = 6 + streams[6].gamma(2.0, 30.0, size).astype(np.int64)
    opened = (AS_OF.astype("datetime64[M]") - months_open).astype("datetime64[D]")
    return Population(
        name="synthetic",
        seed=seed,
        currency="CNY",
        months=MONTHS,
        observed_on=OBSERVED_ON,
        person_id=np.arange(size, dtype=np.int64),
        bank=assign_banks(traits.affluence, streams[6]),
        credit_limit=limit,
        opened_on=opened,
        status=_codes(states),
        billed=billed,
        paid=paid,
        at_payments=streams[6].random(size) < AT_PAYMENTS_SHARE,
        filings=filings,
        defaulted=defaulted,
    )


def _traits(size: int, rng: np.random.Generator) -> _Traits:
    risk = rng.normal(size=size)
    strain = 0.45 * risk + rng.normal(scale=0.8, size=size)
    affluence = -0.3 * risk - 0.2 * strain + rng.normal(size=size)
    months = BURN_IN + len(MONTHS)
    shock = np.zeros((size, months))
    for month in range(months):
        struck = rng.random(size) < 0.02 * np.exp(0.3 * risk)
        lasting = rng.random(size) < 0.8
        before = shock[:, month - 1] if month else np.zeros(size)
        shock[:, month] = struck | ((before > 0) & lasting)
    return _Traits(risk, strain, affluence, shock)


def _limits(traits: _Traits, rng: np.random.Generator) -> Integers:
    log_limit = (
        np.log(120_000) + 0.65 * traits.affluence + rng.normal(scale=0.35, size=len(traits.risk))
    )
    return np.asarray(np.exp(log_limit).clip(10_000, 800_000) // 1000 * 1000, dtype=np.int64)


def _states(traits: _Traits, rng: np.random.Generator) -> Integers:
    """Month states of the last six months, int64[n, 6]: -2, -1, 0 or months late."""
    size, months = traits.shock.shape
    resting = np.stack(  # log-odds of inactive, cleared, revolving
        [
            -1.2 - 0.3 * traits.strain + rng.normal(size=size),
            -0.2 - 1.1 * traits.strain + rng.normal(size=size),
            0.7 + 0.9 * traits.strain,
        ],
        axis=1,
    )
    states = np.zeros((size, months), dtype=np.int64)
    before = _rest(resting, rng)
    for month in range(months):
        before = _next_state(before, traits, traits.shock[:, month], resting, rng)
        states[:, month] = before
    return states[:, BURN_IN:]


def _next_state(
    before: Integers,
    traits: _Traits,
    shock: Floats,
    resting: Floats,
    rng: np.random.Generator,
) -> Integers:
    size = len(before)
    late = before >= 1
    falls = rng.random(size) < _logistic(
        -3.9 + 0.8 * traits.risk + 0.35 * traits.strain + 1.8 * shock
    )
    pays_up = rng.random(size) < _logistic(
        0.7 - 0.55 * traits.risk - 1.2 * shock - 0.25 * np.maximum(before, 0)
    )
    further = rng.random(size) < 0.55
    changes = late | (rng.random(size) < 0.2)
    rested = np.where(changes, _rest(resting, rng), before)
    behind = np.minimum(before + further, 7)
    return np.where(late, np.where(pays_up, rested, behind), np.where(falls, 1, rested))


def _rest(resting: Floats, rng: np.random.Generator) -> Integers:
    """Draw inactive, cleared or revolving from log-odds (Gumbel trick)."""
    drawn = (resting + rng.gumbel(size=resting.shape)).argmax(axis=1)
    return np.asarray(np.array([INACTIVE, CLEARED, NORMAL])[drawn], dtype=np.int64)


def _amounts(
    traits: _Traits, limit: Integers, states: Integers, rng: np.random.Generator
) -> tuple[Integers, Integers, Floats]:
    """Billed and paid, int64[n, 6], and the last month's utilisation, float64[n]."""
    size, months = states.shape
    strain = traits.strain[:, None]
    drift = 0.06 * traits.strain + 0.25 * traits.shock[:, -1]
    steps = rng.normal(scale=0.25, size=(size, months)).cumsum(axis=1)
    level = rng.normal(scale=0.8, size=(size, 1)) + 1.1 * strain - 0.5
    utilisation = _logistic(level + steps + drift[:, None] * np.arange(months))
    small = utilisation * rng.beta(1.5, 5.0, size=(size, months))
    share = np.select([states == INACTIVE, states == CLEARED], [0.0, small], utilisation)
    billed = (share * limit[:, None]).astype(np.int64)
    willing = _logistic(
        -1.6 - 0.9 * strain - 0.4 * traits.risk[:, None] + rng.normal(scale=0.8, size=(size, 1))
    )
    part = (0.02 + willing * rng.beta(1.2, 2.5, size=(size, months))).clip(0, 1)
    skipped = rng.random((size, months)) < _logistic(-3.2 + 0.6 * strain + 0.8 * (states >= 1) * 3)
    paid_share = np.where(states == CLEARED, 1.0, np.where(skipped, 0.0, part))
    paid = np.ceil(paid_share * billed).astype(np.int64)
    return billed, paid, utilisation[:, -1]


def _filings(traits: _Traits, rng: np.random.Generator) -> Filings:
    size = len(traits.risk)
    leaning = 0.9 * traits.risk + 0.4 * traits.strain + rng.logistic(size=size)
    people = np.sort(np.argsort(-leaning)[: round(PUBLIC_RECORD_SHARE * size)])
    chances = {"enforcement": 0.5, "defendant_suit": 0.6, "dishonest_debtor": 0.15}
    chances["tax_arrears"] = 0.12
    has = {kind: rng.random(len(people)) < chance for kind, chance in chances.items()}
    has["enforcement"] |= has["dishonest_debtor"]  # nobody is listed without an enforcement
    has["defendant_suit"] |= ~np.logical_or.reduce(list(has.values()))
    again = has["defendant_suit"] & (rng.random(len(people)) < 0.35)
    parts = [_entries(kind, people[chosen], rng) for kind, chosen in has.items()]
    parts.append(_entries("defendant_suit", people[again], rng))
    return Filings(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _entries(
    kind: str, people: Integers, rng: np.random.Generator
) -> tuple[Integers, Codes, Integers, np.ndarray, np.ndarray]:
    """Entries of one kind, one a person, of the three years before `AS_OF`."""
    size = len(people)
    median = {"enforcement": 60_000, "defendant_suit": 45_000, "tax_arrears": 8_000}.get(kind)
    amount = np.full(size, -1, dtype=np.int64)
    if median is not None:
        amount = np.maximum(1, rng.lognormal(np.log(median), 1.0, size)).astype(np.int64)
    filed = AS_OF - rng.integers(20, 3 * 365, size)
    closed = filed + rng.integers(60, 900, size)
    is_open = (closed >= AS_OF) | (rng.random(size) < 0.4)
    closed[is_open] = np.datetime64("NaT")
    return people, np.full(size, kind), amount, filed, closed


def _outcomes(
    traits: _Traits,
    states: Integers,
    utilisation: Floats,
    filings: Filings,
    rng: np.random.Generator,
) -> Integers:
    enforced = np.zeros(len(traits.risk))
    open_ones = (filings.kind == "enforcement") & np.isnat(filings.closed_on)
    enforced[filings.person[open_ones]] = 1.0
    logit = (
        0.9 * traits.risk
        + 0.6 * traits.strain
        + 1.0 * traits.shock[:, -1]
        + 0.6 * states[:, -1].clip(0, 3)
        + 0.8 * (utilisation - 0.5)
        + 0.7 * enforced
    )
    chance = _logistic(logit + _intercept(logit, MEAN_DEFAULT))
    return (rng.random(len(chance)) < chance).astype(np.int64)


def _intercept(logit: Floats, mean: float) -> float:
    """The constant at which the mean chance is `mean`, by bisection."""
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _logistic(logit + middle).mean() < mean else (low, middle)
    return (low + high) / 2


def _codes(states: Integers) -> Codes:
    codes = np.asarray(["*", "C", "N", "1", "2", "3", "4", "5", "6", "7"])
    return codes[states + 2]


def _logistic(log_odds: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-log_odds)))
