"""The console as the coordinator's process serves it, and the command that opens it."""

import json
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from api.cli.main import app
from api.http.operator.face import console_face
from coordinator.bootstrap import init_coordinator, open_coordinator
from coordinator.process import run
from coordinator.settings import make_settings
from protocols.errors import InvalidInput, PortInUse
from tests.coordinator.applicants import free_port


def credence(*arguments: object):
    return CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=True)


def made(root: Path, console: str) -> Path:
    home = root / "coordinator"
    ports = (f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}")
    settings = make_settings(
        listen_members=ports[0], listen_enrolment=ports[1], listen_console=console
    )
    init_coordinator(home, settings)
    return home


def test_the_command_prints_a_link_that_opens_the_running_console(tmp_path: Path) -> None:
    """The link made beside the running process works there, and `--end-sessions` ends what it
    opened."""
    home = made(tmp_path, f"127.0.0.1:{free_port()}")
    stop, ready = threading.Event(), threading.Event()
    thread = threading.Thread(
        target=run,
        args=(home, stop, lambda _: ready.set(), lambda one: console_face(one, "HOME")),
    )
    thread.start()
    assert ready.wait(20)
    try:
        told = json.loads(credence("coordinator", "console", home, "--json").output)
        assert told["running"] is True
        link = told["link"]
        origin, _, token = link.partition("/operator/enter?token=")
        with httpx.Client(base_url=origin) as client:
            sent = {"Origin": origin}
            client.post("/operator/enter", data={"token": token}, headers=sent)
            assert client.get("/operator/").status_code == 200
            ended = credence("coordinator", "console", home, "--end-sessions", "--json")
            assert json.loads(ended.output) == {"sessions_ended": 1}
            assert client.get("/operator/").status_code == 303
    finally:
        began = time.monotonic()
        stop.set()
        thread.join(20)
    assert time.monotonic() - began < 15
    assert not thread.is_alive()


def test_a_taken_port_is_told_before_anything_is_served(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        home = made(tmp_path, f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(PortInUse):
            run(home, threading.Event(), lambda _: None, lambda one: console_face(one, "HOME"))


def test_a_console_that_is_turned_off_is_not_served_and_has_no_link(tmp_path: Path) -> None:
    home = made(tmp_path, "")
    coordinator = open_coordinator(home)
    assert console_face(coordinator, "HOME") is None
    coordinator.close()
    result = credence("coordinator", "console", home)
    assert isinstance(result.exception, InvalidInput)
    assert "listen_console" in result.exception.message


def test_the_command_explains_itself() -> None:
    assert "Example: credence coordinator console" in credence(
        "coordinator", "console", "--help"
    ).output.replace("\n", " ")
