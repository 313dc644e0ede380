"""Masked sums are exact down to the threshold, wherever members fall out."""

from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.masking.errors import CohortOfFew
from protocols.masking.opening import Opening
from tests.protocols.masking_cohort import Cohort, member_ids, terms

A, B, C, D, E = member_ids(5)
ROUNDS = count(1)


@pytest.fixture(scope="module")
def agreed() -> Cohort:
    """Five members with their masks agreed; a test takes a round of its own."""
    return Cohort(terms(5, 3)).agree()


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_the_sum_is_exact_whoever_falls_out_at_input_view_and_answer(agreed, data):
    """Any two of five may fall out, at any stage: what is opened is the sum of those who sent."""
    number = next(ROUNDS)
    gone = data.draw(st.lists(st.sampled_from(agreed.layout.dealers), max_size=2, unique=True))
    stages = [data.draw(st.sampled_from(["input", "view", "answer"])) for _ in gone]
    by_stage = {
        stage: [one for one, at in zip(gone, stages, strict=True) if at == stage]
        for stage in ("input", "view", "answer")
    }
    values = agreed.values(number)
    inputs = agreed.inputs(values, by_stage["input"], number)
    total = agreed.open(inputs, unsigned=by_stage["view"], silent=by_stage["answer"], number=number)
    assert (total == sum(values[one] for one in inputs)).all()


@pytest.mark.parametrize("stage", ["no_keys", "no_reveal", "no_deal"])
def test_members_may_fall_out_while_masks_are_agreed(stage):
    """Two of five that are lost at any stage of the agreement cost nobody else the campaign."""
    cohort = Cohort(terms(5, 3)).agree(**{stage: (B, D)})
    values = cohort.values(1)
    assert cohort.layout.dealers == (A, C, E)
    assert (cohort.open(cohort.inputs(values)) == sum(values.values())).all()


def test_a_member_that_fell_out_after_dealing_is_back_in_the_next_round(five):
    """Absence lasts one round; the masks of the next need nothing new."""
    values = five.values(1)
    five.open(five.inputs(values, [C]))
    later = five.values(2)
    total = five.open(five.inputs(later, number=2), number=2)
    assert (total == sum(later.values())).all()


@pytest.mark.parametrize("stage", ["no_keys", "no_reveal"])
def test_below_the_threshold_no_masks_are_agreed(stage):
    """With two of five left no member goes on."""
    with pytest.raises(CohortOfFew):
        Cohort(terms(5, 3)).agree(**{stage: (A, B, C)})


def test_dealers_below_the_threshold_are_refused_by_each_member(five):
    cohort = Cohort(terms(5, 3)).agree()
    fresh = cohort.reborn(A)
    fresh.fix_roster(cohort.roster)
    fresh.deal(cohort.reveals)
    with pytest.raises(CohortOfFew):
        fresh.start((A, B), [cohort.signed[B]])


def test_a_silent_member_is_not_stood_in_for_by_fewer_than_the_threshold(five):
    """Two holders of three open nothing of a member that sent its input and fell silent."""
    inputs = five.inputs(five.values(1))
    view = five.view(inputs)
    signatures = five.sign(view)
    opening = Opening(five.layout, five.terms.ring, view, inputs, five.deals)
    for one in (A, B):
        opening.take(one, five.parties[one].unmask(view.to_body(), signatures))
    for one in (A, B):
        opening.take_parts(
            one, five.parties[one].stand_in(view.to_body(), signatures, opening.missing)
        )
    with pytest.raises(CohortOfFew):
        opening.recover()
    with pytest.raises(CohortOfFew):
        opening.total()


def test_a_restarted_member_is_the_same_party(five):
    """A process that was killed comes back with the same keys, shares, masks and bytes."""
    values = five.values(1)
    before = five.inputs(values)
    again = five.reborn(C)
    assert again.announce(five.keys[C]) == five.parties[C].announce(five.keys[C])
    again.fix_roster(five.roster)
    assert again.deal(five.reveals) == five.signed[C]
    five.start(C, again)
    five.parties[C] = again
    after = five.inputs(values)
    assert after[C].octets.tobytes() == before[C].octets.tobytes()
    assert after[C].parts() == before[C].parts()
    assert (five.open(after) == sum(values.values())).all()


@pytest.mark.slow
def test_sixty_members_mask_with_a_few_each_and_the_sum_is_exact():
    """Above thirty members each masks with about 6 log2 n others, and sums stay exact."""
    cohort = Cohort(terms(60, 31)).agree()
    assert len(cohort.layout.neighbours(A)) == 36
    values = cohort.values(1, 8)
    absent, silent = member_ids(60)[3:6], member_ids(60)[20:22]
    inputs = cohort.inputs(values, absent)
    assert (cohort.open(inputs, silent=silent) == sum(values[one] for one in inputs)).all()
