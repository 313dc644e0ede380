"""`credence node baselines` fits on the node's own consented people and leaves only a log entry."""

import json

import pytest
from typer.testing import CliRunner

from api.cli.main import app
from models.baselines.compare import KINDS
from node import baselines
from node.federation.cohort import CohortChanged
from node.storage import outcomes
from node.storage.outcomes import Outcome
from tests.federation.world import AS_OF_MS, Bank, now_ms

SCORECARDS = ("--only", "expert_scorecard", "--only", "woe_logistic")


@pytest.fixture
def lending(bank: Bank) -> Bank:
    """The bank, two of five of whose customers defaulted."""
    with bank.node.database.write() as connection:
        rows = [
            Outcome(one, int(number % 5 < 2), AS_OF_MS) for number, one in enumerate(bank.people)
        ]
        outcomes.replace_all(connection, rows)
    return bank


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.baselines.interface.LEAST_OF_A_CLASS", 5)


def run(bank: Bank, *options: str):
    return CliRunner().invoke(app, ["node", "baselines", str(bank.home), *options])


def test_the_table_fits_a_hundred_columns_and_only_the_log_grows(lending, monkeypatch):
    pytest.importorskip("sklearn")
    files = sorted(path.name for path in lending.home.iterdir())
    before = lending.node.audit.head().size
    result = run(lending)
    assert result.exit_code == 0, result.output
    for kind in KINDS:
        assert kind in result.output
    assert all(len(line) <= 100 for line in result.output.splitlines())
    assert lending.node.audit.head().size == before + 1
    payload = lending.node.audit.payload(before)
    assert payload["models"] == list(KINDS)
    assert payload["cohort_size"] == 80
    assert sorted(path.name for path in lending.home.iterdir()) == files


def test_json_holds_the_figures_of_held_out_people(lending):
    result = run(lending, "--json", *SCORECARDS)
    found = json.loads(result.stdout)
    assert (found["fitted"], found["held_out"]) == (56, 24)
    assert [set(one) for one in found["models"]] == [{"model", "auc", "ks", "ece"}] * 2
    assert json.loads(run(lending, "--json", *SCORECARDS).stdout) == found


def test_who_withdrew_is_not_in_it(lending):
    """A baseline is fitted on live consents only."""
    lending.withdraw(lending.people[0])
    found = baselines.compare_baselines(lending.node, 0, now_ms, ["expert_scorecard"])
    assert found.fitted + found.held_out == 79


def test_a_withdrawal_while_fitting_stops_the_figures(lending):
    """What was fitted on a consent that ended meanwhile is thrown away, and not logged as done."""
    times: list[int] = []

    def clock() -> int:
        times.append(now_ms())
        if len(times) == 2:
            return times[0] + 400 * 86_400_000
        return times[-1]

    before = lending.node.audit.head().size
    with pytest.raises(CohortChanged):
        baselines.compare_baselines(lending.node, 0, clock, ["expert_scorecard"])
    assert lending.node.audit.head().size == before


def test_outcomes_of_one_class_are_refused_by_code(lending):
    with lending.node.database.write() as connection:
        outcomes.replace_all(connection, [Outcome(one, 0, AS_OF_MS) for one in lending.people])
    result = run(lending, *SCORECARDS)
    assert isinstance(result.exception, Exception | SystemExit)
    assert result.exit_code == 1
    assert "labels_of_one_class" in result.output + str(getattr(result.exception, "code", ""))


def test_an_unknown_baseline_is_wrong_usage(lending):
    assert run(lending, "--only", "oracle").exit_code == 2
