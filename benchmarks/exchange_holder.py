"""A holder in a process of its own, with a bare echo beside it."""

import logging
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import grpc
import psutil
import structlog

from benchmarks.exchange_callers import Asking, Person
from node.bootstrap import open_node
from node.exchange.engine import Engine, stamp
from node.network.server import member_server
from node.network.transport import server_credentials, server_options
from tests.network import MEMBERS, open_network, person


class Echo(grpc.GenericRpcHandler):
    """Takes bytes, and gives back as many as the first four say."""

    def service(self, handler_call_details: Any) -> Any:  # noqa: ARG002
        """The only method there is."""
        return grpc.unary_unary_rpc_method_handler(
            lambda data, _context: bytes(int.from_bytes(data[:4], "big"))
        )


@dataclass(frozen=True)
class Holder:
    """A served holder: what its callers need, and its process."""

    asking: Asking
    pid: int

    def cpu_s(self) -> float:
        """Processor time used so far, by all its processes."""
        used = [one.cpu_times() for one in self._processes()]
        return float(sum(one.user + one.system for one in used))

    def resident_mb(self) -> float:
        """Resident memory of all its processes."""
        return float(sum(one.memory_info().rss for one in self._processes()) / 2**20)

    def _processes(self) -> list[psutil.Process]:
        holder = psutil.Process(self.pid)
        return [holder, *holder.children()]


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
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with open_network(root, [MEMBERS[0], MEMBERS[2]], serve=False) as network:
        held = network.node("payments").documents.catalogue().held_by("payment")
        vector = {spec.id: (1, 12.5) for spec in held}
        network.enrol_many("payments", dict.fromkeys(people, vector))
        terms = network.consent("bank-a", people, holders=["payments"], max_uses=1_000_000)
        entry = network.entries["payments"]
        network.entries["payments"] = replace(entry, suites=tuple(range(1, suite + 1)))
        network.publish()
    process = context.Process(target=_serve, args=(root / "payments", theirs, engine))
    process.start()
    port, echo_port = ours.recv()
    if process.pid is None:
        raise SystemExit("the holder did not start")
    asked = [Person(one.consent_id, one.consent_hash, one.pseudonym, one.holders) for one in terms]
    local = "127.0.0.1:{}".format
    try:
        yield Holder(
            Asking(root / "bank-a", local(port), local(echo_port), suite, asked), process.pid
        )
    finally:
        ours.send("stop")
        process.join(10)


def _serve(home: Path, pipe: Connection, with_engine: bool) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    node = open_node(home)
    engine = Engine(home, lambda: stamp(node), node.exchange.answer_group)
    if with_engine:
        engine.start(wait_s=60)
        node.exchange.hand_over(engine)
    server = member_server(node)
    limits = node.transport_limits
    echo = grpc.server(
        ThreadPoolExecutor(limits.workers), handlers=[Echo()], options=server_options(limits)
    )
    echo_port = echo.add_secure_port("127.0.0.1:0", server_credentials(node.identity))
    port = server.bind("127.0.0.1:0")
    server.start()
    echo.start()
    pipe.send((port, echo_port))
    pipe.recv()
    server.stop()
    echo.stop(1).wait()
    engine.stop()
    node.close()
