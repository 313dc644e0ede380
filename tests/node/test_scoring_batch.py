"""Many scores at once, for evaluating a model."""

from pathlib import Path

import numpy as np
import pytest

from node.scoring.active_model import NoModel, UnknownModelVersion
from tests.node.scoring_world import World, open_world, ref


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory):
    with open_world(tmp_path_factory.mktemp("world")) as opened:
        yield opened


def asked(people, terms) -> list[tuple[str, str]]:
    return [(ref(one), consent.consent_id) for one, consent in zip(people, terms, strict=True)]


def test_a_batch_gives_what_single_calls_give_and_writes_one_leaf(world: World) -> None:
    people = world.enrol(1, 2)
    terms = [world.consent(one) for one in people]
    single = [world.score(one, consent).answer for one, consent in zip(people, terms, strict=True)]
    before = world.leaves()
    batch = world.node.batch_scoring.score_batch(asked(people, terms))
    assert world.leaves() == before + 1
    assert batch.points.tolist() == [answer["score"] for answer in single]
    assert np.allclose(batch.pd, [answer["pd"] for answer in single])
    assert np.allclose(batch.coverage, [answer["signal_coverage"] for answer in single])
    assert batch.refusals == ("", "")
    with world.node.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM score").scalar_one() == 2


def test_nobody_is_scored_without_a_consent_that_allows_it(world: World) -> None:
    people = world.enrol(11, 12, 13)
    terms = [
        world.consent(people[0]),
        world.consent(people[1], purposes=["train"]),
        world.consent(people[2]),
    ]
    world.network.withdraw("bank-a", terms[2])
    pairs = [*asked(people, terms), ("sub_nobody", terms[0].consent_id)]
    batch = world.node.batch_scoring.score_batch(pairs)
    assert batch.refusals == (
        "", "purpose_not_granted", "consent_withdrawn", "subject_unknown"
    )  # fmt: skip
    assert np.isnan(batch.pd).tolist() == [False, True, True, True]
    assert batch.points[1:].tolist() == [0, 0, 0]


def test_exchanged_signals_are_read_only_when_wanted(world: World) -> None:
    people = world.enrol(21)
    terms = [world.consent(people[0])]
    world.score(people[0], terms[0])  # asks the holders
    own = world.node.batch_scoring.score_batch(asked(people, terms), exchanged=False)
    every = world.node.batch_scoring.score_batch(asked(people, terms))
    assert own.coverage[0] < every.coverage[0]


def test_another_kept_bundle_can_be_evaluated_without_being_active(world: World) -> None:
    people = world.enrol(31)
    terms = [world.consent(people[0])]
    world.publish("test-9", seed=9, active=False)
    active = world.node.batch_scoring.score_batch(asked(people, terms))
    other = world.node.batch_scoring.score_batch(asked(people, terms), model="test-9")
    assert (active.model, other.model) == ("test-1", "test-9")
    assert active.pd[0] != other.pd[0]
    with pytest.raises(UnknownModelVersion):
        world.node.batch_scoring.score_batch(asked(people, terms), model="test-0")


def test_an_empty_batch_is_empty(world: World) -> None:
    assert world.node.batch_scoring.score_batch([]).pd.shape == (0,)


def test_without_a_model_there_is_nothing_to_evaluate(tmp_path: Path) -> None:
    with open_world(tmp_path, model=False) as bare, pytest.raises(NoModel):
        bare.node.batch_scoring.score_batch([])
