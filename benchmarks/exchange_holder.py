"""A holder in a process of its own, with an echo beside it, and a bank that asks."""

import logging
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import grpc
import structlog

from consent.policy import Terms
from node.bootstrap import Node, open_node
from node.network.server import member_server
from node.network.transport import server_credentials, server_options
from protocols.envelope import OutgoingRequest, Query, new_request
from protocols.pseudonyms import query_token
from tests.network import MEMBERS, now_ms, open_network, person

ECHO = "/benchmark/Echo"


class Echo(grpc.GenericRpcHandler):
    """Takes bytes, and gives back as many as the first four say."""

    def service(self, handler_call_details: Any) -> Any:  # noqa: ARG002
        """The only method there is."""
        return grpc.unary_unary_rpc_method_handler(
            lambda data, _context: bytes(int.from_bytes(data[:4], "big"))
        )


@dataclass(frozen=True)
class Holder:
    """A served holder.

    Attributes:
        bank: the node that asks.
        terms: consents to ask under.
        pid: of the holder's process.
        echo_port: of the bare echo in that process.
    """

    bank: Node
    terms: Sequence[Terms]
    pid: int
    echo_port: int
    suite: int

    def request(self, terms: Sequence[Terms]) -> OutgoingRequest:
        """A signed request about some consents."""
        pair_key = self.bank.pair_keys.with_member("payments")
        return new_request(
            sender="bank-a",
            holder="payments",
            purpose="score",
            queries=[
                Query(one.consent_hash, query_token(pair_key, one.pseudonym, one.consent_hash))
                for one in terms
            ],
            now_ms=now_ms(),
            key=self.bank.keys.signing,
            lifetime_ms=60_000,
            suite_number=self.suite,
        )


@contextmanager
def holder(root: Path, subjects: int, suite: int) -> Iterator[Holder]:
    """A bank here, its consents, and a holder that serves in another process."""
    people = [person(number) for number in range(subjects)]
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with open_network(root, [MEMBERS[0], MEMBERS[2]], serve=False) as network:
        held = network.node("payments").documents.catalogue().held_by("payment")
        vector = {spec.id: (1, 12.5) for spec in held}
        network.enrol_many("payments", dict.fromkeys(people, vector))
        terms = network.consent("bank-a", people, holders=["payments"], max_uses=1_000_000)
        process = context.Process(target=_serve, args=(root / "payments", theirs), daemon=True)
        process.start()
        port, echo_port = ours.recv()
        entry = network.entries["payments"]
        network.entries["payments"] = replace(
            entry, endpoint=f"127.0.0.1:{port}", suites=tuple(range(1, suite + 1))
        )
        network.publish()
    if process.pid is None:
        raise SystemExit("the holder did not start")
    bank = open_node(root / "bank-a")
    try:
        yield Holder(bank, terms, process.pid, echo_port, suite)
    finally:
        bank.close()
        ours.send("stop")
        process.join(10)


def _serve(home: Path, pipe: Connection) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    node = open_node(home)
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
    node.close()
