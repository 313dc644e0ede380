"""The rules that raise alerts, as a table, and what each sees.

score_drift          the score's PSI: .10 watch, .25 act
signal_drift         a signal's PSI, the same
calibration_off      expected over observed defaults: its interval leaves 1, then .8 to 1.25
auc_drop             the AUC lies .02 below the model card's, then .05
epsilon_nearly_spent a member has spent 80 % of the newest plan's ceiling, or refused for budget
retraining_overdue   a training schedule is a week past due, or its campaigns complete nothing
watch_overdue        the same of a watch schedule
member_silent        an active member has not called for fifteen minutes

An interval, and not the figure itself, has to be beyond a threshold: noise alone raises nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from coordinator.storage.schedules import ScheduleRow
from coordinator.watch.alerts import Condition, Tone
from models.drift import PSI_ALERT, PSI_WATCH, Estimate, Findings

MINUTE_MS: Final = 60_000
DAY_MS: Final = 86_400_000
RATIO_LOW, RATIO_HIGH = 0.8, 1.25
AUC_WATCH, AUC_ALERT = 0.02, 0.05
NEARLY_SPENT, SPENT = 0.8, 1.0 - 1e-6
BUDGET_CODE: Final = "budget_exhausted"
SILENT_MS: Final = 15 * MINUTE_MS
OVERDUE_MS: Final = 7 * DAY_MS

OF_WATCHES: Final = frozenset({"score_drift", "signal_drift", "calibration_off", "auc_drop"})
OF_NETWORK: Final = frozenset(
    {"epsilon_nearly_spent", "retraining_overdue", "watch_overdue", "member_silent"}
)
RULES: Final = OF_WATCHES | OF_NETWORK
# What makes a schedule that listens to drift due at once, when it is a danger.
DRIFT: Final = OF_WATCHES
_OVERDUE: Final = {"training": "retraining_overdue", "watch": "watch_overdue"}


@dataclass(frozen=True)
class Spending:
    """The most that a member can have spent, of the newest plan's ceiling.

    Attributes:
        share: of the ceiling, by the plans it accepted.
        refused: whether it refused the newest campaign because its budget is spent.
    """

    share: float
    refused: bool


def of_watch(version: str, found: Findings, card_auc: float | None) -> Iterator[Condition]:
    """What a watch of the version in force says.

    Args:
        version: that was watched.
        found: what it found.
        card_auc: the AUC in the model's card, if it has one.
    """
    if found.psi is not None:
        yield from _psi("score_drift", version, found.psi)
    for name, one in found.signals.items():
        yield from _psi("signal_drift", f"{version} {name}", one)
    yield from _ratio(version, found.ratio)
    if card_auc is not None:
        drop = card_auc - found.auc.high
        tone = _over(drop, AUC_WATCH, AUC_ALERT)
        if tone is not None:
            detail = f"AUC {found.auc.value:.3f}, {card_auc:.3f} when it was made"
            yield Condition("auc_drop", version, tone, round(found.auc.value, 4), detail)


def of_spending(spending: Mapping[str, Spending]) -> Iterator[Condition]:
    """Members whose people have little privacy left to spend."""
    for member_id, one in sorted(spending.items()):
        tone = "danger" if one.refused else _over(one.share, NEARLY_SPENT, SPENT)
        if tone is not None:
            detail = "it refused the newest campaign: its budget is spent" if one.refused else ""
            number = round(one.share, 2)
            yield Condition("epsilon_nearly_spent", member_id, tone, number, detail)


def of_schedules(schedules: Iterable[ScheduleRow], now_ms: int) -> Iterator[Condition]:
    """Schedules that do not get done what they are for."""
    for row in schedules:
        late = now_ms - row.due_at_ms
        if row.failures:
            tone: Tone = "danger" if row.failures > 1 else "warn"
            yield Condition(_OVERDUE[row.kind], row.kind, tone, float(row.failures), row.detail)
        elif late > OVERDUE_MS:
            yield Condition(_OVERDUE[row.kind], row.kind, "warn", float(late // DAY_MS))


def of_silence(last_seen_ms: Mapping[str, int | None], now_ms: int) -> Iterator[Condition]:
    """Active members that are not heard of; the value is when they called last."""
    for member_id, seen in sorted(last_seen_ms.items()):
        if seen is not None and now_ms - seen >= SILENT_MS:
            # The minute it went silent, and not how long ago that is: an alert is not a clock.
            yield Condition("member_silent", member_id, "danger", None, "")


def _psi(rule: str, about: str, one: Estimate) -> Iterator[Condition]:
    tone = _over(one.low, PSI_WATCH, PSI_ALERT)
    if tone is not None:
        detail = f"PSI {one.value:.3f}, 90 % interval {one.low:.3f} to {one.high:.3f}"
        yield Condition(rule, about, tone, round(one.value, 4), detail)


def _ratio(version: str, one: Estimate) -> Iterator[Condition]:
    if one.low <= 1 <= one.high:
        return
    tone: Tone = "danger" if one.low > RATIO_HIGH or one.high < RATIO_LOW else "warn"
    detail = (
        f"expected over observed defaults {one.value:.2f}, 90 % interval "
        f"{one.low:.2f} to {one.high:.2f}"
    )
    yield Condition("calibration_off", version, tone, round(one.value, 4), detail)


def _over(value: float, warn: float, danger: float) -> Tone | None:
    if value >= danger:
        return "danger"
    return "warn" if value >= warn else None
