"""Whole campaigns of three banks over mutual TLS on loopback."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from audit.leaf import parse_leaf
from models.bundle import Bundle
from node.storage import bundles as node_bundles
from node.storage import privacy_ledger, training
from protocols.documents import Document, verify_document
from tests.federation.world import (
    BANKS,
    IMPATIENT,
    Bank,
    World,
    now_ms,
    open_coordinator_side,
    open_world,
    wait_until,
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with open_world(tmp_path, size=80) as opened:
        yield opened


def charges(bank: Bank) -> list[tuple[str, int]]:
    with bank.node.database.read() as connection:
        lines = privacy_ledger.charge_lines(connection, bank.member_id)
    return [(line.campaign_id, line.round) for line in lines]


def test_a_campaign_ends_with_a_signed_bundle_that_every_node_activates(world):
    plan = world.propose()
    row = world.finish(plan.campaign_id)
    assert (row.state, row.detail, row.bundle_version) == ("completed", "", "model-0001")
    rounds = world.rounds(plan.campaign_id)
    assert [one.round for one in rounds] == [1, 2, 3, 4]
    assert all(one.participants == 3 and one.seconds < 5 for one in rounds)
    epsilons = [one.epsilon for one in rounds]
    assert epsilons == sorted(epsilons)
    assert epsilons[-1] < 3.0
    stored = world.coordinator.registry.find("model-0001")
    document = Document("bundle", 0, stored.manifest, stored.signature, stored.key_id)
    key = world.coordinator.keys.directory.verify_key
    bundle = Bundle.load(verify_document(document, key, "bundle"), stored.tensors)
    assert bundle.manifest.members == BANKS
    assert bundle.manifest.plan_sha256 == plan.sha256
    for bank in world.banks.values():
        wait_until(lambda bank=bank: bank.worker.releases.active_version() == "model-0001")
        assert charges(bank) == [(plan.campaign_id, number) for number in range(6)]
        with bank.node.database.read() as connection:
            assert node_bundles.active(connection).manifest == stored.manifest
    card = bundle.manifest.card
    assert (card.measured_on, card.held_out, card.previous) == ("held_out", 0.2, "")
    assert [one.member for one in card.nodes] == list(BANKS)
    assert {one.people for one in card.nodes} == {None}  # only the sum is known
    check_that_the_coordinators_log_tells_the_campaigns_life(world)
    check_that_a_follow_up_continues_and_leaves_out_who_withdrew(world, plan.campaign_id)


def check_that_the_coordinators_log_tells_the_campaigns_life(world):
    audit = world.coordinator.audit
    with world.coordinator.database.read() as connection:
        leaves = list(audit.leaves(connection, 0, audit.head().size))
    kinds = [parse_leaf(leaf.leaf)["kind"] for leaf in leaves]
    about = [kind for kind in kinds if kind.startswith(("campaign", "bundle"))]
    assert about == [
        "campaign.proposed",
        *["campaign.answered"] * 3,
        "campaign.accepted",
        "campaign.running",
        *["campaign.round"] * 4,
        "bundle.published",
        "campaign.completed",
    ]


def check_that_a_follow_up_continues_and_leaves_out_who_withdrew(world, first):
    bank = world.banks["bank-b"]
    bank.withdraw(bank.people[7])
    plan = world.proposals.follow_up("", now_ms())
    assert (plan.rounds, plan.start_bundle) == (2, "model-0001")
    row = world.finish(plan.campaign_id)
    assert (row.state, row.bundle_version) == ("completed", "model-0002")
    stored = world.coordinator.registry.find("model-0002")
    card = Bundle.load(stored.manifest, stored.tensors).manifest.card
    assert card.previous == "model-0001"
    assert "previous_knew_them" not in card.limits
    for one in world.banks.values():
        assert len(charges(one)) == 6 + 4
        with one.node.database.read() as connection:
            assert privacy_ledger.last_charge(connection, one.member_id).epsilon_after <= 3.0
    with bank.node.database.read() as connection:
        people = {
            campaign: [
                set(training.cohort_hashes(connection, root))
                for _, root in sorted(training.round_roots(connection, campaign))
            ]
            for campaign in (first, plan.campaign_id)
        }
    (*before, everybody), (*after, rest) = people[first], people[plan.campaign_id]
    # The evaluation is of everybody, the steps of the same four fifths in both campaigns.
    assert (len(everybody), len(rest)) == (80, 79)
    assert all(one == before[0] < everybody for one in before)
    assert all(one == before[0] & rest for one in after)


def test_a_plan_that_too_few_accept_is_aborted_and_nothing_is_published(world):
    plan = world.propose(minimum_cohort=5_000)
    row = world.finish(plan.campaign_id)
    assert row.state == "aborted"
    assert row.detail.count("cohort_too_small") == 3
    assert world.coordinator.registry.versions() == []
    assert world.rounds(plan.campaign_id) == []


def test_nodes_that_leave_below_the_quorum_fail_the_campaign(world):
    plan = world.propose(rounds=30, round_deadline_s=1.0)
    wait_until(lambda: len(world.rounds(plan.campaign_id)) >= 2)
    for member_id in ("bank-a", "bank-b"):
        world.banks[member_id].stop()
    row = world.finish(plan.campaign_id)
    assert row.state == "failed"
    assert "below" in row.detail or "quorum" in row.detail
    assert row.bundle_version is None
    assert world.coordinator.registry.versions() == []


def test_a_node_that_is_replaced_mid_campaign_comes_back_and_is_charged_once_a_round(world):
    plan = world.propose(rounds=25, round_deadline_s=5.0)
    wait_until(lambda: len(world.rounds(plan.campaign_id)) >= 3)
    world.banks["bank-c"].restart()
    row = world.finish(plan.campaign_id)
    assert row.state == "completed", row.detail
    rounds = world.rounds(plan.campaign_id)
    assert [one.round for one in rounds] == list(range(1, 26))
    assert rounds[-1].participants == 3
    charged = charges(world.banks["bank-c"])
    assert len(charged) == len(set(charged))
    assert charged[-1] == (plan.campaign_id, 26)


def test_a_suspended_member_is_turned_out_of_the_running_campaign(world):
    plan = world.propose(rounds=12)
    wait_until(lambda: len(world.rounds(plan.campaign_id)) >= 2)
    world.coordinator.membership.set_status("bank-a", "suspended", now_ms())
    row = world.finish(plan.campaign_id)
    assert row.state == "completed", row.detail
    assert world.rounds(plan.campaign_id)[-1].participants == 2
    assert len(charges(world.banks["bank-a"])) < 13


def test_an_operator_can_end_a_campaign(world):
    plan = world.propose(rounds=25)
    wait_until(lambda: len(world.rounds(plan.campaign_id)) >= 1)
    world.proposals.abort(plan.campaign_id, now_ms())
    done = len(world.rounds(plan.campaign_id))
    second = world.propose(rounds=1, follow_up_rounds=0)
    world.finish(second.campaign_id)
    assert world.campaign(plan.campaign_id).state == "aborted"
    assert len(world.rounds(plan.campaign_id)) == done
    assert world.coordinator.registry.versions() in ([], ["model-0001"])


def test_a_killed_coordinator_resumes_after_its_last_checkpoint(tmp_path):
    """The copy of the home is what a power cut would have left: committed rows, nothing else."""
    with open_world(tmp_path, size=80) as world:
        plan = world.propose(rounds=12, round_deadline_s=5.0)
        wait_until(lambda: len(world.rounds(plan.campaign_id)) >= 3)
        copy = tmp_path / "killed"
        world.server.stop(None).wait()
        world.runner.stop()
        shutil.copytree(world.coordinator.home, copy)
        before = len(world.rounds(plan.campaign_id))
        assert world.campaign(plan.campaign_id).state in {"running", "paused"}  # its members left
        with open_coordinator_side(copy, IMPATIENT, world.port) as second:
            row = second.finish(plan.campaign_id)
            assert row.state == "completed", row.detail
            assert [one.round for one in second.rounds(plan.campaign_id)] == list(range(1, 13))
            assert before < 12
            for bank in world.banks.values():
                assert charges(bank) == [(plan.campaign_id, number) for number in range(14)]
            versions = second.coordinator.registry.versions()
            assert versions == ["model-0001"]
            stored = second.coordinator.registry.find()
            weights = Bundle.load(stored.manifest, stored.tensors).weights
            assert all(np.isfinite(array).all() for array in weights.values())
