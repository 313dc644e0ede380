"""A withdrawal bites at once at the consent node, and is told until everyone has heard it."""

import pytest

from consent.lifecycle import Event, State, TransitionInvalid
from consent.refusals import ConsentUnknown
from consent.succession import ConsentConflict, ControllerMismatch
from consent.templates import DAY_MS
from node.consents.service import SignedGrant
from node.storage import consents
from protocols.errors import Malformed, SignatureInvalid
from tests.node.consent_world import START_MS, ConsentWorld, person


@pytest.fixture
def world(tmp_path):
    made = ConsentWorld(tmp_path)
    for member in made.members.values():
        member.enrol(1, 2)
    yield made
    made.close()


@pytest.fixture
def bank(world):
    return world.member("bank-a")


def states(world, consent_id):
    """member -> state of the consent there."""
    found = {}
    for name, member in world.members.items():
        with member.database.read() as connection:
            stored = consents.find(connection, consent_id)
        if stored is not None:
            found[name] = stored.terms.state.value
    return found


def test_a_withdrawal_is_in_effect_everywhere_when_it_returns(world, bank):
    consent_id = world.grant("bank-a", 1)
    world.tick(10)
    said = world.said("bank-a", consent_id, 1, Event.WITHDRAW)
    changed = bank.consents.withdraw(consent_id, said)
    assert changed.state is State.WITHDRAWN
    assert changed.confirmed == {"payments": START_MS + 10, "public-records": START_MS + 10}
    assert not changed.pending
    assert set(states(world, consent_id).values()) == {"withdrawn"}


def test_it_is_in_effect_here_though_no_holder_can_be_reached(world, bank):
    consent_id = world.grant("bank-a", 1)
    bank.courier.cut = {"payments", "public-records"}
    changed = bank.consents.withdraw(
        consent_id, world.said("bank-a", consent_id, 1, Event.WITHDRAW)
    )
    assert changed.state is State.WITHDRAWN
    assert list(changed.pending) == ["payments", "public-records"]
    assert states(world, consent_id)["bank-a"] == "withdrawn"
    assert states(world, consent_id)["payments"] == "active"


def test_a_holder_that_was_away_is_told_when_it_is_back(world, bank):
    consent_id = world.grant("bank-a", 1)
    bank.courier.cut = {"payments"}
    bank.consents.withdraw(consent_id, world.said("bank-a", consent_id, 1, Event.WITHDRAW))
    world.tick(5_000)
    assert bank.consents.push_pending().unreachable == {"payments": "peer_unreachable"}
    bank.courier.cut = set()
    world.tick(5_000)
    assert bank.consents.push_pending().accepted == 1
    assert bank.consents.waiting() == {}
    assert states(world, consent_id)["payments"] == "withdrawn"


def test_a_holder_whose_answer_was_lost_is_told_again_with_one_effect(world, bank):
    consent_id = world.grant("bank-a", 1)
    bank.courier.lose_answers = {"payments"}
    said = world.said("bank-a", consent_id, 1, Event.WITHDRAW)
    assert bank.consents.withdraw(consent_id, said).pending == ["payments"]
    leaves = world.member("payments").leaves()
    bank.courier.lose_answers = set()
    world.tick(5_000)
    bank.consents.push_pending()
    assert bank.consents.waiting() == {}
    assert world.member("payments").leaves() == leaves


def test_a_consent_withdrawn_before_it_was_delivered_never_comes_to_life_there(world, bank):
    bank.courier.cut = {"payments"}
    consent_id = world.grant("bank-a", 1)
    bank.consents.withdraw(consent_id, world.said("bank-a", consent_id, 1, Event.WITHDRAW))
    assert bank.consents.waiting() == {"payments": 1}, "the grant is not delivered any more"
    bank.courier.cut = set()
    world.tick(5_000)
    bank.consents.push_pending()
    assert bank.consents.waiting() == {}
    assert "payments" not in states(world, consent_id)


def test_what_was_fetched_under_it_is_deleted_in_the_same_transaction_and_no_more(world, bank):
    mine, other = world.grant("bank-a", 1), world.grant("bank-a", 2)
    bank.keep_vector(person(1), "payments", "score", mine)
    bank.keep_vector(person(1), "payments", "train", mine)
    bank.keep_vector(person(2), "payments", "score", other)
    bank.consents.withdraw(mine, world.said("bank-a", mine, 1, Event.WITHDRAW))
    assert bank.vectors(person(1)) == []
    assert len(bank.vectors(person(2))) == 1
    assert bank.audit.payload(bank.leaves() - 1)["vectors_deleted"] == 2


def test_the_withdrawal_and_its_leaf_stand_or_fall_together(world, bank):
    consent_id = world.grant("bank-a", 1)
    bank.keep_vector(person(1), "payments", "score", consent_id)
    said = world.said("bank-a", consent_id, 1, Event.WITHDRAW)
    leaves = bank.leaves()
    with bank.database.write() as connection:
        connection.exec_driver_sql("DROP TABLE consent_outbox")
    with pytest.raises(Exception, match="consent_outbox"):
        bank.consents.withdraw(consent_id, said)
    assert bank.leaves() == leaves
    assert states(world, consent_id)["bank-a"] == "active"
    assert len(bank.vectors(person(1))) == 1


def test_withdrawing_twice_gives_the_same_answer_and_no_second_leaf(world, bank):
    consent_id = world.grant("bank-a", 1)
    said = world.said("bank-a", consent_id, 1, Event.WITHDRAW)
    first = bank.consents.withdraw(consent_id, said)
    leaves = bank.leaves()
    world.tick(60_000)
    again = bank.consents.withdraw(consent_id, world.said("bank-a", consent_id, 1, Event.WITHDRAW))
    assert again == first
    assert bank.leaves() == leaves


def test_a_withdrawn_consent_cannot_be_paused_resumed_or_renewed(world, bank):
    consent_id = world.grant("bank-a", 1)
    first = world.artefact_of("bank-a", consent_id)
    bank.consents.withdraw(consent_id, world.said("bank-a", consent_id, 1, Event.WITHDRAW))
    for event in (Event.PAUSE, Event.RESUME):
        with pytest.raises(TransitionInvalid):
            bank.consents.apply(consent_id, world.said("bank-a", consent_id, 1, event))
    renewed = world.signed("bank-a", 1, replaces=first)
    with pytest.raises(Exception, match="withdrew"):
        bank.consents.record_many([renewed])


def test_nobody_but_the_subject_withdraws(world, bank):
    consent_id = world.grant("bank-a", 1)
    for said, error in [
        (world.said("bank-a", consent_id, 2, Event.WITHDRAW), SignatureInvalid),
        (b"{}", Malformed),
    ]:
        with pytest.raises(error):
            bank.consents.withdraw(consent_id, said)
    assert states(world, consent_id)["bank-a"] == "active"


def test_a_withdrawal_is_handed_in_for_the_consent_it_names_at_its_own_consent_node(world, bank):
    mine, other = world.grant("bank-a", 1), world.grant("bank-a", 2)
    said = world.said("bank-a", mine, 1, Event.WITHDRAW)
    with pytest.raises(ConsentConflict):
        bank.consents.withdraw(other, said)
    with pytest.raises(ControllerMismatch):
        world.member("payments").consents.withdraw(mine, said)
    with pytest.raises(ConsentUnknown):
        world.member("bank-b").consents.withdraw(mine, said)


def test_a_pause_is_no_withdrawal_and_changes_nothing_when_handed_in_as_one(world, bank):
    consent_id = world.grant("bank-a", 1)
    with pytest.raises(ConsentConflict):
        bank.consents.withdraw(consent_id, world.said("bank-a", consent_id, 1, Event.PAUSE))
    assert set(states(world, consent_id).values()) == {"active"}


def test_pause_and_resume_reach_the_holders_in_order(world, bank):
    consent_id = world.grant("bank-a", 1)
    bank.courier.cut = {"payments"}
    for event in (Event.PAUSE, Event.RESUME, Event.PAUSE):
        world.tick(1)
        bank.consents.apply(consent_id, world.said("bank-a", consent_id, 1, event))
    assert states(world, consent_id)["public-records"] == "paused"
    bank.courier.cut = set()
    world.tick(5_000)
    assert bank.consents.push_pending().accepted == 3
    assert states(world, consent_id)["payments"] == "paused"


def test_a_new_version_replaces_the_old_one_everywhere_and_drops_what_it_fetched(world, bank):
    consent_id = world.grant("bank-a", 1)
    first = world.artefact_of("bank-a", consent_id)
    bank.keep_vector(person(1), "payments", "train", consent_id)
    bank.consents.record_many([world.signed("bank-a", 1, replaces=first, purposes=["score"])])
    bank.consents.push_pending()
    assert bank.vectors(person(1)) == []
    for name in ("bank-a", "payments", "public-records"):
        member = world.member(name)
        assert member.consents.get(consent_id).version == 2
        with member.database.read() as connection:
            found = consents.terms_by_hash(connection, [first.consent_hash])
        assert found[first.consent_hash].state is State.SUPERSEDED


def test_a_version_that_skips_one_or_forks_is_refused_at_the_consent_node(world, bank):
    consent_id = world.grant("bank-a", 1)
    first = world.artefact_of("bank-a", consent_id)
    second = world.artefact("bank-a", 1, replaces=first)
    third = world.artefact("bank-a", 1, replaces=second)
    for wrong in (third, world.artefact("bank-a", 1, replaces=world.artefact("bank-a", 1))):
        grant = SignedGrant(person(1), world.sign(wrong, 1))
        with pytest.raises(ConsentConflict):
            bank.consents.record_many([grant])
    assert bank.consents.get(consent_id).version == 1


def test_time_ends_a_consent_once_with_a_leaf_and_keeps_what_was_fetched(world, bank):
    consent_id = world.grant("bank-a", 1, valid_days=1)
    world.grant("bank-a", 2, valid_days=2)
    bank.keep_vector(person(1), "payments", "score", consent_id)
    assert bank.consents.expire_due() == 0
    world.tick(DAY_MS)
    leaves = bank.leaves()
    assert bank.consents.expire_due() == 1
    assert bank.consents.expire_due() == 0
    assert bank.leaves() == leaves + 1
    assert bank.consents.counts() == {State.ACTIVE: 1, State.EXPIRED: 1}
    assert len(bank.vectors(person(1))) == 1


def test_the_receipt_shows_who_confirmed_and_who_has_not_yet(world, bank):
    consent_id = world.grant("bank-a", 1)
    bank.courier.cut = {"payments"}
    bank.consents.withdraw(consent_id, world.said("bank-a", consent_id, 1, Event.WITHDRAW))
    receipt = bank.consents.receipt(consent_id)
    assert receipt["state"] == "withdrawn"
    assert receipt["pii_principal_id"] == "sub_bank-a_1"
    granted, withdrawn = receipt["events"]
    assert len(granted["confirmed_by"]) == 2
    assert [one["party_id"] for one in withdrawn["confirmed_by"]] == ["public-records"]
    assert withdrawn["not_yet_confirmed"] == ["payments"]
    with pytest.raises(ConsentUnknown):
        bank.consents.receipt("con_" + "z" * 26)


def test_consents_are_listed_newest_change_first_page_by_page(world, bank):
    first, second = world.grant("bank-a", 1), world.grant("bank-a", 2)
    bank.consents.withdraw(first, world.said("bank-a", first, 1, Event.WITHDRAW))
    (newest,) = bank.consents.page(limit=1)
    assert newest.terms.consent_id == first
    (older,) = bank.consents.page(limit=5, before_seq=newest.changed_seq)
    assert older.terms.consent_id == second
    (live,) = bank.consents.page(states=[State.ACTIVE])
    assert live.terms.consent_id == second
