"""Masked sums: exact, whoever falls out when; and nothing but sums is ever opened."""

from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.canonical import canonical_json
from protocols.errors import SignatureInvalid
from protocols.keys import SealingKey, SigningKey
from protocols.masking import prf
from protocols.masking.errors import (
    AnswerWrong,
    CohortOfFew,
    MaskingMalformed,
    MaskingNotReady,
    MaskKeyForeign,
    RosterChanged,
    ShareInvalid,
    ViewInconsistent,
    ViewRefused,
    ViewUnsupported,
)
from protocols.masking.opening import Opening, mismatched
from protocols.masking.party import recovery_inputs
from protocols.masking.ring import RingOverflow
from protocols.masking.roster import Announcement, Signed, joint_seed, sign_reveal
from protocols.masking.seeds import derive
from protocols.masking.shares import open_share, read_deal
from protocols.masking.wire import Unmasked
from protocols.oprf import ProofInvalid
from tests.protocols.masking_cohort import (
    BOUND,
    CAMPAIGN,
    MODEL,
    PLAN,
    Cohort,
    member_ids,
    terms,
)

A, B, C, D, E = member_ids(5)
ROUNDS = count(1)


@pytest.fixture(scope="module")
def agreed() -> Cohort:
    """Five members with their masks agreed; a test takes a round of its own."""
    return Cohort(terms(5, 3)).agree()


@pytest.fixture
def five() -> Cohort:
    return Cohort(terms(5, 3)).agree()


# Sums are exact down to the threshold, wherever members fall out.


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


# A coordinator that lies.


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


# Somebody in the middle.


def announcements(cohort: Cohort) -> dict[str, Signed]:
    return {one: party.announce(cohort.keys[one]) for one, party in cohort.parties.items()}


def forged(member_id: str, key: SigningKey, **changes: object) -> Signed:
    """Keys that somebody else holds, announced in a member's name."""
    return replace(
        Announcement(
            campaign_id=CAMPAIGN,
            plan_sha256=PLAN,
            member_id=member_id,
            role="bank",
            mask_key=SealingKey.generate().public,
            view_key=SigningKey.generate().verify_key.bytes,
            seed_commitment=bytes(32),
        ),
        **changes,
    ).sign(key)


def test_a_coordinator_cannot_put_keys_of_its_own_between_two_members(five):
    """Mask keys count only under the member's own signature, by the directory held here."""
    given = announcements(five)
    given[C] = forged(C, SigningKey.generate())
    with pytest.raises(MaskKeyForeign):
        five.read(list(given.values()))
    given[C] = forged(C, five.keys[D])
    with pytest.raises(MaskKeyForeign):
        five.read(list(given.values()))


def test_keys_for_another_campaign_or_plan_or_outside_it_are_refused(five):
    good = announcements(five)
    for wrong in (
        forged(C, five.keys[C], campaign_id="camp-0"),
        forged(C, five.keys[C], plan_sha256=bytes(32)),
        forged("stranger", five.keys[C]),
        good[D],
    ):
        with pytest.raises(MaskingMalformed):
            five.read([*(signed for one, signed in good.items() if one != C), wrong])


def test_keys_of_a_suspended_member_or_in_another_role_are_refused(five):
    given = announcements(five)
    entries = tuple(
        replace(entry, status="suspended") if entry.member_id == B else entry
        for entry in five.directory.members
    )
    five.directory = replace(five.directory, members=entries)
    with pytest.raises(MaskKeyForeign):
        five.read(list(given.values()))
    with pytest.raises(MaskKeyForeign):
        five.read([forged(A, five.keys[A], role="regulator")])


def test_two_members_with_one_key_are_refused(five):
    """Who repeats another's mask key would share all its pairs."""
    given = announcements(five)
    key = five.roster.members[A].mask_key
    given[C] = forged(C, five.keys[C], mask_key=key)
    with pytest.raises(MaskKeyForeign):
        five.read(list(given.values()))


def test_a_roster_is_fixed_once_and_must_hold_our_own_keys(five):
    """Other keys for a campaign, later or in our own name, are refused."""
    other = Cohort(terms(5, 3))
    given = announcements(five)
    given[A] = forged(A, five.keys[A])
    with pytest.raises(RosterChanged):
        five.reborn(A).fix_roster(five.read(list(given.values())))
    given = announcements(five)
    given[B] = forged(B, five.keys[B])
    with pytest.raises(RosterChanged):
        five.parties[A].fix_roster(five.read(list(given.values())))
    assert other.parties[A].roster_sha256 is None


def test_the_joint_seed_is_what_was_committed_to(five):
    """A part chosen after others were seen, for another roster, or twice, is refused."""
    roster = five.roster
    view_key = SigningKey.generate()
    with pytest.raises(MaskingMalformed):
        joint_seed(roster, [five.reveals[0], five.reveals[0]])
    changed = replace(roster, members={**roster.members, A: replace(
        roster.members[A], view_key=view_key.verify_key.bytes)})  # fmt: skip
    with pytest.raises(MaskingMalformed):
        joint_seed(changed, [sign_reveal(changed, A, bytes(32), view_key)])
    with pytest.raises(MaskingMalformed):
        joint_seed(replace(changed, sha256=bytes(32)), [
            sign_reveal(changed, A, bytes(32), view_key)])  # fmt: skip


# Shares.


def test_a_share_that_does_not_fit_its_commitments_is_refused(five):
    """The holder sees it at once, and the dealer is not stood in for by it."""
    deal = five.deals[B]
    other = Cohort(terms(5, 3)).agree()
    with pytest.raises(ShareInvalid):
        open_share(five.graph, deal, A, bytes(32))
    root = five.parties[A]._roots[B]
    assert open_share(five.graph, deal, A, derive(root, "share"))
    swapped = replace(deal, commitments=other.deals[B].commitments)
    with pytest.raises(ShareInvalid):
        open_share(five.graph, swapped, A, derive(root, "share"))


def test_a_deal_that_was_changed_or_is_for_others_is_refused(five):
    signed = five.signed[B]
    with pytest.raises(SignatureInvalid):
        read_deal(five.graph, replace(signed, signature=bytes(64)))
    with pytest.raises(MaskingMalformed):
        read_deal(five.graph, Signed(canonical_json({"member_id": B}), signed.signature))
    fresh = five.reborn(A)
    fresh.fix_roster(five.roster)
    fresh.deal(five.reveals)
    for deals in ([signed], [signed] * 4, [five.signed[one] for one in (B, C, D, D)]):
        with pytest.raises(MaskingMalformed):
            fresh.start(five.layout.dealers, deals)


def silent_c(cohort: Cohort):
    """A round in which C sent its input and fell silent."""
    inputs = cohort.inputs(cohort.values(1), [E])
    view = cohort.view(inputs)
    signatures = cohort.sign(view)
    opening = Opening(cohort.layout, cohort.terms.ring, view, inputs, cohort.deals)
    for one in (A, B, D):
        opening.take(one, cohort.parties[one].unmask(view.to_body(), signatures))
    parts = {
        one: cohort.parties[one].stand_in(view.to_body(), signatures, opening.missing)
        for one in (A, B, D)
    }
    return opening, parts


def test_a_wrong_part_of_a_share_is_named_and_left_out(five):
    """A holder that answers with another share than it was dealt does not pass its proof."""
    opening, parts = silent_c(five)
    with pytest.raises(ProofInvalid):
        opening.take_parts(B, parts[A])
    twisted = prf.Partial(parts[B][C].elements[::-1], parts[B][C].proof)
    with pytest.raises(ProofInvalid):
        opening.take_parts(B, {C: twisted})


def test_the_same_share_twice_counts_once(five):
    """Two holders of three are not made three by repeating one."""
    opening, parts = silent_c(five)
    for holder in (A, A, B, A):
        opening.take_parts(holder, parts[holder])
    with pytest.raises(CohortOfFew):
        opening.recover()
    opening.take_parts(D, parts[D])
    assert opening.recover() == ()


def test_a_wrong_answer_is_named_and_opened_by_the_others(five):
    """A member that opens another seed than it committed to is replaced by its holders."""
    values = five.values(1)
    inputs = five.inputs(values, [E])
    view = five.view(inputs)
    body, signatures = view.to_body(), five.sign(view)
    opening = Opening(five.layout, five.terms.ring, view, inputs, five.deals)
    answers = {one: five.parties[one].unmask(body, signatures) for one in view.members}
    for wrong in (
        replace(answers[C], seed=bytes(32)),
        replace(answers[C], pairs=(bytes(32),)),
        replace(answers[C], pairs=()),
        Unmasked(answers[C].seed, answers[C].pairs * 2),
    ):
        with pytest.raises(AnswerWrong):
            opening.take(C, wrong)
    for one in (A, B, D):
        opening.take(one, answers[one])
        opening.take_parts(one, five.parties[one].stand_in(body, signatures, {C: inputs[C].salt}))
    assert opening.recover() == ()
    assert (opening.total() == sum(values[one] for one in inputs)).all()


def test_masks_that_fit_nobodys_are_found_before_a_view_is_signed(five):
    """One member whose pair seeds differ from all its neighbours' is told apart from them."""
    inputs = five.inputs(five.values(1))
    assert mismatched(five.layout, inputs) == set()
    inputs[C] = replace(inputs[C], pair_commitments=(bytes(32),) * 4)
    assert mismatched(five.layout, inputs) == {C}
