"""Somebody in the middle of a masked campaign: foreign keys, wrong shares, wrong answers."""

from dataclasses import replace

import pytest

from protocols.canonical import canonical_json
from protocols.errors import SignatureInvalid
from protocols.keys import SealingKey, SigningKey
from protocols.masking import prf
from protocols.masking.errors import (
    AnswerWrong,
    CohortOfFew,
    MaskingMalformed,
    MaskKeyForeign,
    RosterChanged,
    ShareInvalid,
)
from protocols.masking.opening import Opening, mismatched
from protocols.masking.roster import Announcement, Signed, joint_seed, sign_reveal
from protocols.masking.seeds import derive
from protocols.masking.shares import open_share, read_deal
from protocols.masking.wire import Unmasked
from protocols.oprf import ProofInvalid
from tests.protocols.masking_cohort import CAMPAIGN, PLAN, Cohort, member_ids, terms

A, B, C, D, E = member_ids(5)


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
