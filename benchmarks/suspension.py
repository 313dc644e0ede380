"""Seconds until every peer refuses a suspended member, at default settings, real processes.

    python -m benchmarks.suspension [--repeat 3] [--json FILE]

Two cases, each against the bound of 60 s:

  told by the coordinator   all run; each node polls every ten seconds or hears it from a member
  coordinator killed        as soon as the first node knows; the others hear it from members

A refusal is `member_not_active` for a call over the suspended member's own mutual TLS channel. The
floor is one such call that is admitted: what asking costs.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from coordinator.bootstrap import open_coordinator
from deploy.sandbox import network
from deploy.sandbox.layout import Layout, create
from deploy.sandbox.processes import Supervisor
from deploy.sandbox.progress import Stage
from node.bootstrap import open_node
from node.network.rpc_errors import remote_errors
from node.parts import Node
from protocols.errors import CredenceError
from protocols.v1.exchange_pb2 import SealedRequest
from protocols.v1.exchange_pb2_grpc import ExchangeStub

BOUND_S = 60.0
SUSPENDED = "bank-b"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures: dict[str, Any] = {"bound_s": BOUND_S, "cases": {}}
    for name, kill in (("told by the coordinator", False), ("coordinator killed", True)):
        runs = [_one(kill=kill) for _ in range(arguments.repeat)]
        figures["cases"][name] = {
            "last_peer_s": [max(run["refused_s"].values()) for run in runs],
            "admitted_call_s": statistics.median(run["admitted_call_s"] for run in runs),
        }
        last = figures["cases"][name]["last_peer_s"]
        print(
            f"{name:<26} last peer refuses after {', '.join(f'{s:.1f}' for s in last)} s"
            f"  (bound {BOUND_S:.0f} s; an admitted call takes "
            f"{figures['cases'][name]['admitted_call_s'] * 1000:.1f} ms)",
            flush=True,
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


def _one(*, kill: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, Supervisor() as supervisor:
        layout = create(Path(folder) / "network", reset=False)
        network.found(layout)
        network.start_coordinator(layout, supervisor)
        network.join(layout, Stage(lambda _done, _total, _note: None), max_epsilon=3.0)
        network.start_nodes(layout, supervisor)
        member = open_node(layout.home(SUSPENDED))
        try:
            return _suspend(layout, supervisor, member, kill=kill)
        finally:
            member.close()


def _suspend(layout: Layout, supervisor: Supervisor, member: Node, *, kill: bool) -> dict[str, Any]:
    peers = [one.member_id for one in layout.members if one.member_id != SUSPENDED]
    asked = time.perf_counter()
    assert not any(_refuses(member, peer) for peer in peers)
    admitted_s = (time.perf_counter() - asked) / len(peers)
    coordinator = open_coordinator(layout.coordinator_home)
    try:
        begun = time.monotonic()
        coordinator.membership.set_status(SUSPENDED, "suspended", int(time.time() * 1000))
    finally:
        coordinator.close()

    def knows(peers: list[str]) -> dict[str, float]:
        return {peer: time.monotonic() - begun for peer in peers if _refuses(member, peer)}

    refused: dict[str, float] = {}
    while len(refused) < len(peers) and time.monotonic() - begun < 2 * BOUND_S:
        refused |= knows([peer for peer in peers if peer not in refused])
        if kill and refused:
            supervisor.kill("coordinator")
            kill = False
        time.sleep(0.1)
    missing = set(peers) - set(refused)
    assert not missing, f"still admitted by {', '.join(sorted(missing))}"
    return {"refused_s": refused, "admitted_call_s": admitted_s}


def _refuses(member: Node, peer: str) -> bool:
    stub: Callable[..., Any] = ExchangeStub(member.channels.to_member(peer)).Fetch
    try:
        with remote_errors(peer):
            stub(SealedRequest(), timeout=10)
    except CredenceError as error:
        return error.code == "member_not_active"
    return False


if __name__ == "__main__":
    main()
