"""Scores while the model changes: the challenger's shadow, a swap in flight, old versions again."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from models.bundle import BundleInvalid
from node.scoring.active_model import ActiveModel, UnknownModelVersion
from node.storage import bundles, documents, models
from node.storage.model_tables import model_comparison, model_rule
from protocols.documents import sign_document
from tests.node.scoring_world import World, open_world, ref


@pytest.fixture
def world(tmp_path):
    with open_world(tmp_path) as opened:
        yield opened


def challenge(world: World, version: str | None) -> None:
    with world.node.database.write() as connection:
        bundles.set_shadow(connection, version)


def compared(world: World) -> list[models.Comparison]:
    world.node.shadow.flush()
    with world.node.database.read() as connection:
        return models.comparisons(connection)


def test_the_challenger_is_compared_and_never_answers(world: World) -> None:
    """Its figures are sums over all people; the answer, its receipt and its repeat know none."""
    world.publish("test-9", seed=9, active=False)
    people = world.enrol(1, 2, 3)
    terms = [world.consent(one) for one in people]
    before = [world.score(one, held).answer for one, held in zip(people, terms, strict=True)]
    assert compared(world) == []
    challenge(world, "test-9")
    for one, held, earlier in zip(people, terms, before, strict=True):
        answer = world.score(one, held, idempotency_key=f"k{one.hex()[:8]}").answer
        assert (answer["score"], answer["versions"]) == (earlier["score"], earlier["versions"])
        assert world.score(one, held, idempotency_key=f"k{one.hex()[:8]}").repeated
    pairs = [(ref(one), held.consent_id) for one, held in zip(people, terms, strict=True)]
    other = world.node.batch_scoring.score_batch(pairs, model="test-9")
    (found,) = compared(world)
    assert (found.version, found.challenger, found.count) == ("test-1", "test-9", 3)
    points = other.points - np.array([answer["score"] for answer in before])
    assert found.points_difference == points.sum()
    assert found.points_distance == np.abs(points).sum()
    pd = other.pd - np.array([answer["pd"] for answer in before])
    assert found.pd_difference == pytest.approx(pd.sum(), abs=1e-9)
    assert found.better_band + found.worse_band <= 3
    assert compared(world) == [found]  # nothing is counted twice


def test_nothing_that_is_kept_of_a_comparison_is_about_a_person() -> None:
    columns = {column.name for table in (model_comparison, model_rule) for column in table.columns}
    assert not {one for one in columns if one in {"pseudonym", "subject_ref", "score_id"}}


def test_a_challenger_that_is_not_what_was_signed_costs_no_answer(world: World) -> None:
    world.publish("test-9", seed=9, active=False)
    (one,) = world.enrol(1)
    terms = world.consent(one)
    challenge(world, "test-9")
    with world.node.database.write() as connection:
        connection.exec_driver_sql("UPDATE bundle SET tensors = x'00' WHERE version = 'test-9'")
    assert world.score(one, terms).answer["versions"]["model"] == "test-1"
    assert compared(world) == []


def test_a_swap_drops_no_call_and_mixes_no_two_models(world: World) -> None:
    """While versions change, every call is answered, each by one of them alone."""
    people = world.enrol(1, 2, 3, 4)
    terms = [world.consent(one) for one in people]
    expected = {}
    for version, seed in (("test-1", 1), ("test-2", 2)):
        if version != "test-1":
            world.publish(version, seed=seed)
        for one, held in zip(people, terms, strict=True):
            expected[version, one] = world.score(one, held).answer["score"]
    going, rounds = threading.Event(), 6

    def swap() -> None:
        going.wait(10)
        for number in range(rounds):
            with world.node.database.write() as connection:
                bundles.activate(connection, f"test-{1 + number % 2}")

    def ask(at: int) -> list[tuple[str, int]]:
        answers = []
        for _ in range(rounds):
            answer = world.score(people[at], terms[at]).answer
            going.set()
            answers.append((answer["versions"]["model"], answer["score"]))
        return answers

    with ThreadPoolExecutor(5) as pool:
        swapping = pool.submit(swap)
        answered = list(pool.map(ask, range(len(people))))
        swapping.result()
    for one, answers in zip(people, answered, strict=True):
        assert len(answers) == rounds
        assert all(score == expected[version, one] for version, score in answers)


def test_who_holds_a_scorer_keeps_it(world: World) -> None:
    key, catalogue = world.network.directory_key.verify_key, world.documents.catalogue
    model = ActiveModel(lambda: key, catalogue)
    with world.node.database.read() as connection:
        held = model.get(connection)
    world.publish("test-2", seed=2)
    with world.node.database.read() as connection:
        assert model.get(connection).bundle.version == "test-2"
        assert model.get(connection, "test-1") is held
        with pytest.raises(UnknownModelVersion):
            model.get(connection, "test-7")
    assert held.bundle.version == "test-1"


def test_a_former_version_is_scored_again_with_the_catalogue_it_reads(world: World) -> None:
    """What was once said can be shown again after the catalogue has changed, while it is kept."""
    key = world.network.directory_key
    old = world.documents.catalogue()
    (one,) = world.enrol(1)
    terms = world.consent(one)
    said = world.score(one, terms).answer["score"]
    body = old.to_body().replace(b'"version":%d' % old.version, b'"version":%d' % (old.version + 1))
    world.documents.install(sign_document("catalogue", body, key))
    assert world.documents.catalogue().sha256 != old.sha256
    pairs = [(ref(one), terms.consent_id)]
    again = world.node.batch_scoring.score_batch(pairs, model="test-1")
    assert int(again.points[0]) == said
    with pytest.raises(BundleInvalid):
        world.node.batch_scoring.score_batch(pairs)  # in force, it would read what it never learnt
    with world.node.database.write() as connection:
        documents.forget(connection, "catalogue", old.version)
    with pytest.raises(BundleInvalid):
        world.node.batch_scoring.score_batch(pairs, model="test-1")
