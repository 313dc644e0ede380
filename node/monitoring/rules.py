"""What counts as a change: one look at a person compared with those before it. Pure.

A look gives points, figures by signal, and perhaps a number of lenders. What it is compared with
moves with what is good news and stays for what is bad, so that a slow slide is noticed like a fall:

| Event | Noticed when | Compared with |
|---|---|---|
| score_drop | points fell by `score_drop_points` | the most since it was last told |
| new_debt | a debt figure rose by `new_debt_amount` | the least since it was last told |
| delinquency | a figure of late or unpaid debts rose | the last look |
| multi_lender_growth | `new_lenders` more lenders | the fewest since it was last told |

Points are compared only between looks with the same model and the same sources, lenders between
those that the same holders answered: who did not answer is no change of the person. The first look
is told to nobody.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from models.catalogue import SignalStatus
from node.storage.signals import Signals

SCORE_DROP, NEW_DEBT, DELINQUENCY, MULTI_LENDER = (
    "score_drop", "new_debt", "delinquency", "multi_lender_growth"
)  # fmt: skip
EVENTS = (DELINQUENCY, MULTI_LENDER, NEW_DEBT, SCORE_DROP)
DEFAULTS: Mapping[str, float] = {
    "score_drop_points": 20,
    "new_debt_amount": 10_000,
    "new_lenders": 1,
}
DEBT_SIGNALS = ("statement_balance", "credit_limit")
LATE_SIGNALS = (
    "current_status",
    "unpaid_months_6m",
    "dishonest_debtor",
    "enforcement_amount",
    "tax_arrears",
)


@dataclass(frozen=True, slots=True)
class Look:
    """What is seen of a person at one time.

    Attributes:
        model: version that gave the points.
        sources: who contributed, sorted.
        figures: by signal of `DEBT_SIGNALS` and `LATE_SIGNALS`; absent: nobody says.
        lenders: distinct other lenders; None: nobody says.
        lenders_by: the holders that said so, sorted.
    """

    points: int
    model: str
    sources: tuple[str, ...]
    figures: Mapping[str, float]
    lenders: int | None = None
    lenders_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the next look is compared with; `points` and `lenders` by who said so."""

    model: str = ""
    points: Mapping[str, int] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)
    lenders: Mapping[str, int] = field(default_factory=dict)

    def to_text(self) -> str:
        """JSON."""
        return json.dumps(
            {
                "model": self.model,
                "points": dict(self.points),
                "figures": dict(self.figures),
                "lenders": dict(self.lenders),
            }
        )

    @classmethod
    def parse(cls, text: str | None) -> "Baseline":
        """What `to_text` wrote; of None an empty one."""
        return cls() if text is None else cls(**json.loads(text))


@dataclass(frozen=True, slots=True)
class Noticed:
    """A change; `detail` says what moved, from what to what."""

    event: str
    detail: Mapping[str, Any]


def figures_of(merged: Signals) -> dict[str, float]:
    """The figures that rules look at; one that nobody states or that is disputed is absent."""
    found: dict[str, float] = {}
    for name in (*DEBT_SIGNALS, *LATE_SIGNALS):
        status, value = merged.get(name, (int(SignalStatus.NOT_HELD), 0.0))
        if status == int(SignalStatus.PRESENT):
            found[name] = max(value, 0.0)  # below 0: a status that is not late, a credit balance
        elif status == int(SignalStatus.NONE_ON_RECORD):
            found[name] = 0.0
    return found


def compare(
    before: Baseline, look: Look, thresholds: Mapping[str, float]
) -> tuple[Baseline, list[Noticed]]:
    """What changed, and what the next look is compared with."""
    noticed: list[Noticed] = []
    points = _points(before, look, thresholds["score_drop_points"], noticed)
    figures = dict(before.figures)
    for name, value in look.figures.items():
        limit = thresholds["new_debt_amount"] if name in DEBT_SIGNALS else None
        figures[name] = _figure(name, before.figures.get(name), value, limit, noticed)
    lenders = _lenders(before, look, thresholds["new_lenders"], noticed)
    return Baseline(look.model, points, figures, lenders), noticed


def _points(before: Baseline, look: Look, limit: float, noticed: list[Noticed]) -> dict[str, int]:
    kept = dict(before.points) if before.model == look.model else {}
    key = ",".join(look.sources)
    was = kept.get(key)
    if was is not None and was - look.points >= limit:
        noticed.append(Noticed(SCORE_DROP, {"from": was, "to": look.points, "model": look.model}))
        was = None
    kept[key] = look.points if was is None else max(was, look.points)
    return kept


def _figure(
    name: str, was: float | None, now: float, limit: float | None, noticed: list[Noticed]
) -> float:
    """The figure to compare with next; `limit` None: any rise counts."""
    if was is None:
        return now
    rise = now - was
    if rise > 0 if limit is None else rise >= limit:
        event = DELINQUENCY if limit is None else NEW_DEBT
        noticed.append(Noticed(event, {"signal": name, "from": was, "to": now}))
        return now
    return now if limit is None else min(was, now)


def _lenders(before: Baseline, look: Look, limit: float, noticed: list[Noticed]) -> dict[str, int]:
    kept, key = dict(before.lenders), ",".join(look.lenders_by)
    if look.lenders is None:
        return kept
    was = kept.get(key)
    if was is not None and look.lenders - was >= limit:
        noticed.append(Noticed(MULTI_LENDER, {"from": was, "to": look.lenders}))
        was = None
    kept[key] = look.lenders if was is None else min(was, look.lenders)
    return kept
