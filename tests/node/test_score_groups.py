"""A group of score calls that breaks: nobody pays for another, and nobody is given two scores."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from audit.database import Connection, Database, DatabaseUnavailable
from node.scoring.group import Call, ScoreGroups
from node.scoring.requests import Scored, ScoreRequest
from node.storage import bundles
from protocols.errors import StateConflict
from tests.node.scoring_world import BANK, World, open_world, ref


class Failing(Database):
    """A node's database whose next transactions fail at a point of them."""

    point = ""
    begun = 0

    @contextmanager
    def write(self, *, parallel: bool = False) -> Iterator[Connection]:
        """As it is; fails `before` a transaction, or `after` it, when it has been committed."""
        self.begun += 1
        if self.point == "before":
            raise DatabaseUnavailable("the disk is full")
        with super().write(parallel=parallel) as connection:
            yield connection
        if self.point == "after":
            raise StateConflict("the answer to the commit was lost")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory):
    """One for all: each test has people of its own."""
    with open_world(tmp_path_factory.mktemp("world")) as opened:
        yield opened


@pytest.fixture
def failing(world: World) -> Iterator[Failing]:
    made = Failing(world.node.database.url)
    kept, groups(world)._database = groups(world)._database, made
    yield made
    groups(world)._database = kept
    made.close()


def groups(world: World) -> ScoreGroups:
    return world.scoring._groups


def calls(world: World, *numbers: int) -> list[Call]:
    found = []
    for one in world.enrol(*numbers):
        terms = world.consent(one, holders=[BANK], max_uses=2)
        named = f"call-{one.hex()[:8]}"
        asked = ScoreRequest(ref(one), terms.consent_id, "score", "cli_test", idempotency_key=named)
        found.append(Call(asked))
    return found


def test_a_fault_that_one_call_meets_fails_it_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, bad, third = calls(world, 1, 2, 3)
    sources = groups(world)._sources
    good = sources.readable

    def readable(terms, decision, catalogue):
        if terms.consent_id == bad.request.consent_id:
            raise ZeroDivisionError
        return good(terms, decision, catalogue)

    monkeypatch.setattr(sources, "readable", readable)
    before = world.leaves()
    one, other, another = groups(world).answer([first, bad, third])
    assert isinstance(one, Scored)
    assert isinstance(other, ZeroDivisionError)
    assert isinstance(another, Scored)
    assert world.leaves() == before + 2


def test_what_fails_once_the_group_is_committed_gives_no_second_score(
    world: World, failing: Failing
) -> None:
    group = calls(world, 4, 5, 6)
    before = world.leaves()
    failing.point = "after"
    with pytest.raises(StateConflict):
        groups(world).answer(group)
    assert failing.begun == 1
    assert world.leaves() == before + 3
    failing.point = ""
    again = groups(world).answer(group)  # the callers ask again, by their keys
    assert all(isinstance(one, Scored) and one.repeated for one in again)
    assert world.leaves() == before + 3


def test_a_database_that_refuses_is_not_asked_again_for_each_call(
    world: World, failing: Failing
) -> None:
    group = calls(world, 7, 8, 9)
    failing.point = "before"
    with pytest.raises(DatabaseUnavailable):
        groups(world).answer(group)
    assert failing.begun == 1


def test_whatever_the_challenger_does_the_scores_are_given(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = calls(world, 10, 11)
    world.publish("test-2", seed=2, active=False)
    with world.node.database.write() as connection:
        bundles.set_shadow(connection, "test-2")

    class Broken:
        def observe(self, *_: object) -> None:
            raise KeyError("broken")

    monkeypatch.setattr(groups(world), "_shadow", Broken())
    before = world.leaves()
    assert all(isinstance(one, Scored) for one in groups(world).answer(group))
    assert world.leaves() == before + 2
