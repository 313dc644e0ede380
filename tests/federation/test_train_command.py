"""`credence train`, as an operator types it."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from api.cli import train
from api.cli.console import errors_as_lines
from coordinator.home import only_process
from protocols.errors import CredenceError
from tests.federation.world import open_world


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    train.register(made)
    return made


def run(app: typer.Typer, *arguments: str):
    return CliRunner().invoke(app, list(arguments))


def test_a_campaign_is_proposed_and_watched_to_its_bundle(app, tmp_path: Path):
    with open_world(tmp_path, size=150) as world, only_process(world.coordinator.home):
        home = str(world.coordinator.home)
        done = run(app, home, "--epsilon", "5", "--rounds", "2", "--minimum-cohort", "40", "--json")
        assert done.exit_code == 0, done.output
        # The coordinator and the banks of this test log to the same standard output.
        facts, _ = json.JSONDecoder().raw_decode(done.stdout[done.stdout.index("{\n") :])
        assert (facts["state"], facts["rounds"], facts["bundle"]) == ("completed", 2, "model-0001")
        assert [one["refusal"] for one in facts["members"]] == ["", "", ""]
        assert facts["epsilon"] < 5
        again = run(app, home, "--epsilon", "8", "--rounds", "2")
        assert isinstance(again.exception, CredenceError)
        assert "budget_exhausted" in again.exception.message
        unknown = run(app, home, "--members", "bank-x")
        assert unknown.exception.code == "unknown_member"


def test_a_coordinator_that_does_not_run_is_said_in_one_line(app, authority, capsys):
    with pytest.raises(SystemExit) as ended, errors_as_lines():
        app([str(authority.home)], standalone_mode=False)
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert "unavailable" in said
    assert "credence coordinator run" in said


def test_ending_an_unknown_campaign_is_an_error(app, authority):
    done = run(app, str(authority.home), "--abort", "camp-none")
    assert done.exception.code == "unknown_campaign"
