"""A campaign's life: the table, and that nothing gets around it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.database import Database
from audit.shredding import DataKeys
from audit.store import AuditLog
from coordinator.campaigns import (
    FINAL,
    STATES,
    TRANSITIONS,
    UNFINISHED,
    Campaigns,
    CampaignTransitionInvalid,
    UnknownCampaign,
    advance,
)
from coordinator.storage import bundles
from coordinator.storage import campaigns as rows
from coordinator.storage.bundles import BundleRow
from coordinator.storage.campaigns import RoundRow
from coordinator.storage.migrations import upgrade
from models.plan import CampaignExpired
from protocols.documents import Document
from protocols.errors import StateConflict
from tests.postgresql import on_each_database

EVENTS = sorted({event for _, event in TRANSITIONS})
PLAN = Document("plan", 0, b"{}", bytes(64), "0" * 16)
BUNDLE = BundleRow("model-0001", "c", b"{}", bytes(64), "0" * 16, b"", 5)


@pytest.fixture
def database(tmp_path: Path, database_url: str):
    opened = Database(database_url or f"sqlite:///{tmp_path / 'coordinator.db'}")
    upgrade(opened)
    yield opened
    opened.close()


@pytest.fixture
def audit(database: Database, tmp_path: Path):
    keys = Database(f"sqlite:///{tmp_path / 'datakeys.db'}")
    yield AuditLog("test", database, DataKeys(keys, bytes(32)), bytes(32))
    keys.close()


@pytest.fixture
def campaigns(database: Database, audit: AuditLog) -> Campaigns:
    made = Campaigns(audit, "coordinator")
    with database.write() as connection:
        made.propose(connection, "c", PLAN, 1)
    return made


@given(st.sampled_from(sorted(STATES)), st.sampled_from(EVENTS))
def test_what_is_not_in_the_table_is_an_error(state, event):
    if (state, event) in TRANSITIONS:
        assert advance(state, event) in STATES
    else:
        with pytest.raises(CampaignTransitionInvalid):
            advance(state, event)


@given(st.lists(st.sampled_from(EVENTS), max_size=30))
def test_no_sequence_of_events_leaves_a_final_state(events):
    state = "proposed"
    for event in events:
        before = state
        try:
            state = advance(state, event)
        except CampaignTransitionInvalid:
            assert state == before
        if before in FINAL:
            assert state == before


def test_every_state_can_be_reached_and_every_unfinished_one_can_end():
    reached = {"proposed"} | set(TRANSITIONS.values())
    assert reached == STATES
    for state in UNFINISHED:
        ends = {after for (before, _), after in TRANSITIONS.items() if before == state}
        assert ends & {"failed", "aborted"}


def test_only_a_running_campaign_completes():
    assert {before for (before, event) in TRANSITIONS if event == "complete"} == {"running"}


@on_each_database
def test_each_move_leaves_one_leaf_with_its_state(database, audit, campaigns):
    with database.write() as connection:
        for event in ("accept", "start", "pause", "resume", "fail"):
            campaigns.move(connection, "c", event, 2, detail="why")
    kinds = [audit.payload(seq) for seq in range(audit.head().size)]
    assert len(kinds) == 6
    with database.read() as connection:
        row = rows.find(connection, "c")
    assert (row.state, row.detail, row.finished_at_ms) == ("failed", "why", 2)


def test_a_refused_move_writes_nothing(database, audit, campaigns):
    size = audit.head().size
    with pytest.raises(CampaignTransitionInvalid), database.write() as connection:
        campaigns.move(connection, "c", "start", 2)
    assert audit.head().size == size


def test_a_campaign_does_not_complete_without_a_bundle(database, campaigns):
    with database.write() as connection:
        campaigns.move(connection, "c", "accept", 2)
        campaigns.move(connection, "c", "start", 2)
    with pytest.raises(CampaignTransitionInvalid), database.write() as connection:
        campaigns.move(connection, "c", "complete", 2)


def test_a_bundle_is_not_published_when_the_campaign_cannot_complete(database, campaigns):
    with pytest.raises(CampaignTransitionInvalid), database.write() as connection:
        campaigns.complete(connection, "c", BUNDLE, 2)
    with database.read() as connection:
        assert bundles.versions(connection) == []


@on_each_database
def test_bundle_and_completion_are_one(database, campaigns):
    with database.write() as connection:
        campaigns.move(connection, "c", "accept", 2)
        campaigns.move(connection, "c", "start", 2)
        campaigns.complete(connection, "c", BUNDLE, 3)
    with database.read() as connection:
        row = rows.find(connection, "c")
    assert (row.state, row.bundle_version, row.finished_at_ms) == ("completed", "model-0001", 3)


@on_each_database
def test_no_round_is_kept_of_a_campaign_that_was_ended(database, campaigns):
    with database.write() as connection:
        campaigns.move(connection, "c", "abort", 2)
    row = RoundRow(1, 0.5, 1.0, 0.1, 3, 3)
    with pytest.raises(CampaignTransitionInvalid), database.write() as connection:
        campaigns.finish_round(connection, "c", row, b"state")


@on_each_database
def test_a_round_is_kept_once_with_its_checkpoint(database, campaigns):
    with database.write() as connection:
        campaigns.move(connection, "c", "accept", 2)
        campaigns.move(connection, "c", "start", 2)
        for number in (1, 2):
            row = RoundRow(number, 0.5, 1.0, 0.1, 3, 3)
            campaigns.finish_round(connection, "c", row, b"state %d" % number)
    with database.read() as connection:
        assert rows.load_checkpoint(connection, "c") == (2, b"state 2")
        assert [row.round for row in rows.rounds(connection, "c", after=1)] == [2]
        assert rows.count_rounds(connection, "c") == 2


@on_each_database
def test_unknown_and_duplicate_campaigns_are_errors(database, campaigns):
    with pytest.raises(UnknownCampaign), database.write() as connection:
        campaigns.move(connection, "nope", "accept", 2)
    with pytest.raises(StateConflict), database.write() as connection:
        campaigns.propose(connection, "c", PLAN, 2)


@pytest.fixture
def brief(database, audit) -> Campaigns:
    """A campaign that runs, and is over at 10."""
    made = Campaigns(audit, "coordinator")
    with database.write() as connection:
        made.propose(connection, "brief", PLAN, 1, 10)
        made.move(connection, "brief", "accept", 2)
        made.move(connection, "brief", "start", 3)
    return made


@on_each_database
def test_a_campaign_past_its_deadline_keeps_no_round_and_publishes_nothing(database, brief):
    """From the deadline on its end is all that is written, with its code and its leaf."""
    bundle = BundleRow("model-0009", "brief", b"{}", bytes(64), "0" * 16, b"", 5)
    row = RoundRow(1, 0.5, 1.0, 0.1, 3, 10)
    acts = (
        lambda connection: brief.finish_round(connection, "brief", row, b"state"),
        lambda connection: brief.skip_round(connection, "brief", 1, b"state", 10),
        lambda connection: brief.complete(connection, "brief", bundle, 10),
        lambda connection: brief.move(connection, "brief", "pause", 10),
    )
    for act in acts:
        with pytest.raises(CampaignExpired), database.write() as connection:
            act(connection)
    with database.write() as connection:
        assert bundles.versions(connection) == []
        assert rows.rounds(connection, "brief") == []
        brief.move(connection, "brief", "expire", 11, detail="campaign_expired")
        found = rows.find(connection, "brief")
    assert (found.state, found.detail) == ("failed", "campaign_expired")


def test_a_campaign_before_its_deadline_goes_on(database, brief):
    with database.write() as connection:
        row = RoundRow(1, 0.5, 1.0, 0.1, 3, 9)
        brief.finish_round(connection, "brief", row, b"state")
        assert rows.count_rounds(connection, "brief") == 1


def test_every_unfinished_state_can_expire_and_no_other():
    expire = {before for before, event in TRANSITIONS if event == "expire"}
    assert expire == UNFINISHED
    assert {TRANSITIONS[(before, "expire")] for before in expire} == {"failed"}
