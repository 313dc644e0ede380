"""`credence node` as its user sees it."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import takewhile

import pytest
from typer.testing import CliRunner

from api.cli.main import app as whole
from protocols.errors import CredenceError
from tests.node.coordinated import free_port, invite, serving_coordinator

CLI = "from api.cli import console, node\nwith console.errors_as_lines():\n node.app()"


@pytest.fixture(scope="module")
def coordinator(tmp_path_factory):
    with serving_coordinator(tmp_path_factory.mktemp("network") / "coordinator") as opened:
        yield opened


@pytest.fixture
def home(tmp_path):
    options = ["--member", "bank-a", "--name", "Harbour Bank", "--holds", "credit_account"]
    ports = ["--listen", f"127.0.0.1:{free_port()}", "--http", f"127.0.0.1:{free_port()}"]
    made = credence("init", tmp_path / "home", *options, *ports)
    assert made.exit_code == 0, made.output
    return tmp_path / "home"


def credence(*arguments):
    return CliRunner().invoke(whole, ["node", *map(str, arguments)])


def command(*arguments):
    return [sys.executable, "-c", CLI, *map(str, arguments)]


@pytest.mark.parametrize("name", ["init", "enrol", "join", "run", "ingest", "fetch", "status"])
def test_every_command_has_an_example(name):
    told = credence(name, "--help")
    assert told.exit_code == 0
    assert f"credence node {name}" in " ".join(told.output.split())


def test_a_new_node_says_how_it_is(home):
    told = credence("status", home)
    assert "not joined" in told.output
    facts = json.loads(credence("status", home, "--json").output)
    assert facts["member_id"] == "bank-a"
    assert (facts["running"], facts["network"], facts["audit"]["size"]) == (False, None, 0)


def test_an_invitation_is_taken_as_text_or_as_a_file(coordinator, home, tmp_path):
    (tmp_path / "invitation").write_text(invite(coordinator, "bank-a") + "\n")
    told = credence("join", home, "--invitation", tmp_path / "invitation", "--json")
    assert told.exit_code == 0, told.output
    assert json.loads(told.output)["member_id"] == "bank-a"
    assert credence("join", home, "--invitation", "nothing").exit_code == 2
    facts = json.loads(credence("status", home, "--json").output)
    assert facts["network"]["directory_version"] >= 2


def test_a_refusal_keeps_its_code(home):
    told = credence("join", home, "--invitation", "credence-invite:AAAA")
    assert isinstance(told.exception, CredenceError)
    assert told.exception.code == "invitation_invalid"


@pytest.mark.parametrize("day", ["2005-13-01", "yesterday"])
def test_a_day_of_another_form_is_a_usage_error(coordinator, home, tmp_path, day):
    assert credence("ingest", home, tmp_path, "--as-of", day).exit_code != 0


def test_an_unknown_purpose_is_a_usage_error(home):
    assert credence("fetch", home, "--purpose", "curiosity").exit_code == 2


def test_run_serves_refuses_a_second_run_and_ends_with_its_parent(tmp_path, coordinator):
    home = tmp_path / "runs"
    member = ["--member", "runs-cli", "--name", "R", "--role", "data_provider"]
    ports = ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--endpoint", "127.0.0.1:9"]
    credence("init", home, *member, *ports)
    credence("join", home, "--invitation", invite(coordinator, "runs-cli", "data_provider"))
    # A shell between, which we kill: the node has to notice.
    shell = subprocess.Popen(
        ["/bin/sh", "-c", '"$@" --parent $$ & wait', "sh", *command("run", home)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with shell, shell.stdout as output:
        lines = list(takewhile(lambda line: " ready: " not in line, output))
        assert shell.poll() is None, lines
        second = subprocess.run(command("run", home), capture_output=True, text=True, check=False)
        assert second.returncode == 1
        assert "already_running" in second.stderr
        assert json.loads(credence("status", home, "--json").output)["running"]
        os.kill(shell.pid, signal.SIGKILL)
        ended = time.monotonic() + 10
        while json.loads(credence("status", home, "--json").output)["running"]:
            assert time.monotonic() < ended
            time.sleep(0.1)
