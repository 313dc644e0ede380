"""Retraining on schedule: neither skipped nor doubled, whatever stops in between."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.database import Database
from audit.shredding import DataKeys
from audit.store import AuditLog
from coordinator.campaigns import UNFINISHED, Campaigns
from coordinator.schedule import DAY_MS, LEAST_MS, TRAINING, NoSchedule, Scheduler, TemplatePlanner
from coordinator.storage import campaigns as campaign_rows
from coordinator.storage.migrations import upgrade
from models.catalogue import load_default
from models.plan import CampaignPlan
from models.proposal import propose
from protocols.documents import sign_document
from protocols.errors import InvalidInput
from protocols.keys import SigningKey

NOW = 1_800_000_000_000
INTERVAL, GAP = 30 * DAY_MS, 2 * DAY_MS
KEY = SigningKey.generate()


@cache
def pattern() -> CampaignPlan:
    """A plan to copy: finding its noise takes a second."""
    return propose(load_default(), "camp", ("bank-a", "bank-b"), rounds=2)


@cache
def empty() -> bytes:
    """A coordinator's database with nothing in it."""
    with TemporaryDirectory() as root:
        path = Path(root) / "coordinator.db"
        database = Database(f"sqlite:///{path}")
        upgrade(database)
        database.close()
        return path.read_bytes()


class Place:
    """A coordinator's database, and processes that come and go on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.made = 0
        (root / "coordinator.db").write_bytes(empty())
        self.open()

    def open(self) -> None:
        """A new process."""
        self.database = Database(f"sqlite:///{self.root / 'coordinator.db'}")
        self.keys = Database(f"sqlite:///{self.root / 'datakeys.db'}")
        self.audit = AuditLog("test", self.database, DataKeys(self.keys, bytes(32)), bytes(32))
        self.campaigns = Campaigns(self.audit, "coordinator")
        planner = TemplatePlanner(self.plan, self.keep)
        self.scheduler = Scheduler(self.database, self.audit, "coordinator", {TRAINING: planner})

    def close(self) -> None:
        """The process ends."""
        self.database.close()
        self.keys.close()

    def plan(self, template, now_ms):
        if template.get("broken"):
            raise InvalidInput("no bank is a member yet")
        self.made += 1
        return replace(pattern(), campaign_id=f"camp-{self.made}")

    def keep(self, connection, plan, at_ms):
        document = sign_document("plan", plan.to_body(), KEY)
        self.campaigns.propose(connection, plan.campaign_id, document, at_ms)

    def set(self, **changes):
        values = {"interval_ms": INTERVAL, "gap_ms": GAP, "template": {}, "now_ms": NOW}
        return self.scheduler.set(TRAINING, **(values | changes))

    def all(self):
        with self.database.read() as connection:
            rows = campaign_rows.newest_first(connection, 1000)
        return sorted(rows, key=lambda row: row.created_at_ms)

    def end(self, at_ms, event="fail"):
        """The campaign under way, if any, ends."""
        for row in self.all():
            if row.state in UNFINISHED:
                with self.database.write() as connection:
                    if event == "complete":
                        campaign_rows.set_state(connection, row.campaign_id, "completed")
                    else:
                        self.campaigns.move(connection, row.campaign_id, event, at_ms)


@pytest.fixture
def place(tmp_path):
    opened = Place(tmp_path)
    yield opened
    opened.close()


def test_a_schedule_that_was_due_while_nothing_ran_proposes_one_campaign(place):
    """Five due times pass while the coordinator is down: one campaign follows, not none or five."""
    place.set()
    place.close()
    place.open()
    late = NOW + 5 * INTERVAL + DAY_MS
    assert len(place.scheduler.tick(late)) == 1
    assert place.scheduler.tick(late) == []
    place.end(late, "complete")
    assert place.scheduler.tick(late + 1) == []
    assert place.scheduler.find(TRAINING).due_at_ms == NOW + 6 * INTERVAL


def test_each_proposed_campaign_has_its_leaf_and_they_are_one(place):
    """A process that dies while it proposes leaves neither; the next one proposes it once."""
    place.set(first_at_ms=NOW)
    size = place.audit.head().size
    keep = place.keep

    def killed(connection, plan, at_ms):
        keep(connection, plan, at_ms)
        raise KeyboardInterrupt

    dying = replace(place.scheduler, planners={TRAINING: TemplatePlanner(place.plan, killed)})
    with pytest.raises(KeyboardInterrupt):
        dying.tick(NOW)
    assert (place.all(), place.audit.head().size) == ([], size)
    place.close()
    place.open()
    (campaign_id,) = place.scheduler.tick(NOW + 1)
    assert [row.campaign_id for row in place.all()] == [campaign_id]
    assert place.audit.payload(place.audit.head().size - 1)["was_due_at_ms"] == NOW


STEPS = st.lists(
    st.one_of(
        st.integers(min_value=1, max_value=40).map(lambda days: ("wait", days)),
        st.sampled_from([("tick", 0), ("restart", 0), ("complete", 0), ("fail", 0)]),
    ),
    max_size=25,
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(steps=STEPS)
def test_a_restart_neither_skips_nor_doubles_a_due_retraining(steps):
    """What is proposed when does not depend on how often the process was started anew."""
    runs = []
    for restarts in (True, False):
        with TemporaryDirectory() as root:
            place, now = Place(Path(root)), NOW
            place.set()
            for what, days in steps:
                now += days * DAY_MS + 1
                if what == "restart" and restarts:
                    place.close()
                    place.open()
                elif what in {"complete", "fail"}:
                    place.end(now, what)
                elif what == "tick":
                    check_that_one_tick_keeps_to_the_rules(place, now)
            runs.append([(row.created_at_ms, row.state) for row in place.all()])
            place.close()
    assert runs[0] == runs[1]


def check_that_one_tick_keeps_to_the_rules(place, now):
    before, row = place.all(), place.scheduler.find(TRAINING)
    proposed = place.scheduler.tick(now)
    assert place.scheduler.tick(now) == []
    after = place.scheduler.find(TRAINING)
    if proposed:
        assert now >= row.due_at_ms
        assert after.due_at_ms > now
        assert all(one.state not in UNFINISHED for one in before)
        assert all(one.created_at_ms + GAP <= now for one in before)
    elif row.settled and now >= row.due_at_ms:
        busy = any(one.state in UNFINISHED for one in before)
        assert busy or any(one.created_at_ms + GAP > now for one in before)


def test_no_campaign_is_proposed_while_another_is_under_way(place):
    """Whoever proposed it: one at a time, and the schedule waits for its end and the gap."""
    place.set(first_at_ms=NOW + DAY_MS)
    with place.database.write() as connection:
        place.keep(connection, replace(pattern(), campaign_id="by-hand"), NOW)
    assert place.scheduler.tick(NOW + INTERVAL) == []
    place.end(NOW + INTERVAL, "complete")
    assert len(place.scheduler.tick(NOW + INTERVAL)) == 1


def test_a_campaign_by_hand_puts_a_schedule_off_until_the_gap_is_over(place):
    place.set(first_at_ms=NOW + DAY_MS)
    with place.database.write() as connection:
        place.keep(connection, replace(pattern(), campaign_id="by-hand"), NOW)
    place.end(NOW, "complete")
    assert place.scheduler.tick(NOW + GAP - 1) == []
    assert len(place.scheduler.tick(NOW + GAP)) == 1


def test_a_schedule_backs_off_further_with_each_campaign_that_completes_nothing(place):
    place.set(first_at_ms=NOW)
    now, waits = NOW, []
    for failures in range(1, 9):
        assert len(place.scheduler.tick(now)) == 1
        place.end(now)
        place.scheduler.tick(now)
        row = place.scheduler.find(TRAINING)
        assert row.failures == failures
        assert row.detail.startswith("failed")
        waits.append(row.due_at_ms - now)
        now = row.due_at_ms
    assert waits == [GAP, 2 * GAP, 4 * GAP, 8 * GAP, 16 * GAP, 32 * GAP, 4 * INTERVAL, 4 * INTERVAL]
    place.scheduler.tick(now)
    place.end(now, "complete")
    place.scheduler.tick(now)
    assert place.scheduler.find(TRAINING).failures == 0


def test_a_template_that_cannot_be_planned_is_put_off_and_said(place):
    place.set(first_at_ms=NOW)
    broken = TemplatePlanner(lambda *_: place.plan({"broken": 1}, 0), place.keep)
    assert replace(place.scheduler, planners={TRAINING: broken}).tick(NOW) == []
    row = place.scheduler.find(TRAINING)
    assert (row.failures, row.due_at_ms) == (1, NOW + GAP)
    assert "invalid_input" in row.detail


def test_drift_makes_a_listening_schedule_due_at_once_and_no_other(place):
    for listens in (False, True):
        place.set(on_drift=listens)
        with place.database.write() as connection:
            moved = place.scheduler.bring_forward(connection, TRAINING, "score_drift", NOW + 5)
        assert moved is listens
    assert place.scheduler.find(TRAINING).due_at_ms == NOW + 5
    with place.database.write() as connection:
        assert not place.scheduler.bring_forward(connection, TRAINING, "again", NOW + 9)
    assert len(place.scheduler.tick(NOW + 5)) == 1


@pytest.mark.parametrize(
    ("interval", "gap"), [(LEAST_MS - 1, LEAST_MS - 1), (DAY_MS, 2 * DAY_MS), (DAY_MS, 0)]
)
def test_times_out_of_range_are_refused(place, interval, gap):
    with pytest.raises(InvalidInput):
        place.set(interval_ms=interval, gap_ms=gap)
    assert place.scheduler.find(TRAINING) is None


def test_a_schedule_that_is_off_proposes_nothing(place):
    place.set(first_at_ms=NOW)
    place.scheduler.off(TRAINING, NOW)
    assert place.scheduler.tick(NOW + INTERVAL) == []
    with pytest.raises(NoSchedule):
        place.scheduler.off(TRAINING, NOW)
