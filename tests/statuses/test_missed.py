"""What a push did not tell, a list does: each version has an index of its own there."""

from dataclasses import replace

import pytest

from consent.lifecycle import Event, State
from consent.status_list import LIFE_MS
from node.storage import statuses
from tests.statuses.asking import STALE, WITHDRAWN, ask, renewed


def test_a_push_that_was_missed_is_noticed_and_the_signed_event_fetched(world, consent_id):
    courier = world.world.member("bank-a").courier
    courier.cut.add("payments")  # the push is lost; the holder can still ask
    world.say("bank-a", consent_id, 1, Event.WITHDRAW)
    holder = world.world.member("payments").consents
    assert holder.get(consent_id).terms.state is State.ACTIVE
    world.tick(25_000)
    question = ask(world, "payments", "bank-a")
    answer = world.parts["bank-a"].publisher.answer(question.nonce, question.have_sha256)
    told = world.parts["payments"].inbox.accept(question, *answer)
    assert len(told) == 1
    assert holder.get(consent_id).terms.state is State.ACTIVE
    assert world.refusal("payments", consent_id) == STALE  # at once, before the event is here
    world.step()
    assert holder.get(consent_id).terms.state is State.WITHDRAWN
    assert world.refusal("payments", consent_id) == WITHDRAWN


@pytest.mark.parametrize("event", [Event.PAUSE, Event.WITHDRAW])
def test_pause_and_withdrawal_are_both_noticed(world, consent_id, event):
    world.world.member("bank-a").courier.cut.add("payments")
    world.say("bank-a", consent_id, 1, event)
    world.tick(25_000)
    world.step()
    world.tick(1_000)
    world.step()
    assert world.refusal("payments", consent_id) in {"consent_paused", WITHDRAWN}


def test_a_resumption_that_was_missed_is_noticed_too(world, consent_id):
    world.say("bank-a", consent_id, 1, Event.PAUSE)
    world.tick(25_000)
    world.step()
    assert world.refusal("payments", consent_id) == "consent_paused"
    world.world.member("bank-a").courier.cut.add("payments")
    world.tick(1)
    world.say("bank-a", consent_id, 1, Event.RESUME)
    for _ in range(4):
        world.tick(25_000)
        world.step()
    assert world.refusal("payments", consent_id) == ""


def test_a_consent_resumed_by_push_is_served_when_the_next_list_says_so_too(world, consent_id):
    world.say("bank-a", consent_id, 1, Event.PAUSE)
    world.tick(25_000)
    world.step()
    world.tick(1)
    world.say("bank-a", consent_id, 1, Event.RESUME)
    assert world.refusal("payments", consent_id) == STALE
    world.parts["payments"].keeper.poke("bank-a")
    world.step()
    assert world.refusal("payments", consent_id) == ""


def test_a_holder_that_missed_a_narrower_version_stops_on_the_wider_one(world, consent_id):
    bank = world.world.member("bank-a")
    bank.courier.cut.add("payments")
    old = world.world.artefact_of("bank-a", consent_id)
    narrower = world.world.artefact(
        "bank-a", 1, replaces=old, holders=["bank-b", "payments"], purposes=("train",)
    )
    bank.consents.record_many([renewed(world, narrower)])
    assert world.refusal("payments", consent_id) == ""
    for _ in range(3):
        world.tick(25_000)
        world.step()
    assert world.world.artefact_of("payments", consent_id).version == 2
    assert world.refusal("payments", consent_id) == "purpose_not_granted"


def test_what_was_missed_is_given_to_parties_only(world, consent_id):
    consent_hash = world.world.member("bank-a").consents.get(consent_id).terms.consent_hash
    world.say("bank-a", consent_id, 1, Event.WITHDRAW)
    publisher = world.parts["bank-a"].publisher
    assert len(publisher.missed("payments", [consent_hash])) == 1
    assert publisher.missed("public-records", [consent_hash]) == []
    assert world.parts["bank-b"].publisher.missed("payments", [consent_hash]) == []
    assert publisher.missed("payments", [bytes(32)]) == []


def test_of_many_consents_the_withdrawn_ones_alone_stop(world):
    ids = [world.grant("bank-a", number, holders=["payments"]) for number in range(1, 13)]
    world.world.member("bank-a").courier.cut.add("payments")
    for number in (2, 7, 12):
        world.tick(1)
        world.say("bank-a", ids[number - 1], number, Event.WITHDRAW)
    world.tick(25_000)
    world.step()
    refused = [n for n, one in enumerate(ids, 1) if world.refusal("payments", one)]
    assert refused == [2, 7, 12]


def test_lists_of_two_controllers_are_apart(world):
    ours = world.grant("bank-a", 1, holders=["payments"])
    theirs = world.grant("bank-b", 2, holders=["payments"])
    world.cut("bank-b")
    world.tick(LIFE_MS)
    world.step("payments")
    as_b = {"requester": "bank-b"}
    assert world.refusal("payments", ours) == ""
    assert world.refusal("payments", theirs, **as_b) in {"", STALE}
    world.parts["payments"].source.cut = True
    world.tick(LIFE_MS)
    assert world.refusal("payments", theirs, **as_b) == STALE


def test_a_delivery_with_an_index_that_another_consent_has_is_refused(world, consent_id):
    artefact = world.world.artefact("bank-a", 2, holders=["payments"])
    delivery = replace(world.world.deliverable(artefact, 2), status_index=0)
    holder = world.world.member("payments").consents
    (answer,) = holder.receive("bank-a", [delivery])
    assert answer.refusal == "consent_conflict"


def test_a_consent_without_an_index_is_kept_and_never_served(world, consent_id):
    artefact = world.world.artefact("bank-a", 2, holders=["payments"])
    (answer,) = world.world.member("payments").consents.receive(
        "bank-a", [world.world.deliverable(artefact, 2)]
    )
    assert answer.accepted
    world.tick(25_000)
    world.step()
    assert world.refusal("payments", artefact.consent_id) == STALE
    assert world.refusal("payments", consent_id) == ""


def test_every_version_has_an_index_of_its_own(world, consent_id):
    for number in range(2, 6):
        world.grant("bank-a", number, holders=["payments"])
    old = world.world.artefact_of("bank-a", consent_id)
    newer = world.world.artefact("bank-a", 1, replaces=old, holders=["payments"])
    bank = world.world.member("bank-a")
    bank.consents.record_many([renewed(world, newer)])
    with bank.database.read() as connection:
        changes = statuses.changes(connection, "bank-a", -1)
    assert sorted(one.status_index for one in changes) == [0, 1, 2, 3, 4, 5]
    assert [one.status_index for one in changes if one.status == 1] == [0]
