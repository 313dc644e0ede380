"""Whole campaigns over masked sums: banks that lie within the ring, come late or leave."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load

from coordinator.storage import campaigns as rows
from models.encoder import Encoder
from models.optimiser import ServerOptimiser
from models.weights import flatten
from tests.federation.world import Bank, World, open_world, wait_until


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with open_world(tmp_path, size=80) as opened:
        yield opened


def lying(bank: Bank, at: int, amount: int) -> None:
    """From now on the bank adds to one coordinate of everything it masks; commitments and all."""
    masking = bank.worker.masking
    honest = masking._restored

    class Liar:
        def __init__(self, party):
            self._party = party

        def __getattr__(self, name):
            return getattr(self._party, name)

        def mask(self, number, model, values):
            changed = values.copy()
            changed[at] += amount
            return self._party.mask(number, model, changed)

    masking._restored = lambda campaign: Liar(honest(campaign))


@pytest.mark.parametrize(("at", "amount"), [(0, 2**42), (-1, 10**9), (-1, -500)])
def test_a_sum_that_no_honest_banks_make_takes_no_step(world, at, amount):
    """A lie in the gradient or a false count: rounds are lost, and after some the campaign fails.

    The model stays bit for bit what it was; nothing is published; the log says so.
    """
    lying(world.banks["bank-b"], at, amount)
    plan = world.propose(rounds=6)
    row = world.finish(plan.campaign_id)
    assert row.state == "failed"
    assert "rounds were lost" in row.detail
    assert row.bundle_version is None
    assert world.rounds(plan.campaign_id) == []
    with world.coordinator.database.read() as connection:
        number, state = rows.load_checkpoint(connection, plan.campaign_id)
    encoder = Encoder(world.catalogue)
    kept = ServerOptimiser.restore(plan, encoder, load(state))
    untouched = ServerOptimiser(plan, encoder, None)
    assert number == 2
    assert (flatten(kept.weights) == flatten(untouched.weights)).all()


@pytest.mark.slow
def test_a_bank_that_is_away_while_keys_are_made_sits_the_campaign_out(world):
    """The others go on without it, and it is charged for nothing."""
    late = world.banks["bank-c"]
    late.stop()
    plan = world.propose(rounds=8, round_deadline_s=3.0)
    wait_until(lambda: len(world.rounds(plan.campaign_id)) >= 2, 40.0)
    late.start()
    row = world.finish(plan.campaign_id)
    assert row.state == "completed", row.detail
    assert {one.participants for one in world.rounds(plan.campaign_id)} == {2}


def test_a_bank_that_leaves_and_comes_back_counts_in_the_rounds_it_is_there_for(world):
    plan = world.propose(rounds=30, round_deadline_s=3.0)
    wait_until(lambda: len(world.rounds(plan.campaign_id)) >= 3)
    world.banks["bank-a"].stop()
    wait_until(lambda: world.rounds(plan.campaign_id)[-1].participants == 2, 30.0)
    world.banks["bank-a"].restart()
    row = world.finish(plan.campaign_id)
    assert row.state == "completed", row.detail
    counted = [one.participants for one in world.rounds(plan.campaign_id)]
    assert (counted[0], min(counted)) == (3, 2)
    assert np.isfinite([one.loss for one in world.rounds(plan.campaign_id)]).all()


def test_no_cohort_is_declared_in_clear(world):
    """The coordinator's table of members says who took part, and not with how many people."""
    plan = world.propose()
    assert world.finish(plan.campaign_id).state == "completed"
    with world.coordinator.database.read() as connection:
        members = rows.members(connection, plan.campaign_id)
    assert [(one.refusal, one.cohort_band) for one in members] == [("", 0)] * 3
