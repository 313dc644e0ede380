"""What became of a loan: kept, never overwritten, tomorrow's label where the person agreed."""

import itertools

import numpy as np
import pytest

from node.outcomes.fit import outcome_fit
from node.outcomes.service import DAY_MS, OutcomeReport, OutcomeReported, OutcomeUnknown, label_of
from node.scoring.requests import ScoreUnknown
from node.storage import erasure, outcomes, reported_outcomes, training_sources
from node.storage.outcomes import Outcome
from node.storage.reported_outcomes import Reported
from protocols.errors import InvalidInput
from tests.network import now_ms
from tests.node.scoring_world import World, open_world

CLIENT = "cli_test"
_people = itertools.count(8000)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with open_world(tmp_path_factory.mktemp("outcomes")) as opened:
        yield opened


def scored(world: World):
    """A new person and the id of a score of theirs."""
    (one,) = world.enrol(next(_people))
    return one, world.score(one, world.consent(one)).score_id


def report(world: World, score_id: str, outcome: str = "default", **changes):
    asked = {"score_id": score_id, "client_id": CLIENT, "outcome": outcome,
             "as_of_ms": now_ms() // DAY_MS * DAY_MS}  # fmt: skip
    return world.node.outcomes.report(OutcomeReport(**(asked | changes)))


def label(world: World, one: bytes) -> int | None:
    with world.node.database.read() as connection:
        assert outcomes.labels(connection).get(one) == outcomes.of_subject(connection, one)
        return outcomes.of_subject(connection, one)


def test_an_outcome_becomes_the_label_of_its_person_with_its_leaf(world: World) -> None:
    one, score_id = scored(world)
    with world.node.database.read() as connection:
        before = training_sources.signals_mark(connection)
    leaves = world.leaves()
    kept, new = report(world, score_id, "default")
    assert (new, kept.version, kept.label, kept.leaf_seq) == (True, 1, 1, leaves)
    assert label(world, one) == 1
    assert world.leaves() == leaves + 1
    assert kept.pd is not None
    assert kept.model == "test-1"
    with world.node.database.read() as connection:
        assert training_sources.signals_mark(connection) != before


def test_the_same_report_again_changes_nothing(world: World) -> None:
    _, score_id = scored(world)
    first, _ = report(world, score_id, "prepaid")
    leaves = world.leaves()
    again, new = report(world, score_id, "prepaid")
    assert (again.outcome_id, again.version, new) == (first.outcome_id, 1, False)
    assert world.leaves() == leaves


def test_a_correction_names_what_was_wrong_and_leaves_it_there(world: World) -> None:
    """Never silently: without a name it is refused; both versions stay."""
    one, score_id = scored(world)
    first, _ = report(world, score_id, "default")
    with pytest.raises(OutcomeReported):
        report(world, score_id, "repaid")
    for wrong in (0, 2):
        with pytest.raises(OutcomeReported):
            report(world, score_id, "repaid", corrects=wrong)
    second, _ = report(world, score_id, "repaid", corrects=1)
    assert second.outcome_id == first.outcome_id
    found = world.node.outcomes.versions(first.outcome_id, CLIENT)
    assert [(v.version, v.outcome) for v in found] == [(1, "default"), (2, "repaid")]
    assert label(world, one) == 0


def test_an_outcome_of_a_score_given_to_somebody_else_is_not_taken(world: World) -> None:
    _, score_id = scored(world)
    with pytest.raises(ScoreUnknown):
        report(world, score_id, client_id="cli_other")
    with pytest.raises(ScoreUnknown):
        report(world, "scr_none")
    kept, _ = report(world, score_id)
    with pytest.raises(OutcomeUnknown):
        world.node.outcomes.versions(kept.outcome_id, "cli_other")


@pytest.mark.parametrize(
    "changes",
    [{"as_of_ms": 0}, {"as_of_ms": now_ms() + 2 * DAY_MS}, {"outcome": "unhappy"}],
)
def test_a_day_or_an_outcome_that_cannot_be_is_refused(world: World, changes: dict) -> None:
    _, score_id = scored(world)
    with pytest.raises(InvalidInput):
        report(world, score_id, **changes)


def test_performing_teaches_something_only_once_it_has_lasted() -> None:
    assert label_of("performing", 179 * DAY_MS) is None
    assert label_of("performing", 180 * DAY_MS) == 0
    assert label_of("not_funded", 900 * DAY_MS) is None
    assert [label_of(one, 0) for one in ("default", "charged_off", "repaid", "prepaid")] == [
        1, 1, 0, 0,
    ]  # fmt: skip


def test_of_own_records_and_reports_the_newer_observation_counts(world: World) -> None:
    one, score_id = scored(world)
    with world.node.database.write() as connection:
        outcomes.replace_all(connection, [Outcome(one, 0, now_ms() + DAY_MS)])
    report(world, score_id, "default")
    assert label(world, one) == 0
    with world.node.database.write() as connection:
        outcomes.replace_all(connection, [Outcome(one, 0, 1)])
    assert label(world, one) == 1


def test_erasure_takes_what_was_reported(world: World) -> None:
    one, score_id = scored(world)
    report(world, score_id)
    with world.node.database.write() as connection:
        erasure.delete_outcome(connection, one)
        assert reported_outcomes.newest_of_score(connection, score_id) is None
    assert label(world, one) is None


def test_pd_against_outcome_says_when_a_model_is_off() -> None:
    rng = np.random.default_rng(0)

    def row(model: str, pd: float, came: int | None) -> Reported:
        return Reported("out", 1, "scr", CLIENT, "sub", "default", came, 0, 0, 0, pd, model, 0)

    pd = rng.uniform(0.05, 0.3, 600)
    came = rng.uniform(size=600) < pd
    good = [row("good", p, int(c)) for p, c in zip(pd, came, strict=True)]
    bad = [row("bad", p / 3, int(c)) for p, c in zip(pd, came, strict=True)]
    unknown = [row("good", 0.5, None), row("none", 0.1, 1)]
    found = {one.model: one for one in outcome_fit([*good, *bad, *unknown])}
    assert [found[one].verdict for one in ("bad", "good", "none")] == ["off", "fits", "too_few"]
    assert found["good"].outcomes == 600
    assert found["good"].auc is not None
