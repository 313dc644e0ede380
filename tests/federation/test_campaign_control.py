"""Operators pause, resume and end campaigns; stragglers; a bank whose database was put back."""

import json
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli.coordinator import app
from audit.leaf import parse_leaf
from coordinator.campaigns import CampaignNotHeld, CampaignTransitionInvalid
from node.home import DATABASE_FILE
from tests.federation.world import World, now_ms, open_world, wait_until


@pytest.fixture
def world(tmp_path: Path):
    with open_world(tmp_path, size=80) as opened:
        yield opened


def run(world: World, *arguments: str) -> dict[str, object]:
    done = CliRunner().invoke(
        app, ["campaign", arguments[0], str(world.coordinator.home), *arguments[1:], "--json"]
    )
    assert done.exit_code == 0, (done.output, done.exception)
    found, _ = json.JSONDecoder().raw_decode(done.stdout[done.stdout.index("{\n") :])
    return found


def listed(world: World, campaign_id: str) -> dict[str, object]:
    found = run(world, "list")["campaigns"]
    return next(one for one in found if one["campaign_id"] == campaign_id)


def kinds(world: World) -> list[str]:
    audit = world.coordinator.audit
    with world.coordinator.database.read() as connection:
        leaves = audit.leaves(connection, 0, audit.head(connection).size)
        return [str(parse_leaf(leaf.leaf)["kind"]) for leaf in leaves]


def test_a_held_campaign_makes_no_round_until_it_is_resumed(world):
    """The round under way is kept; a hold is lifted by an operator and by nothing else."""
    plan = world.propose(rounds=12)
    wait_until(lambda: len(world.rounds(plan.campaign_id)) >= 2)
    assert run(world, "pause", plan.campaign_id)["state"] == "paused"
    with pytest.raises(CampaignTransitionInvalid):
        world.proposals.hold(plan.campaign_id, now_ms())
    time.sleep(1.0)
    done = len(world.rounds(plan.campaign_id))
    time.sleep(1.5)  # longer than the campaign's patience with a missing quorum
    shown = listed(world, plan.campaign_id)
    assert (shown["state"], shown["held"], shown["rounds"]) == ("paused", True, done)
    assert done < 12
    assert run(world, "resume", plan.campaign_id)["state"] == "running"
    row = world.finish(plan.campaign_id)
    assert (row.state, row.detail) == ("completed", "")
    assert [one.round for one in world.rounds(plan.campaign_id)] == list(range(1, 13))
    assert {"campaign.held", "campaign.released"} <= set(kinds(world))
    with pytest.raises(CampaignTransitionInvalid):
        world.proposals.release(plan.campaign_id, now_ms())
    check_that_a_campaign_held_before_it_begins_touches_nobody(world)


def check_that_a_campaign_held_before_it_begins_touches_nobody(world):
    for bank in world.banks.values():
        bank.stop()
    plan = world.propose(rounds=3)
    with pytest.raises(CampaignNotHeld):
        world.proposals.release(plan.campaign_id, now_ms())
    run(world, "pause", plan.campaign_id)
    run(world, "abort", plan.campaign_id)
    shown = listed(world, plan.campaign_id)
    assert (shown["state"], shown["rounds"], shown["bundle"]) == ("aborted", 0, None)
    assert [one["rounds"] for one in shown["members"]] == [0, 0, 0]


def test_a_straggler_is_left_out_at_the_deadline_and_a_completed_campaign_says_so(world):
    trainer = world.banks["bank-c"].worker.trainer
    honest = trainer.train

    def late(request):
        if request.number in {2, 3}:
            time.sleep(1.6)
        return honest(request)

    trainer.train = late
    plan = world.propose(rounds=8, round_deadline_s=1.0)
    row = world.finish(plan.campaign_id)
    assert row.state == "completed", row.detail
    counted = [one.participants for one in world.rounds(plan.campaign_id)]
    assert counted[0] == 3
    assert min(counted) == 2
    assert f"bank-c was in {counted.count(3)} of 8 rounds: " in row.detail
    assert "bank-a" not in row.detail


def put_back(world: World, member_id: str, backup: Path) -> None:
    """The bank's database is the one of the backup; its process starts anew."""
    bank = world.banks[member_id]
    bank.stop()
    bank.node.close()
    for old in bank.home.glob(DATABASE_FILE + "*"):
        old.unlink()
    (bank.home / "ledger.statement").unlink()
    shutil.copy(backup / member_id, bank.home / DATABASE_FILE)
    from node.bootstrap import open_node

    bank.node = open_node(bank.home)
    bank.restart()


@pytest.mark.slow
def test_a_bank_that_was_put_back_trains_no_more_and_the_published_model_stays(world, tmp_path):
    """The coordinator hands every bank what it signed before: the bank itself refuses.

    One such bank is left out by name; with two the cohort is below quorum, nothing is published,
    and the published model is bit for bit what it was.
    """
    backup = tmp_path / "backup"
    backup.mkdir()
    for member_id in ("bank-b", "bank-c"):
        with (
            closing(sqlite3.connect(world.banks[member_id].home / DATABASE_FILE)) as source,
            closing(sqlite3.connect(backup / member_id)) as target,
        ):
            source.backup(target)
    first = world.propose(rounds=2, follow_up_rounds=0)
    assert world.finish(first.campaign_id).state == "completed"
    published = world.coordinator.registry.find("model-0001")
    put_back(world, "bank-b", backup)
    second = world.propose(rounds=2, follow_up_rounds=0)
    row = world.finish(second.campaign_id)
    assert row.state == "completed", row.detail
    assert row.detail == "bank-b took no part: ledger_rolled_back"
    put_back(world, "bank-c", backup)
    third = world.propose(rounds=2, follow_up_rounds=0)
    row = world.finish(third.campaign_id)
    assert (row.state, row.bundle_version) == ("aborted", None)
    assert row.detail.count("ledger_rolled_back") == 2
    assert world.coordinator.registry.find("model-0001") == published
    assert "campaign.aborted" in kinds(world)
    members = {
        one["member_id"]: one["refusal"] for one in listed(world, third.campaign_id)["members"]
    }
    assert members["bank-b"] == members["bank-c"] == "ledger_rolled_back"


def test_a_result_without_a_statement_of_the_ledger_does_not_count_and_is_logged(world):
    """A node that hides where its ledger stands is left out, and its exclusion is in the log."""
    guard = world.banks["bank-b"].worker.guard
    plan = world.propose(rounds=6)
    wait_until(lambda: len(world.rounds(plan.campaign_id)) >= 1)
    honest = guard._signing
    from protocols.keys import SigningKey

    foreign = SigningKey.generate()
    guard._signing = lambda: foreign
    row = world.finish(plan.campaign_id)
    guard._signing = honest
    assert row.state == "completed", row.detail
    assert "bank-b was in" in row.detail
    assert "signature_invalid" in row.detail
    assert "campaign.excluded" in kinds(world)
