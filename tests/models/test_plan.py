"""A plan is read within limits, and nothing outside them is trained on."""

import contextlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.catalogue import load_default
from models.plan import CampaignPlan, PlanInvalid
from models.privacy.accountant import epsilon
from models.privacy.charge import campaign_charges
from models.proposal import propose
from protocols.errors import InvalidInput

MEMBERS = ("bank-a", "bank-b", "bank-c")
PLAN = propose(load_default(), "campaign-1", MEMBERS, rounds=40)


def changed(path, value):
    body = json.loads(PLAN.to_body())
    *parents, last = path.split(".")
    place = body
    for name in parents:
        place = place[name]
    place[last] = value
    return body


def test_a_plan_survives_its_own_body():
    assert CampaignPlan.from_body(PLAN.to_body()) == PLAN
    assert CampaignPlan.from_body(json.loads(PLAN.to_body())).sha256 == PLAN.sha256


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("rounds", 0),
        ("rounds", 10_001),
        ("rounds", 1.5),
        ("rounds", True),
        ("quorum", 0),
        ("quorum", 4),
        ("members", []),
        ("members", ["bank-a", "bank-a"]),
        ("members", "bank-a"),
        ("catalogue_sha256", "00"),
        ("campaign_id", ""),
        ("campaign_id", "x" * 41),
        ("round_deadline_s", 0),
        ("start_bundle", ""),
        ("minimum_cohort", 0),
        ("architecture.hidden", 0),
        ("architecture.hidden", 257),
        ("architecture.block_dropout", 1.0),
        ("privacy.mode", "distributed"),
        ("privacy.mode", "central"),
        ("privacy.honest_minimum", 2),
        ("privacy.honest_minimum", 0),
        ("privacy.epsilon", 0),
        ("privacy.epsilon", 65),
        ("privacy.delta", 0),
        ("privacy.delta", 0.01),
        ("privacy.noise_multiplier", 0.1),
        ("privacy.sampling_rate", 0),
        ("privacy.sampling_rate", 1.01),
        ("privacy.clip", 0),
        ("privacy.loss_weight", 1.0),
        ("privacy.tally_noise", 0),
        ("privacy.follow_up_rounds", -1),
        ("optimiser.learning_rate", 0),
        ("optimiser.beta1", 1),
        ("optimiser.average_from", 1.1),
        ("code", "import os"),
        ("privacy.extra", 1),
    ],
)
def test_a_plan_outside_the_limits_is_refused(path, value):
    with pytest.raises(PlanInvalid):
        CampaignPlan.from_body(changed(path, value))


@given(
    st.sampled_from(sorted(json.loads(PLAN.to_body()))),
    st.none() | st.integers() | st.floats() | st.text(max_size=3) | st.lists(st.integers()),
)
def test_any_field_value_gives_a_plan_or_invalid_input(field, value):
    with contextlib.suppress(InvalidInput):
        CampaignPlan.from_body(changed(field, value))


def test_a_proposed_plan_spends_just_under_its_ceiling():
    spent = epsilon(campaign_charges(PLAN), PLAN.privacy.delta)
    assert 0.98 * PLAN.privacy.epsilon < spent <= PLAN.privacy.epsilon


def test_a_campaign_and_its_follow_up_together_are_what_was_announced():
    follow = PLAN.follow_up("campaign-2", "bundle-1")
    alone = replace(PLAN, privacy=replace(PLAN.privacy, follow_up_rounds=0))
    both = [*campaign_charges(alone), *campaign_charges(follow)]
    announced = epsilon(campaign_charges(PLAN), PLAN.privacy.delta)
    assert epsilon(both, PLAN.privacy.delta) == pytest.approx(announced, abs=1e-9)


def test_a_follow_up_starts_from_a_bundle_and_cannot_be_followed_up():
    follow = PLAN.follow_up("campaign-2", "bundle-1")
    assert (follow.start_bundle, follow.rounds) == ("bundle-1", PLAN.privacy.follow_up_rounds)
    assert CampaignPlan.from_body(follow.to_body()) == follow
    with pytest.raises(PlanInvalid):
        follow.follow_up("campaign-3", "bundle-2")


def test_a_ceiling_that_the_histograms_alone_would_pass_is_refused():
    with pytest.raises(InvalidInput, match="alone spend"):
        propose(load_default(), "c", MEMBERS, epsilon=0.1)


@pytest.mark.parametrize("honest", [0, 1, 4, 1001])
def test_a_distributed_plan_needs_two_honest_nodes_and_no_more_than_its_quorum(honest):
    """Noise is never shared among more nodes than are in every sum."""
    plan = propose(load_default(), "c", MEMBERS, rounds=10, mode="distributed", quorum=3)
    body = json.loads(plan.to_body())
    body["privacy"]["honest_minimum"] = honest
    with pytest.raises(PlanInvalid):
        CampaignPlan.from_body(body)
