"""The page that shows whether the model in force still fits."""

from dataclasses import replace

import numpy as np
import pytest

from coordinator.schedule import DAY_MS, WATCH, Scheduler, TemplatePlanner
from coordinator.storage import watch
from coordinator.watch import rules
from coordinator.watch.alerts import Alerts
from coordinator.watch.results import Watches
from models.calibration import BINS
from models.watch_tally import Counted
from tests.console.world import ConsoleWorld
from tests.coordinator.applicants import NOW
from tests.node.scoring_world import make_bundle

MEMBERS = ("bank-a", "bank-b")


def people(shift: int) -> Counted:
    """Twenty thousand people around a score bin, a fifth of them defaulting."""
    mass = np.exp(-((np.arange(BINS) - 14 - shift) ** 2) / 40)
    mass = mass / mass.sum() * 20_000
    bands = np.linspace(1, 12, 9) * 500
    return Counted(
        np.stack([mass * 0.82, mass * 0.18], axis=1),
        {"limit_use": np.roll(bands, shift)},
        score_noise=15.0,
        signal_noise=30.0,
    )


@pytest.fixture
def watched(world: ConsoleWorld) -> ConsoleWorld:
    """Four watches, the last of which finds drift, and a schedule that fails."""
    coordinator = world.coordinator
    plan = world.propose()
    planner = TemplatePlanner(lambda *_: plan, lambda *_: None)
    scheduler = Scheduler(coordinator.database, coordinator.audit, "coordinator", {WATCH: planner})
    scheduler.set(WATCH, interval_ms=30 * DAY_MS, gap_ms=DAY_MS, template={}, now_ms=NOW)
    alerts = Alerts(coordinator.audit, "coordinator")
    watches = Watches(coordinator.keys.directory, alerts, scheduler)
    bundle = make_bundle("model-0001", 1)
    with coordinator.database.write() as connection:
        watches.deposit(connection, plan, bundle.version, people(0), MEMBERS, NOW)
        for number, shift in enumerate((0, 1, 1, 5), 1):
            one = replace(plan, campaign_id=f"watch-{number}")
            at_ms = NOW + number * DAY_MS
            watches.conclude(connection, one, bundle, people(shift), MEMBERS, at_ms)
    return world


def test_the_page_shows_drift_alerts_and_what_to_type(watched):
    page = watched.operator().get("/operator/watch").text
    for text in ("Scores have drifted", "Score drift over time", "act at .25", "limit_use",
                 "coordinator watch acknowledge", "model-0001", "30 days"):  # fmt: skip
        assert text in page, text
    assert "Scores have drifted" in watched.operator().get("/operator/").text
    with watched.coordinator.database.read() as connection:
        raised = {row.rule for row in watch.open_alerts(connection)}
    assert "score_drift" in raised <= rules.RULES


def test_the_figures_can_be_taken_along(watched):
    csv = watched.operator().get("/operator/watch.csv").text.splitlines()
    assert len(csv) == 5
    assert csv[1].startswith("watch-4,model-0001,")


def test_a_network_that_was_never_watched_says_how_to_begin(operator):
    page = operator.get("/operator/watch").text
    assert "No watch yet" in page
    assert "coordinator watch run" in page
    assert "--kind watch --every-days 30" in page


@pytest.mark.parametrize(("language", "text"), [("zh-Hans", "评分漂移"), ("zh-Hant", "評分漂移")])
def test_the_page_speaks_the_readers_language(watched, language, text):
    page = watched.operator().get("/operator/watch", headers={"Accept-Language": language}).text
    assert text in page
    assert "watch." not in page.replace("watch.css", "").replace("watch.csv", "")
