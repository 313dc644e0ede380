"""docs/getting-started.md, command by command, on a fresh sandbox; and its people, one by one."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.sdk import Client, ClientKey, Identity, calls
from api.sdk.errors import ConsentRefused, SubjectFrozen
from api.sdk.webhooks import verify_webhook
from tests.node.webhook_world import receiving

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "getting-started.md"
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
READY_S = 120


@pytest.fixture(scope="module")
def blocks() -> list[tuple[str, str]]:
    """The page's commands: the network's, those typed at a shell, the program."""
    return BLOCK.findall(PAGE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, blocks) -> Iterator[Path]:
    """A directory in which the network of the first command runs, with `credence` on the path."""
    root = tmp_path_factory.mktemp("started")
    shim = root / "credence"
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m deploy.command "$@"\n')
    shim.chmod(0o755)
    environment = {**os.environ, "PATH": f"{root}:{os.environ['PATH']}",
                   "PYTHONPATH": str(PAGE.parents[1])}  # fmt: skip
    with (root / "out").open("wb") as out:
        network = subprocess.Popen(
            ["sh", "-c", f"exec {blocks[0][1]}"], cwd=root, env=environment,
            stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + READY_S
        while "stays up" not in (said := (root / "out").read_text()):
            assert network.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.1)
        yield root
    finally:
        network.send_signal(signal.SIGINT)
        network.wait(30)


def run(place: Path, script: str) -> str:
    """What a script prints."""
    environment = {**os.environ, "PATH": f"{place}:{os.environ['PATH']}",
                   "PYTHONPATH": str(PAGE.parents[1])}  # fmt: skip
    done = subprocess.run(["sh", "-ec", script], cwd=place, env=environment,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_commands_of_the_page_end_in_a_score(place: Path, blocks) -> None:
    shell = [text for kind, text in blocks[1:] if kind == "sh"]
    assert re.match(r"[3-8][0-9]{2}  band [A-H]", run(place, shell[0]))
    (program,) = [text for kind, text in blocks if kind == "python"]
    (place / "program.py").write_text(program)
    said = run(place, f". sandbox/developer.env\nexec {sys.executable} program.py")
    assert "of bank-a.members.credence" in said
    assert "consent_withdrawn -" in said


def test_every_persona_gets_its_kind_of_answer(place: Path) -> None:
    """A developer who calls with a persona gets the same kind of answer on every machine."""
    found = json.loads((place / "sandbox" / "developer.json").read_text())
    people = {one["name"]: (one["subject"], one["consent"]) for one in found["personas"]}
    page = PAGE.read_text(encoding="utf-8")
    assert all(f"`{subject}`" in page for subject, _ in people.values())
    who = Identity(found["client_id"], ClientKey.read(found["key"]))
    with Client(found["url"], who) as node:
        prime = node.score(*people["prime"])
        thin = node.score(*people["thinfile"])
        disputed = node.score(*people["disputed"])
        deep = node.score(*people["overindebted"])
        slow = node.score(*people["slowholder"])
        with pytest.raises(SubjectFrozen):
            node.score(*people["frozen"])
        with pytest.raises(ConsentRefused) as refused:
            node.score(*people["withdrawn"])
    assert refused.value.problem == "consent_withdrawn"
    assert prime.score > disputed.score > deep.score
    assert (thin.score, thin.exclusion.code) == (None, "too_thin")
    assert [(one.signal, one.status) for one in disputed.disputes] == [
        ("late_months_6m", "disputed")
    ]
    late = {one.source: (one.status, one.code) for one in slow.coverage}
    assert late["silent-registry"] == ("unavailable", "deadline_exceeded")
    assert late["payments"] == ("fetched", "")


def test_a_developer_is_told_on_the_machine_of_the_sandbox(place: Path) -> None:
    """A webhook comes to a plain server on loopback, and verifies."""
    found = json.loads((place / "sandbox" / "developer.json").read_text())
    who = Identity(found["client_id"], ClientKey.read(found["key"]))
    with receiving() as receiver, Client(found["url"], who) as node:
        endpoint = node.make(calls.create_webhook_endpoint(receiver.url))
        node.make(calls.test_webhook_endpoint(endpoint.endpoint_id))
        deadline = time.monotonic() + 20
        while not receiver.heard:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    (heard,) = receiver.heard
    event = verify_webhook(heard.headers, heard.body, endpoint.public_keys)
    assert (event.type, event.data) == ("endpoint.test", {"endpoint_id": endpoint.endpoint_id})
