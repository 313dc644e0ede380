"""`credence ceremony` and `credence node enrol` as their users see them."""

import json

import pytest
from typer.testing import CliRunner

from api.cli.main import app
from coordinator.process import serving
from protocols.errors import CredenceError
from tests.pseudonyms.world import NAMES


def credence(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments])


@pytest.mark.parametrize("command", [("ceremony", "start"), ("ceremony", "status")])
def test_every_command_has_an_example(command):
    told = credence(*command, "--help")
    assert told.exit_code == 0
    assert f"credence {' '.join(command)}" in " ".join(told.output.split())


def test_status_tells_the_round_who_has_posted_and_who_was_blamed(world, home):
    assert "no ceremony yet" in credence("ceremony", "status", home).output
    world.announce()
    world.run(without=NAMES[:3])
    facts = json.loads(credence("ceremony", "status", home, "--json").output)
    assert facts["state"] == "failed"
    assert facts["posted"]["commitment"] == ["payments", "public-records"]
    assert "bank-a: silent" in credence("ceremony", "status", home).output


def test_start_needs_a_running_coordinator(world, home):
    told = credence("ceremony", "start", home)
    assert isinstance(told.exception, CredenceError)
    assert told.exception.code == "unavailable"


def test_a_ceremony_without_trustees_fails_and_names_them(world, home, monkeypatch):
    monkeypatch.setattr("coordinator.home.is_running", lambda _home: True)
    with serving(world.coordinator):
        told = credence("ceremony", "start", home, "--round-seconds", "0.2", "--json")
    assert isinstance(told.exception, CredenceError)
    assert "public-records: silent" in told.exception.message
    assert json.loads(told.output)["state"] == "failed"
