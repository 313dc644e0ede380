"""A coordinator that lies about who takes part: nothing but sums is ever opened."""

from dataclasses import replace

import numpy as np
import pytest

from protocols.keys import SigningKey
from protocols.masking.errors import (
    CohortOfFew,
    MaskingMalformed,
    MaskingNotReady,
    ViewInconsistent,
    ViewRefused,
    ViewUnsupported,
)
from protocols.masking.party import recovery_inputs
from protocols.masking.ring import RingOverflow
from tests.protocols.masking_cohort import BOUND, MODEL, Cohort, member_ids, terms

A, B, C, D, E = member_ids(5)


def test_a_coordinator_that_invents_a_dropout_is_refused_by_everybody(five):
    """Who signed that C is in answers no view without C: its pair masks stay closed."""
    inputs = five.inputs(five.values(1))
    five.sign(five.view(inputs))
    lie = five.view(set(inputs) - {C})
    for one in (A, B, D, E):
        with pytest.raises(ViewInconsistent):
            five.parties[one].sign_view(lie.to_body())
        with pytest.raises(ViewRefused):
            five.parties[one].unmask(lie.to_body(), {})


def test_a_lie_is_refused_after_a_restart_too(five):
    """The view that was signed is kept before the signature leaves."""
    inputs = five.inputs(five.values(1))
    five.sign(five.view(inputs))
    again = five.reborn(A)
    again.fix_roster(five.roster)
    again.deal(five.reveals)
    five.start(A, again)
    again.mask(1, MODEL, five.values(1)[A])
    with pytest.raises(ViewInconsistent):
        again.sign_view(five.view(set(inputs) - {C}).to_body())


def test_two_views_of_a_round_cannot_both_have_a_majority(five):
    """Told different things, three members sign one view and two the other: only one is opened."""
    inputs = five.inputs(five.values(1))
    true, lie = five.view(inputs), five.view(set(inputs) - {C})
    for_true = {one: five.parties[one].sign_view(true.to_body()) for one in (A, B, C)}
    for_lie = {one: five.parties[one].sign_view(lie.to_body()) for one in (D, E)}
    assert five.parties[A].unmask(true.to_body(), for_true).pairs == ()
    with pytest.raises(ViewUnsupported):
        five.parties[D].unmask(lie.to_body(), for_lie)
    with pytest.raises(ViewUnsupported):
        five.parties[D].unmask(lie.to_body(), for_lie | for_true)


def test_forged_and_repeated_signatures_count_for_nothing(five):
    """Signatures of outsiders, under other keys or under another member's name are not counted."""
    inputs = five.inputs(five.values(1), [E])
    view = five.view(inputs)
    signatures = five.sign(view, silent=(C, D))
    own = signatures[A]
    bad = {C: own, D: SigningKey.generate().sign("mask-view", view.to_body()), E: own, "x-y": own}
    with pytest.raises(ViewUnsupported):
        five.parties[A].unmask(view.to_body(), signatures | bad)


@pytest.mark.parametrize("members", [(A,), (A, B)])
def test_a_view_of_fewer_than_the_plan_allows_is_refused(five, members):
    """A cohort of one is nobody's sum; nor is one below the threshold."""
    five.inputs(five.values(1))
    with pytest.raises(CohortOfFew):
        five.parties[A].sign_view(five.view(members).to_body())


def test_the_quorum_of_the_plan_counts_when_it_is_above_the_threshold():
    cohort = Cohort(terms(5, 3, quorum=4)).agree()
    cohort.inputs(cohort.values(1))
    with pytest.raises(CohortOfFew):
        cohort.parties[A].sign_view(cohort.view((A, B, C)).to_body())


def test_members_with_different_models_sign_no_common_view(five):
    """The model's hash is in masks and view: a member that got another one signs nothing."""
    values = five.values(1)
    inputs = five.inputs(values)
    victim = five.reborn(E)
    victim.fix_roster(five.roster)
    victim.deal(five.reveals)
    five.start(E, victim)
    other = victim.mask(1, bytes(32), values[E])
    assert other.context != inputs[A].context
    with pytest.raises(ViewRefused):
        victim.sign_view(five.view(inputs).to_body())
    with pytest.raises(MaskingMalformed):
        other.check(inputs[A].context, 4, other.octets.shape)


@pytest.mark.parametrize(
    "change",
    [
        {"campaign_id": "camp-2"},
        {"plan_sha256": bytes(32)},
        {"roster_sha256": bytes(32)},
        {"number": 2},
        {"model_sha256": bytes(32)},
        {"members": (A, B, C, D, "stranger")},
        {"members": (B, C, D, E)},
    ],
)
def test_a_view_of_something_else_is_refused(five, change):
    """Another campaign, plan, roster, round, model, a stranger, or a view without the signer."""
    view = replace(five.view(five.inputs(five.values(1))), **change)
    with pytest.raises(ViewRefused):
        five.parties[A].sign_view(view.to_body())


def test_masks_are_opened_for_the_signed_view_only(five):
    """Before its own signature a member answers nothing; after it, for no member outside."""
    inputs = five.inputs(five.values(1), [E])
    view = five.view(inputs)
    signatures = five.sign(view, silent=(A,))
    with pytest.raises(ViewRefused):
        five.parties[A].unmask(view.to_body(), signatures)
    five.parties[A].sign_view(view.to_body())
    for stranger in (E, A, "x-y"):
        with pytest.raises(ViewRefused):
            five.parties[A].stand_in(view.to_body(), signatures, {stranger: bytes(32)})


def test_of_a_member_in_the_view_no_pair_with_another_in_it_is_opened(five):
    """All that leaves for a round: self masks of those inside, pairs with those outside."""
    inputs = five.inputs(five.values(1), [E])
    view = five.view(inputs)
    signatures = five.sign(view)
    for one in view.members:
        answer = five.parties[one].unmask(view.to_body(), signatures)
        assert len(answer.pairs) == 1  # with E alone
    parts = five.parties[A].stand_in(view.to_body(), signatures, {B: inputs[B].salt})
    assert len(parts[B].elements) == 2  # B's self mask, and its pair with E
    assert len(recovery_inputs(five.layout, view, B, inputs[B].salt)) == 2


def test_a_round_opened_opens_no_other(five):
    """Seeds and shared values of one round say nothing of the next: all of them are different."""
    seen = set()
    for number in (1, 2, 3):
        inputs = five.inputs(five.values(number), [E], number)
        view = five.view(inputs, number)
        signatures = five.sign(view)
        answer = five.parties[A].unmask(view.to_body(), signatures)
        part = five.parties[A].stand_in(view.to_body(), signatures, {B: inputs[B].salt})[B]
        seen |= {answer.seed, *answer.pairs, *part.elements}
    assert len(seen) == 3 * 4


def test_a_round_is_not_masked_again_with_another_input(five):
    """The same input gives the same bytes; another one, or another model, is refused."""
    values = five.values(1)[A]
    first = five.parties[A].mask(1, MODEL, values)
    assert five.parties[A].mask(1, MODEL, values) is first
    with pytest.raises(ViewRefused):
        five.parties[A].mask(1, MODEL, values + 1)
    with pytest.raises(ViewRefused):
        five.parties[A].mask(1, bytes(32), values)


def test_other_values_never_meet_the_same_self_mask(five):
    """Even a database that was put back cannot make a member mask two inputs alike."""
    values = five.values(1)[A]
    first = five.parties[A].mask(1, MODEL, values)
    again = five.reborn(A)
    again.fix_roster(five.roster)
    again.deal(five.reveals)
    five.start(A, again)
    second = again.mask(1, MODEL, values + 1)
    assert first.salt != second.salt
    assert first.self_commitment != second.self_commitment
    ring = five.terms.ring
    difference = ring.decode(ring.unpack(second.octets) - ring.unpack(first.octets))
    assert not (difference == 1).any()


def test_nothing_is_masked_before_the_masks_are_agreed():
    cohort = Cohort(terms(5, 3))
    with pytest.raises(MaskingNotReady):
        cohort.parties[A].mask(1, MODEL, np.zeros(3, np.int64))


def test_a_value_without_room_in_the_ring_does_not_leave(five):
    """The bound is the plan's: the sum of all members fits with a bit to spare."""
    with pytest.raises(RingOverflow):
        five.parties[A].mask(1, MODEL, np.array([0, BOUND + 1]))
    with pytest.raises(RingOverflow):
        five.parties[A].mask(1, MODEL, np.array([0, np.iinfo(np.int64).min]))
