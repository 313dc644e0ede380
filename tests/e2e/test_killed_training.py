"""Training in processes of their own that are killed outright: at most that round is lost."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from coordinator.bootstrap import init_coordinator, open_coordinator
from coordinator.proposals import make_proposals
from coordinator.settings import make_settings
from coordinator.storage import campaigns
from models.catalogue import load_default
from node.bootstrap import open_node
from node.storage import privacy_ledger
from tests.federation.world import BANKS, add_bank, now_ms, populate, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

ROUNDS = 40


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Processes:
    """A coordinator and the banks' training workers, each a process."""

    root: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def home(self, name: str) -> Path:
        return self.root / name

    def start(self, name: str) -> None:
        if name == "coordinator":
            command = ["-m", "api.cli.main", "coordinator", "run", str(self.home(name))]
        else:
            command = ["-m", "node.federation.worker", str(self.home(name))]
        with (self.root / f"{name}.log").open("ab") as output:
            self.running[name] = subprocess.Popen(
                [sys.executable, *command], stdout=output, stderr=output, env=dict(os.environ)
            )

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        for name in list(self.running):
            self.kill(name)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    port = free_port()
    settings = make_settings(
        name="test",
        listen_members=f"127.0.0.1:{port}",
        listen_enrolment=f"127.0.0.1:{free_port()}",
        listen_console="",
    )
    init_coordinator(tmp_path / "coordinator", settings, now_ms())
    coordinator = open_coordinator(tmp_path / "coordinator")
    for index, member_id in enumerate(BANKS):
        bank = add_bank(coordinator, tmp_path, member_id, f"127.0.0.1:{port}")
        populate(bank, index, 80, load_default())
        bank.node.close()
    coordinator.close()
    made = Processes(tmp_path)
    try:
        for name in ("coordinator", *BANKS):
            made.start(name)
        yield made
    finally:
        made.stop()


def test_a_killed_coordinator_and_a_killed_worker_lose_at_most_the_round_they_were_in(
    processes: Processes,
) -> None:
    """SIGKILL in the middle of a campaign, twice: it completes, and nobody is charged twice."""
    coordinator = open_coordinator(processes.home("coordinator"))
    try:
        plan = make_proposals(coordinator).propose(
            BANKS, now_ms(), epsilon=3.0, rounds=ROUNDS, follow_up_rounds=0, count_noise=4.0,
            minimum_cohort=40, round_deadline_s=5.0,
        )  # fmt: skip

        def rounds() -> list[campaigns.RoundRow]:
            with coordinator.database.read() as connection:
                return campaigns.rounds(connection, plan.campaign_id)

        def state() -> str:
            with coordinator.database.read() as connection:
                row = campaigns.find(connection, plan.campaign_id)
            assert row is not None
            return row.state

        wait_until(lambda: len(rounds()) >= 4, 90)
        processes.kill("coordinator")
        kept = rounds()
        assert 4 <= len(kept) < ROUNDS
        assert state() == "running"
        processes.start("coordinator")
        wait_until(lambda: len(rounds()) >= len(kept) + 3, 60)
        processes.kill("bank-b")
        killed_after = len(rounds())
        assert killed_after < ROUNDS
        processes.start("bank-b")
        wait_until(lambda: state() not in {"running", "paused"}, 120)
        done = rounds()
        assert state() == "completed", campaign_detail(coordinator, plan.campaign_id)
    finally:
        coordinator.close()
    assert done[: len(kept)] == kept  # what was checkpointed is as it was
    numbers = [one.round for one in done]
    # A worker killed between its input and its answer is stood in for, or that round is lost.
    assert set(numbers) <= set(range(1, ROUNDS + 1))
    assert len(numbers) == len(set(numbers)) >= ROUNDS - 1
    for member_id in BANKS:
        charged = charges(processes.home(member_id))
        assert len(charged) == len(set(charged))
        if member_id != "bank-b":
            assert charged == list(range(ROUNDS + 2))


def campaign_detail(coordinator: object, campaign_id: str) -> str:
    with coordinator.database.read() as connection:  # type: ignore[attr-defined]
        row = campaigns.find(connection, campaign_id)
    return "" if row is None else row.detail


def charges(home: Path) -> list[int]:
    node = open_node(home)
    try:
        with node.database.read() as connection:
            return [line.round for line in privacy_ledger.charge_lines(connection, node.member_id)]
    finally:
        node.close()
