"""What counts as a change, and what does not."""

import pytest

from models.catalogue import SignalStatus
from node.monitoring.rules import DEFAULTS, Baseline, Look, compare, figures_of


def look(points=700, lenders=None, sources=("bank-a",), model="m1", by=("bank-b",), **figures):
    return Look(points, model, sources, figures, lenders, by)


def told(*looks: Look) -> list[list[str]]:
    """What each look tells, one after the other."""
    baseline, found = Baseline(), []
    for one in looks:
        baseline, noticed = compare(Baseline.parse(baseline.to_text()), one, DEFAULTS)
        found.append([event.event for event in noticed])
    return found


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ([look(700), look(681), look(680), look(675)], [[], [], ["score_drop"], []]),
        ([look(700), look(695), look(690), look(685), look(680)], [[], [], [], [], ["score_drop"]]),
        ([look(700), look(720), look(700)], [[], [], ["score_drop"]]),
        ([look(700), look(600, model="m2")], [[], []]),
        ([look(700), look(600, sources=("bank-a", "payments"))], [[], []]),
        ([look(700, sources=("a", "b")), look(600, sources=("a",)), look(670, sources=("a", "b"))],
         [[], [], ["score_drop"]]),
        ([look(statement_balance=1_000), look(statement_balance=10_999)], [[], []]),
        ([look(statement_balance=1_000), look(statement_balance=11_000)], [[], ["new_debt"]]),
        ([look(statement_balance=9_000), look(statement_balance=0), look(statement_balance=10_000)],
         [[], [], ["new_debt"]]),
        ([look(credit_limit=50_000), look(credit_limit=60_000)], [[], ["new_debt"]]),
        ([look(current_status=0), look(current_status=1), look(current_status=1)],
         [[], ["delinquency"], []]),
        ([look(current_status=2), look(current_status=0), look(current_status=1)],
         [[], [], ["delinquency"]]),
        ([look(dishonest_debtor=0), look(), look(dishonest_debtor=1)], [[], [], ["delinquency"]]),
        ([look(), look(dishonest_debtor=1)], [[], []]),
        ([look(lenders=1), look(lenders=2), look(lenders=2)], [[], ["multi_lender_growth"], []]),
        ([look(lenders=0), look(lenders=1, by=("bank-b", "bank-c"))], [[], []]),
        ([look(lenders=3), look(lenders=None), look(lenders=2), look(lenders=3)],
         [[], [], [], ["multi_lender_growth"]]),
    ],
)  # fmt: skip
def test_each_change_is_told_once_and_a_slow_slide_like_a_fall(looks, expected) -> None:
    assert told(*looks) == expected


def test_a_disputed_or_unheld_figure_is_no_change_and_nothing_on_record_is_zero() -> None:
    said = {
        "statement_balance": (int(SignalStatus.DISPUTED), 9e9),
        "credit_limit": (int(SignalStatus.NO_CONSENT), 0.0),
        "tax_arrears": (int(SignalStatus.NONE_ON_RECORD), 0.0),
        "current_status": (int(SignalStatus.PRESENT), -2.0),
    }
    assert figures_of(said) == {"tax_arrears": 0.0, "current_status": 0.0}
