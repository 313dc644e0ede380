"""A withdrawal bites within a minute wherever it was not heard of; nothing extends the minute."""

import pytest

from consent.lifecycle import Event
from consent.status_list import LIFE_MS, StatusListOutdated
from tests.statuses.asking import STALE, WITHDRAWN, ask


def test_a_consent_just_delivered_waits_for_a_list_that_speaks_of_it(world):
    consent_id = world.world.grant("bank-a", 1, holders=["payments"])
    assert world.refusal("payments", consent_id) == STALE
    world.parts["payments"].keeper.poke("bank-a")
    world.step()
    assert world.refusal("payments", consent_id) == ""


def test_the_consent_node_itself_needs_no_proof(world):
    consent_id = world.grant("bank-a", 1, holders=["bank-a", "payments"])
    world.tick(10 * LIFE_MS)
    assert world.refusal("bank-a", consent_id) == ""
    assert world.refusal("payments", consent_id) == STALE


def test_a_holder_parted_from_everyone_refuses_within_sixty_seconds(world, consent_id):
    world.tick(5_000)
    world.step()  # the newest list it can have: of this moment
    assert world.refusal("payments", consent_id) == ""
    world.cut("payments")
    world.say("bank-a", consent_id, 1, Event.WITHDRAW)
    refused_after_ms = None
    for _ in range(600):
        world.tick(100)
        world.step()
        if refused_after_ms is None and world.refusal("payments", consent_id):
            refused_after_ms = world.world.now_ms
    withdrawn_at_ms = world.world.member("bank-a").consents.get(consent_id).event_at_ms
    assert refused_after_ms is not None
    assert refused_after_ms - withdrawn_at_ms <= 60_000
    assert world.refusal("payments", consent_id) == STALE
    assert world.refusal("bank-b", consent_id) == WITHDRAWN  # it was told


def test_a_recipients_own_use_ends_with_its_proof_too(world):
    consent_id = world.grant("bank-a", 1, holders=["payments"])
    own = {"holder": None, "requester": "bank-a"}
    assert world.refusal("payments", consent_id, **own) == ""
    world.cut("payments")
    world.tick(LIFE_MS)
    assert world.refusal("payments", consent_id, **own) == STALE


def test_lists_are_renewed_long_before_they_run_out(world, consent_id):
    source = world.parts["payments"].source
    for _ in range(40):
        world.tick(5_000)
        world.step()
        assert world.refusal("payments", consent_id) == ""
    assert source.asked <= 2 + 200_000 // 15_000


def test_when_the_line_is_back_the_holder_serves_again_at_once(world, consent_id):
    world.cut("payments")
    world.tick(2 * LIFE_MS)
    world.step()
    assert world.refusal("payments", consent_id) == STALE
    world.cut("payments", off=False)
    world.tick(5_000)
    world.parts["payments"].keeper.ensure("bank-a")
    assert world.refusal("payments", consent_id) == ""


def test_a_request_that_meets_a_stale_list_has_it_refreshed_and_no_other(world, consent_id):
    parts = world.parts["payments"]
    asked = parts.source.asked
    for _ in range(5):
        parts.keeper.ensure("bank-a")
        parts.keeper.ensure("stranger")
    assert parts.source.asked == asked
    world.tick(LIFE_MS)
    assert world.refusal("payments", consent_id) == STALE
    parts.keeper.ensure("bank-a")
    assert world.refusal("payments", consent_id) == ""
    assert parts.source.asked == asked + 1


def test_requests_to_a_parted_holder_do_not_each_wait_for_the_controller(world, consent_id):
    parts = world.parts["payments"]
    world.cut("payments")
    world.tick(LIFE_MS)
    asked = parts.source.asked
    for _ in range(50):
        parts.keeper.ensure("bank-a")
    assert parts.source.asked == asked + 1


# -- clocks


@pytest.mark.parametrize("ahead_ms", [-3_600_000, -59_000, -1])
def test_a_clock_that_is_set_back_extends_nothing(world, consent_id, ahead_ms):
    world.tick(7_200_000)
    world.step()
    assert world.refusal("payments", consent_id) == ""
    world.cut("payments")
    world.set_clock("payments", ahead_ms)
    world.tick(LIFE_MS - 1_000)
    assert world.refusal("payments", consent_id) == STALE


def test_a_clock_that_is_set_forward_shortens(world, consent_id):
    world.cut("payments")
    world.set_clock("payments", LIFE_MS)
    assert world.refusal("payments", consent_id) == STALE


@pytest.mark.parametrize("ahead_ms", [-50_000, 50_000])
def test_a_controller_whose_clock_is_off_extends_nothing(world, ahead_ms):
    world.set_clock("bank-a", ahead_ms)
    consent_id = world.grant("bank-a", 1, holders=["payments"])
    assert world.refusal("payments", consent_id) == ""
    world.cut("payments")
    world.tick(LIFE_MS - 1_000)
    assert world.refusal("payments", consent_id) == STALE


def test_a_controller_whose_clock_is_far_off_proves_nothing(world, consent_id):
    world.set_clock("bank-a", 3 * LIFE_MS)
    question = ask(world, "payments", "bank-a")
    answer = world.parts["bank-a"].publisher.answer(question.nonce, question.have_sha256)
    with pytest.raises(StatusListOutdated):
        world.parts["payments"].inbox.accept(question, *answer)


def test_an_answer_that_was_long_under_way_counts_from_the_question(world, consent_id):
    question = ask(world, "payments", "bank-a")
    answer = world.parts["bank-a"].publisher.answer(question.nonce, question.have_sha256)
    world.tick(LIFE_MS - 2_000)
    world.parts["payments"].inbox.accept(question, *answer)
    assert world.refusal("payments", consent_id) == ""
    world.tick(1_000)
    assert world.refusal("payments", consent_id) == STALE


# -- restarts


def test_a_process_that_begins_again_goes_on_with_a_list_that_is_still_fresh(world, consent_id):
    world.cut("payments")
    world.tick(30_000)
    world.restart("payments")
    assert world.refusal("payments", consent_id) == ""
    world.tick(29_000)
    assert world.refusal("payments", consent_id) == STALE


def test_a_machine_that_begins_again_carries_nothing_over(world, consent_id):
    world.cut("payments")
    world.restart("payments", machine=True)
    assert world.refusal("payments", consent_id) == STALE


def test_a_consent_node_that_begins_again_goes_on_with_its_versions(world, consent_id):
    world.restart("bank-a", machine=True)
    world.tick(25_000)
    world.step()
    world.tick(40_000)
    assert world.refusal("payments", consent_id) == ""
