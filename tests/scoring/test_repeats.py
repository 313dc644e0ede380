"""The same call again, and scores that are read again."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import pytest

from node.scoring.requests import IdempotencyKeyReused, ScoreExpired, ScoreUnknown
from protocols.errors import InvalidInput
from tests.network import DAY_MS, person
from tests.node.scoring_world import BANK, World


def test_the_same_call_again_gives_the_same_score_and_one_leaf(shared: World, fresh) -> None:
    (one,) = shared.enrol(fresh())
    terms = shared.consent(one)
    first = shared.score(one, terms, idempotency_key="order-1")
    before = shared.leaves()
    second = shared.score(one, terms, idempotency_key="order-1")
    assert second.repeated
    assert second.body == first.body
    assert shared.leaves() == before
    assert shared.score(one, terms).score_id != first.score_id


def test_parallel_equal_calls_make_one_score(shared: World, fresh) -> None:
    (one,) = shared.enrol(fresh())
    terms = shared.consent(one)
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda _: shared.score(one, terms, idempotency_key="once"), range(6)))
    assert len({scored.score_id for scored in made}) == 1
    assert sum(not scored.repeated for scored in made) == 1


def test_a_key_stands_for_one_request_of_one_client_for_a_day(world: World) -> None:
    one, other = world.enrol(1, 2)
    terms, others = world.consent(one), world.consent(other)
    first = world.score(one, terms, idempotency_key="k")
    with pytest.raises(IdempotencyKeyReused):
        world.score(other, others, idempotency_key="k")
    assert not world.score(other, others, idempotency_key="k", client_id="cli_other").repeated
    world.clock[0] = DAY_MS + 1
    again = world.score(one, terms, idempotency_key="k")
    assert not again.repeated
    assert again.score_id != first.score_id


@pytest.mark.parametrize("key", ["", "with space", "ü", "x" * 65, "a\nb"])
def test_a_malformed_idempotency_key_is_refused(shared: World, key: str) -> None:
    with pytest.raises(InvalidInput):
        shared.score(person(1), dataclasses.replace(_terms(), consent_id="c"), idempotency_key=key)


def _terms():
    from consent.lifecycle import State
    from consent.policy import Terms

    empty = frozenset[str]()
    return Terms("con_x", bytes(32), bytes(32), BANK, State.ACTIVE, empty, empty, empty, empty,
                 0, 1, 1, None, 1, 0)  # fmt: skip


def test_a_score_is_read_again_by_its_client_only_and_the_reading_is_logged(
    shared: World, fresh
) -> None:
    (one,) = shared.enrol(fresh())
    scored = shared.score(one, shared.consent(one))
    before = shared.leaves()
    assert shared.scoring.read(scored.score_id, "cli_test").body == scored.body
    assert shared.leaves() == before + 1
    with pytest.raises(ScoreUnknown):
        shared.scoring.read(scored.score_id, "cli_other")
    with pytest.raises(ScoreUnknown):
        shared.scoring.read("scr_none", "cli_test")


def test_a_score_past_its_life_is_not_read(world: World) -> None:
    (one,) = world.enrol(1)
    scored = world.score(one, world.consent(one))
    world.clock[0] = DAY_MS + 60_000  # the data life of these consents is a day
    with pytest.raises(ScoreExpired):
        world.scoring.read(scored.score_id, "cli_test")
