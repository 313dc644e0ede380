"""A holder in a process of its own, the bank that proves its consents, and a bare echo."""

import asyncio
import logging
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import psutil
import structlog

from benchmarks.exchange_callers import Asking, Person
from node.bootstrap import open_node
from node.exchange.engine import Engine, stamp
from node.network.server import member_server
from node.network.transport import server_credentials, server_options
from node.periodic import Periodic
from node.process import STATUS_EVERY_S
from tests.network import MEMBERS, open_network, person


class Echo(grpc.GenericRpcHandler):
    """Takes bytes, and gives back as many as the first four say."""

    def __init__(self) -> None:
        async def echo(data: bytes, _context: Any) -> bytes:
            return bytes(int.from_bytes(data[:4], "big"))

        self._handler = grpc.unary_unary_rpc_method_handler(echo)

    def service(self, handler_call_details: Any) -> Any:  # noqa: ARG002
        """The only method there is."""
        return self._handler


@dataclass(frozen=True)
class Holder:
    """A served holder: what its callers need, and the processes of holder and echo."""

    asking: Asking
    pids: tuple[int, int]

    def cpu_s(self) -> float:
        """Processor time used so far, by all its processes and the echo's."""
        used = [one.cpu_times() for pid in self.pids for one in _with_children(pid)]
        return float(sum(one.user + one.system for one in used))

    def resident_mb(self) -> float:
        """Resident memory of all its processes."""
        served = _with_children(self.pids[0])
        return float(sum(one.memory_info().rss for one in served) / 2**20)


def _with_children(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children()]


@contextmanager
def holder(root: Path, subjects: int, suite: int, *, engine: bool) -> Iterator[Holder]:
    """A holder of consented people that serves in another process.

    Args:
        root: an empty directory.
        subjects: how many people.
        suite: the strongest that the holder speaks.
        engine: whether it has an engine, as `credence node run` has.
    """
    people = [person(number) for number in range(subjects)]
    with open_network(root, [MEMBERS[0], MEMBERS[2]], serve=False) as network:
        held = network.node("payments").documents.catalogue().held_by("payment")
        vector = {spec.id: (1, 12.5) for spec in held}
        network.enrol_many("payments", dict.fromkeys(people, vector))
        terms = network.consent("bank-a", people, holders=["payments"], max_uses=1_000_000)
        entry = network.entries["payments"]
        network.entries["payments"] = replace(entry, suites=tuple(range(1, suite + 1)))
        network.publish()
        bank_at = str(network.entries["bank-a"].endpoint)
    started = [
        start(_prove, root / "bank-a", bank_at),
        start(serve, root / "payments", "127.0.0.1:0", engine),
        start(_echo, root / "payments"),
    ]
    _, (process, _, port), (echo, _, echo_port) = started
    if process.pid is None or echo.pid is None:
        raise SystemExit("the holder did not start")
    asked = [Person(one.consent_id, one.consent_hash, one.pseudonym, one.holders) for one in terms]
    local = "127.0.0.1:{}".format
    try:
        yield Holder(
            Asking(root / "bank-a", local(port), local(echo_port), suite, asked),
            (process.pid, echo.pid),
        )
    finally:
        for one, pipe, _ in reversed(started):
            pipe.send("stop")
            one.join(10)


def start(serving: Callable[..., None], *arguments: Any) -> tuple[SpawnProcess, Connection, int]:
    """A process that serves, the pipe that stops it, and its port."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serving, args=(theirs, *arguments))
    process.start()
    return process, ours, ours.recv()


def _prove(pipe: Connection, home: Path, endpoint: str) -> None:
    node = open_node(home)
    server = member_server(node)
    port = server.bind(endpoint)
    server.start()
    pipe.send(port)
    pipe.recv()
    server.stop()
    node.close()


def serve(pipe: Connection, home: Path, endpoint: str, with_engine: bool) -> None:
    """A holder: says its port over `pipe`, and serves until something comes there, or its end."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    node = open_node(home)
    engine = Engine(home, lambda: stamp(node), node.exchange.answer_group)
    if with_engine:
        engine.start(wait_s=60)
        node.exchange.hand_over(engine)
    server = member_server(node)
    port = server.bind(endpoint)
    server.start()
    status = Periodic("status", STATUS_EVERY_S, node.statuses.keeper.step)
    status.start()
    pipe.send(port)
    pipe.poll(None)
    status.stop()
    server.stop()
    engine.stop()
    node.close()


def _echo(pipe: Connection, home: Path) -> None:
    node = open_node(home)

    async def run() -> None:
        server = grpc.aio.server(handlers=[Echo()], options=server_options(node.transport_limits))
        port = server.add_secure_port("127.0.0.1:0", server_credentials(node.identity))
        await server.start()
        pipe.send(port)
        await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
        await server.stop(1)

    asyncio.run(run())
    node.close()
