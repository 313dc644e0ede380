"""Alerts: what raises them, that they are raised once, and that they clear."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.storage import watch as rows
from coordinator.storage.schedules import ScheduleRow
from coordinator.watch import rules
from coordinator.watch.alerts import (
    TRANSITIONS,
    Alerts,
    AlertTransitionInvalid,
    Condition,
    UnknownAlert,
    advance,
)
from models.drift import Estimate, Findings
from tests.postgresql import on_each_database

NOW = 1_800_000_000_000
STILL = Estimate(0.01, 0.0, 0.03)
ONCE = Estimate(0.77, 0.76, 0.78)
FITS = Estimate(1.02, 0.95, 1.1)


def found(psi=STILL, ratio=FITS, auc=ONCE, signals=None):
    return Findings(5000.0, psi, ratio, auc, (), signals or {})


@pytest.fixture
def alerts(coordinator):
    return Alerts(coordinator.audit, "coordinator")


def settle(coordinator, alerts, conditions, at_ms=NOW, looked_at=rules.OF_WATCHES):
    with coordinator.database.write() as connection:
        return alerts.settle(connection, looked_at, conditions, at_ms)


def standing(coordinator):
    with coordinator.database.read() as connection:
        return [(one.rule, one.about, one.state, one.tone) for one in rows.open_alerts(connection)]


def kinds(coordinator, after):
    audit = coordinator.audit
    head = audit.head().size
    return [audit.payload(seq)["rule"] for seq in range(after, head)]


@on_each_database
def test_a_drift_is_raised_once_and_cleared_when_it_is_over(coordinator, alerts):
    """PSI beyond .10 raises one alert, which stays one while it lasts; each change has its leaf."""
    size = coordinator.audit.head().size
    drifted = list(rules.of_watch("model-1", found(psi=Estimate(0.18, 0.12, 0.24)), None))
    for number in range(3):
        settle(coordinator, alerts, drifted, NOW + number)
    assert standing(coordinator) == [("score_drift", "model-1", "raised", "warn")]
    settle(coordinator, alerts, rules.of_watch("model-1", found(), None), NOW + 9)
    assert standing(coordinator) == []
    assert kinds(coordinator, size) == ["score_drift", "score_drift"]
    with coordinator.database.read() as connection:
        (row,) = rows.alerts(connection, 10)
    assert (row.state, row.raised_at_ms, row.changed_at_ms) == ("cleared", NOW, NOW + 9)


@on_each_database
def test_an_acknowledged_alert_is_raised_again_when_it_gets_worse(coordinator, alerts):
    (row,) = settle(coordinator, alerts, [Condition("score_drift", "m", "warn", 0.12)])
    with coordinator.database.write() as connection:
        alerts.acknowledge(connection, row.alert_id, NOW + 1)
    assert settle(coordinator, alerts, [Condition("score_drift", "m", "warn", 0.13)]) == []
    assert standing(coordinator) == [("score_drift", "m", "acknowledged", "warn")]
    (again,) = settle(coordinator, alerts, [Condition("score_drift", "m", "danger", 0.3)])
    assert (again.alert_id, again.state, again.tone) == (row.alert_id, "raised", "danger")


@on_each_database
def test_alerts_of_rules_that_were_not_looked_at_stay(coordinator, alerts):
    settle(coordinator, alerts, [Condition("score_drift", "m", "warn")])
    settle(coordinator, alerts, [], looked_at=rules.OF_NETWORK)
    assert len(standing(coordinator)) == 1


@on_each_database
def test_an_alert_is_acknowledged_once_and_an_unknown_one_never(coordinator, alerts):
    (row,) = settle(coordinator, alerts, [Condition("score_drift", "m", "warn")])
    with coordinator.database.write() as connection:
        alerts.acknowledge(connection, row.alert_id, NOW)
    with pytest.raises(AlertTransitionInvalid), coordinator.database.write() as connection:
        alerts.acknowledge(connection, row.alert_id, NOW)
    with pytest.raises(UnknownAlert), coordinator.database.write() as connection:
        alerts.acknowledge(connection, "alert-0", NOW)


@given(st.sampled_from(["raised", "acknowledged", "cleared"]), st.sampled_from(
    ["acknowledge", "worsen", "clear"]
))  # fmt: skip
def test_what_is_not_in_the_table_is_an_error(state, event):
    if (state, event) in TRANSITIONS:
        assert advance(state, event) != state or event == "worsen"
    else:
        with pytest.raises(AlertTransitionInvalid):
            advance(state, event)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, []),
        ({"psi": Estimate(0.3, 0.05, 0.6)}, []),
        ({"psi": Estimate(0.2, 0.11, 0.3)}, [("score_drift", "warn")]),
        ({"psi": Estimate(0.4, 0.26, 0.6)}, [("score_drift", "danger")]),
        ({"signals": {"arrears": Estimate(0.4, 0.3, 0.5)}}, [("signal_drift", "danger")]),
        ({"ratio": Estimate(0.9, 0.7, 1.01)}, []),
        ({"ratio": Estimate(1.1, 1.02, 1.2)}, [("calibration_off", "warn")]),
        ({"ratio": Estimate(1.5, 1.3, 1.8)}, [("calibration_off", "danger")]),
        ({"ratio": Estimate(0.6, 0.5, 0.7)}, [("calibration_off", "danger")]),
        ({"auc": Estimate(0.75, 0.74, 0.77)}, []),
        ({"auc": Estimate(0.73, 0.71, 0.75)}, [("auc_drop", "warn")]),
        ({"auc": Estimate(0.6, 0.58, 0.62)}, [("auc_drop", "danger")]),
    ],
)
def test_an_interval_beyond_the_threshold_and_not_a_figure_raises_an_alert(values, told):
    seen = [(one.rule, one.tone) for one in rules.of_watch("m", found(**values), 0.78)]
    assert seen == told


def test_spent_budgets_failing_schedules_and_silent_members_are_told():
    spending = {
        "bank-a": rules.Spending(0.5, refused=False),
        "bank-b": rules.Spending(0.85, refused=False),
        "bank-c": rules.Spending(0.5, refused=True),
    }
    assert [(one.about, one.tone) for one in rules.of_spending(spending)] == [
        ("bank-b", "warn"),
        ("bank-c", "danger"),
    ]
    day = rules.DAY_MS
    base = ScheduleRow("training", 30 * day, day, "{}", False, NOW)
    for row, at_ms, told in (
        (base, NOW + 6 * day, []),
        (base, NOW + 9 * day, ["warn"]),
        (ScheduleRow(**{**base.__dict__, "failures": 1}), NOW - day, ["warn"]),
        (ScheduleRow(**{**base.__dict__, "failures": 2}), NOW - day, ["danger"]),
    ):
        seen = list(rules.of_schedules([row], at_ms))
        assert [one.tone for one in seen] == told
        assert all(one.rule == "retraining_overdue" for one in seen)
    quiet = {"a": NOW - rules.SILENT_MS, "b": NOW - rules.SILENT_MS + 1, "c": None}
    assert [one.about for one in rules.of_silence(quiet, NOW)] == ["a"]


def test_every_rule_that_is_told_is_in_the_table():
    far = Estimate(9.0, 8.0, 10.0)
    told = rules.of_watch("m", found(psi=far, ratio=far, signals={"s": far}), 99.0)
    assert {one.rule for one in told} == rules.OF_WATCHES
    assert np.all([one.tone == "danger" for one in rules.of_watch("m", found(psi=far), None)])
