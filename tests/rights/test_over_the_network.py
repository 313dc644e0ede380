"""What a person asks for is in effect at the holder in its next answer, over real mutual TLS."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from consent.refusals import SubjectFrozen
from consent.rights import Freeze, Kind, State
from node.rights.steps import Action
from node.storage import training_sources
from tests.network import now_ms
from tests.rights.world import ANNA, BANK, BEN, HOLDER, Refused, RightsWorld, open_rights

DISPUTED = 5


@pytest.fixture
def there(tmp_path: Path) -> Iterator[RightsWorld]:
    with open_rights(tmp_path) as world:
        yield world


def test_a_disputed_item_is_flagged_with_its_value_in_the_very_next_answer(
    there: RightsWorld,
) -> None:
    """The holder's next answer carries the item as `disputed`, value and all."""
    one, terms = there.person(1)
    assert there.fetch(one, terms)["paid_ratio_1m"] == (1, 0.05)
    there.bank.dispute(one, HOLDER, "paid_ratio_1m", "I paid in full.")
    after = there.fetch(one, terms)
    assert after["paid_ratio_1m"] == (DISPUTED, 0.05)
    assert after["statement_balance"] == (1, 45_000.0)


def test_a_frozen_person_is_refused_in_the_very_next_answer_and_released_again_after(
    there: RightsWorld,
) -> None:
    """A freeze at the bank is in effect at every holder; lifting it is too."""
    one, terms = there.person(1)
    there.fetch(one, terms)
    view = there.bank.freeze(one)
    assert view.state is Freeze.FROZEN
    assert {told.member_id for told in view.told if told.effective_at_ms} == {
        HOLDER,
        "public-records",
    }
    with pytest.raises(Refused, match="subject_frozen"):
        there.fetch(one, terms)
    there.bank.unfreeze(one)
    assert there.fetch(one, terms)["paid_ratio_1m"] == (1, 0.05)


def test_a_frozen_person_is_not_scored_and_scores_given_before_are_not_read(
    there: RightsWorld,
) -> None:
    """The bank itself refuses with the same code; nobody else's freeze is touched."""
    one, terms = there.person(1)
    other, others_terms = there.person(2)
    scored = there.world.score(one, terms)
    there.bank.freeze(one)
    with pytest.raises(SubjectFrozen):
        there.world.score(one, terms)
    with pytest.raises(SubjectFrozen):
        there.world.scoring.read(scored.score_id, "cli_test")
    assert there.world.score(other, others_terms).answer["score"]


def test_a_score_says_what_is_disputed_and_does_not_rest_on_it(there: RightsWorld) -> None:
    """`disputes` names the item and the statement, coverage counts it, the score is without it."""
    one, terms = there.person(1)
    before = there.world.score(one, terms).answer
    assert before["disputes"] == []
    assert before["review_pending"] is False
    there.bank.dispute(
        one, BANK, "worst_status_3m", "The bank's clerk erred.", statement="I was never late."
    )
    after = there.world.score(one, terms).answer
    (told,) = after["disputes"]
    assert (told["source"], told["signal"], told["status"], told["statement"]) == (
        BANK,
        "worst_status_3m",
        "disputed",
        "I was never late.",
    )
    own = next(one for one in after["coverage"] if one["source"] == BANK)
    assert own["disputed"] == 1
    assert after["pd"] != before["pd"]


def test_a_score_given_before_is_flagged_when_it_is_read_again(there: RightsWorld) -> None:
    """What was given out before a dispute shows the dispute when it is read after it."""
    one, terms = there.person(1)
    scored = there.world.score(one, terms, idempotency_key="k1")
    there.bank.dispute(one, HOLDER, "paid_ratio_1m", "I paid in full.")
    there.bank.person.object(one, "A machine decided.")
    for again in (
        there.world.scoring.read(scored.score_id, "cli_test"),
        there.world.score(one, terms, idempotency_key="k1"),
    ):
        assert [one["signal"] for one in again.answer["disputes"]] == ["paid_ratio_1m"]
        assert again.answer["review_pending"] is True
        assert again.answer["score"] == scored.answer["score"]
        assert again.answer["receipt"] == scored.answer["receipt"]


def test_the_furnisher_corrects_and_its_reply_travels_back(there: RightsWorld) -> None:
    """The holder's desk proposes, a second person agrees; the next answer has the right value."""
    one, terms = there.person(1)
    opened = there.bank.dispute(one, HOLDER, "paid_ratio_1m", "I paid <b>in full</b>.")
    (case,) = there.holder.desk.waiting(ANNA)
    assert case.text == "I paid <b>in full</b>."
    assert case.due_at_ms == opened.due_at_ms
    there.holder.act(ANNA, case.request_id, Action.PROPOSE, "You paid it all. Corrected.", 1.0)
    there.holder.act(BEN, case.request_id, Action.APPROVE)
    replied = there.bank.person.view(one, opened.request_id).request
    assert (replied.state, replied.finding) == (State.CORRECTED, "corrected")
    assert replied.outcome == "You paid it all. Corrected."
    there.bank.act(ANNA, opened.request_id, Action.CLOSE, "The payer corrected the item.")
    assert there.fetch(one, terms)["paid_ratio_1m"] == (1, 1.0)
    assert there.holder.desk.waiting(ANNA) == []


def test_a_rejected_dispute_loses_its_flag_and_keeps_the_statement(there: RightsWorld) -> None:
    """Found right: the flag goes when the person has the outcome; their statement stays."""
    one, terms = there.person(1)
    opened = there.bank.dispute(one, HOLDER, "paid_ratio_1m", "No.", statement="I disagree.")
    (case,) = there.holder.desk.waiting(ANNA)
    there.holder.act(ANNA, case.request_id, Action.REJECT, "The statement of May shows it.")
    there.bank.act(ANNA, opened.request_id, Action.CLOSE, "They looked and found it right.")
    assert there.fetch(one, terms)["paid_ratio_1m"] == (1, 0.05)
    told = there.world.score(one, terms).answer["disputes"]
    assert [(one["status"], one["statement"]) for one in told] == [("stated", "I disagree.")]


def test_a_withdrawn_dispute_is_over_at_the_furnisher_too(there: RightsWorld) -> None:
    """Taking it back lifts the flag on both sides."""
    one, terms = there.person(1)
    opened = there.bank.dispute(one, HOLDER, "paid_ratio_1m", "No.")
    there.bank.person.withdraw(one, opened.request_id)
    there.bank.push_pending()
    assert there.holder.desk.waiting(ANNA) == []
    assert there.fetch(one, terms)["paid_ratio_1m"] == (1, 0.05)


def test_what_a_holder_misses_it_hears_when_it_is_back(there: RightsWorld) -> None:
    """A notice waits in the outbox, is shown as pending, and arrives with the next push."""
    one, terms = there.person(1)
    opened = there.bank.person.dispute(one, HOLDER, "paid_ratio_1m", "No.")
    pending = there.bank.person.view(one, opened.request_id).told
    assert [(told.member_id, told.effective_at_ms) for told in pending] == [(HOLDER, None)]
    assert there.bank.push_pending().accepted == 1
    (told,) = there.bank.person.view(one, opened.request_id).told
    assert told.effective_at_ms is not None
    assert there.fetch(one, terms)["paid_ratio_1m"][0] == DISPUTED


def test_a_holder_that_is_away_does_not_keep_a_freeze_from_taking_effect(
    there: RightsWorld,
) -> None:
    """The bank refuses at once; the page shows who has not acknowledged."""
    one, terms = there.person(1)
    there.world.network.servers[HOLDER].stop(grace_s=0)
    view = there.bank.freeze(one)
    assert {told.member_id for told in view.told if told.effective_at_ms is None} == {HOLDER}
    with pytest.raises(SubjectFrozen):
        there.world.score(one, terms)


def test_a_consent_granted_while_frozen_freezes_its_holders_too(there: RightsWorld) -> None:
    """A holder that a later consent names is told by the background push."""
    (one,) = there.world.enrol(7)
    there.bank.freeze(one)
    terms = there.world.consent(one)
    there.bank.push_pending()
    with pytest.raises(Refused, match="subject_frozen"):
        there.fetch(one, terms)


def test_every_act_has_its_leaf_on_both_sides(there: RightsWorld) -> None:
    """Dispute, freeze and staff's look at a person stand in the log, in their order."""
    one, _ = there.person(1)
    opened = there.bank.dispute(one, HOLDER, "paid_ratio_1m", "No.")
    there.bank.freeze(one)
    there.bank.desk.view(ANNA, opened.request_id)
    bank = [kind for kind in there.leaves(BANK, one) if not kind.startswith("consent.")]
    assert bank == ["rights.dispute.opened", "rights.dispute.send", "rights.freeze", "staff.query"]
    holder = [kind for kind in there.leaves(HOLDER, one) if not kind.startswith("consent.")]
    assert holder == ["rights.dispute.opened", "rights.dispute.send", "rights.heard.freeze"]


def test_an_own_dispute_is_settled_at_one_desk(there: RightsWorld) -> None:
    """The bank furnished it: two of its staff correct it, and it is closed in the same act."""
    one, terms = there.person(1)
    opened = there.bank.dispute(one, BANK, "late_months_6m", "I was late once, not twice.")
    assert opened.state is State.WITH_FURNISHER
    assert opened.kind is Kind.DISPUTE
    there.bank.act(ANNA, opened.request_id, Action.PROPOSE, "Once it is.", 1.0)
    done = there.bank.act(BEN, opened.request_id, Action.APPROVE)
    assert (done.state, done.finding, done.outcome) == (State.CLOSED, "corrected", "Once it is.")
    item = {one.signal: one for one in there.bank.person.items(one)}["late_months_6m"]
    assert (item.status, item.value) == ("present", 1.0)
    assert there.world.score(one, terms).answer["disputes"] == []
    assert json.loads(there.world.score(one, terms).body)["review_pending"] is False


def test_no_model_learns_from_a_disputed_item(there: RightsWorld) -> None:
    """What training reads has the item as disputed, own or released, and its cache knows of it."""
    one, _ = there.person(1)
    database = there.world.node.database
    with database.read() as connection:
        before = training_sources.signals_mark(connection)
    there.bank.dispute(one, BANK, "credit_limit", "No.")
    with database.read() as connection:
        assert training_sources.signals_mark(connection) != before
        (row,) = training_sources.vectors(connection, 1, now_ms())
    assert json.loads(row.signals)["credit_limit"] == [DISPUTED, 50_000.0]
