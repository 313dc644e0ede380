"""The model behind a score: none, a new one, one that was changed."""

from pathlib import Path

import pytest

from models.bundle import BundleInvalid
from node.scoring.active_model import NoModel
from protocols.errors import SignatureInvalid
from tests.node.scoring_world import World, open_world


def test_without_a_model_there_is_no_score(tmp_path: Path) -> None:
    with open_world(tmp_path, model=False) as world:
        (one,) = world.enrol(1)
        with pytest.raises(NoModel):
            world.score(one, world.consent(one))


def test_a_new_bundle_is_used_from_the_next_score_on(world: World) -> None:
    (one,) = world.enrol(1)
    terms = world.consent(one)
    first = world.score(one, terms).answer
    world.publish("test-2", seed=5)
    second = world.score(one, terms).answer
    assert (first["versions"]["model"], second["versions"]["model"]) == ("test-1", "test-2")
    assert first["pd"] != second["pd"]


def test_a_bundle_changed_in_the_database_is_not_used(world: World) -> None:
    (one,) = world.enrol(1)
    terms = world.consent(one)
    with world.node.database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE bundle SET manifest = CAST(replace(manifest, 'cmp_test', 'cmp_tess') AS BLOB)"
        )
    with pytest.raises((SignatureInvalid, BundleInvalid)):
        world.score(one, terms)


def test_tensors_changed_in_the_database_are_not_used(world: World) -> None:
    (one,) = world.enrol(1)
    terms = world.consent(one)
    with world.node.database.write() as connection:
        connection.exec_driver_sql("UPDATE bundle SET tensors = zeroblob(length(tensors))")
    with pytest.raises(BundleInvalid):
        world.score(one, terms)
