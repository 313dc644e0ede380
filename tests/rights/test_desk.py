"""What staff may do: roles, four eyes, deadlines, corrections with their past, deletion by law."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.shredding import PayloadErased
from consent.rights import Kind, RightsConflict, State, TextRefused
from node.rights import deletion
from node.rights.corrections import reapply
from node.rights.errors import ConsentsStillLive, FourEyes, StaffRoleMissing
from node.rights.steps import Action, Clerk
from node.storage import corrections, signals
from node.storage.signals import OWN, SignalVector
from protocols.errors import InvalidInput
from tests.network import AS_OF_MS, now_ms
from tests.postgresql import on_each_database
from tests.rights.world import ANNA, BANK, BEN, CARA, HOLDER, RightsWorld, open_rights

NOBODY = Clerk("stf_nobody", frozenset({"admin", "regulator"}))
PAYMENT_ONLY = {"statement_balance": (1, 100.0), "paid_ratio_1m": (1, 0.5)}


@pytest.fixture
def there(tmp_path: Path, database_url: str) -> Iterator[RightsWorld]:
    with open_rights(tmp_path, database_url=database_url) as world:
        yield world


def own(there: RightsWorld, one: bytes) -> dict[str, tuple[int, float]]:
    with there.world.node.database.read() as connection:
        vector = signals.find(connection, one, BANK, OWN, now_ms())
    return dict(vector.signals) if vector is not None else {}


@on_each_database
def test_a_correction_takes_two_people_and_keeps_what_was(there: RightsWorld) -> None:
    """Who proposed cannot agree; the old and the new value and both people stay on file."""
    one, _ = there.person(1)
    asked = there.bank.person.correct(one, "credit_limit", "It is 60,000.")
    there.bank.act(ANNA, asked.request_id, Action.PROPOSE, "You are right.", 60_000.0)
    with pytest.raises(FourEyes):
        there.bank.act(ANNA, asked.request_id, Action.APPROVE)
    assert own(there, one)["credit_limit"] == (1, 50_000.0)
    done = there.bank.act(BEN, asked.request_id, Action.APPROVE)
    assert (done.state, done.proposed_by, done.decided_by, done.outcome) == (
        State.CORRECTED,
        "stf_anna",
        "stf_ben",
        "You are right.",
    )
    assert own(there, one)["credit_limit"] == (1, 60_000.0)
    with there.world.node.database.read() as connection:
        (made,) = corrections.by_person(connection, [one])[one]
    assert (made.old, made.new, made.request_id) == (
        (1, 50_000.0),
        (1, 60_000.0),
        asked.request_id,
    )
    payload = there.world.node.audit.payload(made.leaf_seq)
    assert payload["old"] == [1, 50_000.0]


def test_a_correction_outlives_an_ingest_of_the_same_records(there: RightsWorld) -> None:
    """Vectors of the same time are corrected again; one of a later time stands for itself."""
    one, _ = there.person(1)
    asked = there.bank.person.correct(one, "credit_limit", "It is 60,000.")
    there.bank.act(ANNA, asked.request_id, Action.PROPOSE, "Yes.", 60_000.0)
    there.bank.act(BEN, asked.request_id, Action.APPROVE)
    for as_of_ms, expected in ((AS_OF_MS, 60_000.0), (AS_OF_MS + 1, 50_000.0)):
        fresh = SignalVector(one, BANK, OWN, as_of_ms, 1, {"credit_limit": (1, 50_000.0)})
        with there.world.node.database.write() as connection:
            signals.replace_own(connection, BANK, [fresh])
            reapply(connection, BANK, now_ms())
        assert own(there, one)["credit_limit"] == (1, expected)


def test_a_proposal_that_is_given_back_changes_nothing(there: RightsWorld) -> None:
    """It is open again, for anybody."""
    one, _ = there.person(1)
    asked = there.bank.person.correct(one, "credit_limit", "It is 60,000.")
    there.bank.act(ANNA, asked.request_id, Action.PROPOSE, "Yes.", 60_000.0)
    back = there.bank.act(BEN, asked.request_id, Action.RETURN)
    assert (back.state, back.proposal, back.proposed_by) == (State.OPENED, "", "")
    assert own(there, one)["credit_limit"] == (1, 50_000.0)
    with pytest.raises(RightsConflict):
        there.bank.act(BEN, asked.request_id, Action.APPROVE)


@on_each_database
def test_deletion_keeps_what_law_says_and_never_serves_it(there: RightsWorld) -> None:
    """Credit records stay, restricted: answered without a value, scored without them."""
    one, terms = there.person(1)
    there.world.score(one, terms)
    asked = there.bank.person.delete(one)
    there.bank.act(ANNA, asked.request_id, Action.PROPOSE, "We delete what we may.")
    with pytest.raises(ConsentsStillLive):
        there.bank.act(CARA, asked.request_id, Action.APPROVE)
    there.world.network.withdraw(BANK, terms)
    done = there.bank.act(CARA, asked.request_id, Action.APPROVE)
    assert done.state is State.RESTRICTED
    assert own(there, one)["credit_limit"] == (1, 50_000.0)
    items = [item for item in there.bank.person.items(one) if item.status != "not_held"]
    assert {item.status for item in items if item.source == BANK and item.as_of_ms} == {"frozen"}
    assert all(item.value is None for item in items)
    assert not [item for item in items if item.source == HOLDER and item.as_of_ms]
    again = there.world.consent(one, holders=(BANK,))
    told = there.world.score(one, again).answer
    assert (told["score"], told["exclusion"]["code"]) == (None, "no_data")


@on_each_database
def test_deletion_where_nothing_is_kept_destroys_the_keys(there: RightsWorld) -> None:
    """Signals, texts and the keys of the log's payloads are gone; every leaf still verifies."""
    one, terms = there.person(1)
    there.world.network.enrol(BANK, one, PAYMENT_ONLY)
    asked = there.bank.person.delete(one, "Please delete it all.")
    leaf = there.world.node.audit.about(one)[-1]
    size = there.world.node.audit.head().size
    there.world.network.withdraw(BANK, terms)
    there.bank.act(ANNA, asked.request_id, Action.PROPOSE, "Deleted.")
    done = there.bank.act(CARA, asked.request_id, Action.APPROVE)
    assert done.state is State.ERASED
    assert own(there, one) == {}
    assert there.world.node.audit.about(one) == []
    with pytest.raises(PayloadErased):
        there.world.node.audit.payload(leaf)
    assert there.world.node.audit.head().size > size
    (kept,) = there.bank.person.of_person(one)
    assert (kept.text, kept.outcome, kept.proposal) == ("", "", "")
    with there.world.node.database.write() as connection:
        fresh = SignalVector(one, BANK, OWN, AS_OF_MS, 1, PAYMENT_ONLY)
        signals.replace_own(connection, BANK, [fresh])
        deletion.reapply(connection, BANK, there.world.node.documents.catalogue(), now_ms())
    assert own(there, one) == {}


def test_roles_decide_who_may(there: RightsWorld) -> None:
    """No role of the desk: nothing. The desk alone: no deletion, no review."""
    one, _ = there.person(1)
    asked = there.bank.person.delete(one)
    review = there.bank.person.object(one, "Look.")
    for act in (
        lambda: there.bank.desk.waiting(NOBODY),
        lambda: there.bank.desk.counts(NOBODY),
        lambda: there.bank.desk.view(NOBODY, asked.request_id),
        lambda: there.bank.act(NOBODY, asked.request_id, Action.PROPOSE, "x"),
        lambda: there.bank.act(ANNA, review.request_id, Action.TAKE),
        lambda: there.bank.act(ANNA, asked.request_id, Action.REFUSE, "No."),
    ):
        with pytest.raises(StaffRoleMissing):
            act()
    there.bank.act(BEN, asked.request_id, Action.PROPOSE, "Yes.")
    with pytest.raises(StaffRoleMissing):
        there.bank.act(ANNA, asked.request_id, Action.APPROVE)


def test_who_decided_does_not_review_it(there: RightsWorld) -> None:
    """A review of an outcome is taken by somebody who has not acted on it, and decided by them."""
    one, _ = there.person(1)
    asked = there.bank.person.correct(one, "credit_limit", "It is 60,000.")
    there.bank.act(BEN, asked.request_id, Action.REFUSE, "It is not.")
    review = there.bank.person.object(one, "Look again.", about=asked.request_id)
    with pytest.raises(FourEyes):
        there.bank.act(BEN, review.request_id, Action.TAKE)
    assert Action.TAKE not in there.bank.desk.view(BEN, review.request_id).actions
    there.bank.act(CARA, review.request_id, Action.TAKE)
    other = Clerk("stf_dan", frozenset({"privacy_officer"}))
    with pytest.raises(FourEyes):
        there.bank.act(other, review.request_id, Action.UPHOLD, "It stands.")
    done = there.bank.act(CARA, review.request_id, Action.UPHOLD, "I looked; it stands.")
    assert (done.state, done.outcome) == (State.UPHELD, "I looked; it stands.")


def test_an_outcome_is_in_writing(there: RightsWorld) -> None:
    """No finding, refusal, proposal or end without words."""
    one, _ = there.person(1)
    asked = there.bank.dispute(one, BANK, "credit_limit", "No.")
    for action in (Action.ANSWER, Action.REJECT, Action.PROPOSE, Action.CLOSE):
        with pytest.raises(TextRefused):
            there.bank.act(ANNA, asked.request_id, action, "  ")


def test_findings_are_the_furnishers_and_the_end_is_the_consent_nodes(there: RightsWorld) -> None:
    """The bank cannot reject what the holder furnished; the holder cannot close the bank's case."""
    one, _ = there.person(1)
    asked = there.bank.dispute(one, HOLDER, "paid_ratio_1m", "No.")
    with pytest.raises(RightsConflict):
        there.bank.act(ANNA, asked.request_id, Action.REJECT, "We think it is right.")
    (case,) = there.holder.desk.waiting(ANNA)
    there.holder.act(ANNA, case.request_id, Action.ANSWER, "It cannot be told.")
    with pytest.raises(RightsConflict):
        there.holder.act(ANNA, case.request_id, Action.CLOSE, "Done.")
    assert there.bank.desk.view(ANNA, asked.request_id).actions == (Action.CLOSE,)


def test_a_step_that_the_kind_does_not_have_is_refused(there: RightsWorld) -> None:
    """`uphold` is not for disputes, `reject` not for deletions."""
    one, _ = there.person(1)
    asked = there.bank.person.delete(one)
    with pytest.raises(InvalidInput):
        there.bank.act(BEN, asked.request_id, Action.REJECT, "No.")
    assert there.bank.desk.counts(ANNA)[Kind.DELETION] == (1, 0)


def test_a_deletion_shows_beforehand_what_it_would_do(there: RightsWorld) -> None:
    """What is kept and by which article, what goes, and what stands in the way."""
    one, terms = there.person(1)
    there.fetch(one, terms)
    asked = there.bank.person.delete(one)
    plan = there.bank.desk.view(ANNA, asked.request_id).plan
    assert plan is not None
    assert {name: rule.article for name, rule in plan.kept.items()} == {"credit_account": "CRIR 16"}
    assert (plan.live_consents, plan.fetched) == (1, 2)
