"""Signals from one holder over mutual TLS, beside the floor: an echo on the same kind of server.

    python -m benchmarks.exchange [--subjects 5120] [--calls 1500] [--callers 1,8,32]

The holder is a process of its own on one core; the caller has the others. Every subject is a
consent decision, a counted use, a release record and an audit leaf, committed before the answer
leaves. `per CPU s` divides by the processor time that the holder used, and says what one core of a
quiet machine would do.
"""

import argparse
import logging
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import grpc
import psutil
import structlog

from consent.policy import Terms
from node.bootstrap import Node, open_node
from node.server import MemberServer, member_server
from protocols.envelope import Query, new_request, open_answer
from protocols.pseudonyms import query_token
from protocols.v1.exchange_pb2 import SealedRequest
from protocols.v1.exchange_pb2_grpc import ExchangeStub
from tests.network import MEMBERS, now_ms, open_network, person

HOLDER_CORE = 0
ECHO = "/benchmark/Echo"


class Echo(grpc.GenericRpcHandler):
    """Gives back what it gets."""

    def service(self, handler_call_details: Any) -> Any:  # noqa: ARG002
        """The only method there is."""
        return grpc.unary_unary_rpc_method_handler(lambda data, _context: data)


def main() -> None:
    """Measure and print one line a load."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=5120)
    parser.add_argument("--calls", type=int, default=1500)
    parser.add_argument("--callers", default="1,8,32")
    arguments = parser.parse_args()
    _quiet()
    callers = [int(number) for number in arguments.callers.split(",")]
    with tempfile.TemporaryDirectory() as folder, _holder(Path(folder), arguments.subjects) as it:
        bank, terms, pid, echo_port = it
        print(f"{'load':<36}{'per second':>12}{'per CPU s':>12}{'p50 ms':>10}{'p99 ms':>10}")
        for turn in ("new data keys", "again"):
            _report(f"FetchBatch, subjects, {turn}", pid, lambda: _batch(bank, terms))
        for number in callers:
            _report(
                f"floor: echo, {number} callers",
                pid,
                lambda number=number: _echo(bank, echo_port, arguments.calls, number),
            )
            _report(
                f"Fetch, one subject, {number} callers",
                pid,
                lambda number=number: _unary(bank, terms[: arguments.calls], number),
            )


def _report(name: str, pid: int, run: Callable[[], tuple[int, list[float]]]) -> None:
    before, began = _cpu_s(pid), time.perf_counter()
    number, times = run()
    wall, cpu = time.perf_counter() - began, _cpu_s(pid) - before
    p50, p99 = (times[int(len(times) * at)] * 1000 for at in (0.5, 0.99))
    print(f"{name:<36}{number / wall:>12.0f}{number / cpu:>12.0f}{p50:>10.2f}{p99:>10.2f}")


def _batch(bank: Node, terms: Sequence[Terms]) -> tuple[int, list[float]]:
    stub = ExchangeStub(bank.channels.to_member("payments"))
    requests = [_request(bank, terms[at : at + 256]) for at in range(0, len(terms), 256)]
    times, last = [], time.perf_counter()
    for request, answer in zip(
        requests, stub.FetchBatch(iter([one.message for one in requests]), timeout=600), strict=True
    ):
        times.append(time.perf_counter() - last)
        opened = open_answer(request, answer, bank.documents.directory())
        if any(one.refusal for one in opened.answers):
            raise SystemExit("a subject was refused")
        last = time.perf_counter()
    return len(terms), sorted(times)


def _unary(bank: Node, terms: Sequence[Terms], callers: int) -> tuple[int, list[float]]:
    fetch = ExchangeStub(bank.channels.to_member("payments")).Fetch
    return _spread(fetch, [_request(bank, [one]).message for one in terms], callers)


def _echo(bank: Node, port: int, calls: int, callers: int) -> tuple[int, list[float]]:
    entry = bank.documents.directory().member("payments")
    identity = bank.identity()
    from node.transport import TransportLimits, open_channel
    from protocols.certificates import member_dns

    endpoint = f"127.0.0.1:{port}"
    with open_channel(
        endpoint, member_dns(entry.member_id), identity.ca, identity, TransportLimits()
    ) as channel:
        return _spread(channel.unary_unary(ECHO), [bytes(512)] * calls, callers)


def _spread(
    call: Callable[..., Any], messages: Sequence[bytes | SealedRequest], callers: int
) -> tuple[int, list[float]]:
    times: list[float] = []

    def one(offset: int) -> None:
        for message in messages[offset::callers]:
            began = time.perf_counter()
            call(message, timeout=60)
            times.append(time.perf_counter() - began)

    threads = [threading.Thread(target=one, args=(offset,)) for offset in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(messages), sorted(times)


def _request(bank: Node, terms: Sequence[Terms]) -> Any:
    pair_key = bank.pair_keys.with_member("payments")
    return new_request(
        sender="bank-a",
        holder="payments",
        purpose="score",
        queries=[
            Query(one.consent_hash, query_token(pair_key, one.pseudonym, one.consent_hash))
            for one in terms
        ],
        now_ms=now_ms(),
        key=bank.keys.signing,
        lifetime_ms=60_000,
    )


@contextmanager
def _holder(root: Path, subjects: int) -> Iterator[tuple[Node, list[Terms], int, int]]:
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
        network.entries["payments"] = replace(entry, endpoint=f"127.0.0.1:{port}")
        network.publish()
    if process.pid is None:
        raise SystemExit("the holder did not start")
    _pin(set(range(1, os.cpu_count() or 1)))
    bank = open_node(root / "bank-a")
    try:
        yield bank, terms, process.pid, echo_port
    finally:
        bank.close()
        ours.send("stop")
        process.join(10)


def _serve(home: Path, pipe: Connection) -> None:
    _quiet()
    _pin({HOLDER_CORE})
    node = open_node(home)
    server = member_server(node)
    echo = MemberServer(
        node.identity(),
        node.documents,
        [lambda served: served.add_generic_rpc_handlers([Echo()])],
        node.transport_limits,
    )
    ports = server.bind("127.0.0.1:0"), echo.bind("127.0.0.1:0")
    server.start()
    echo.start()
    pipe.send(ports)
    pipe.recv()
    server.stop()
    echo.stop()
    node.close()


def _pin(cores: set[int]) -> None:
    if hasattr(os, "sched_setaffinity") and cores:
        os.sched_setaffinity(0, cores)


def _cpu_s(pid: int) -> float:
    used = psutil.Process(pid).cpu_times()
    return float(used.user + used.system)


def _quiet() -> None:
    silent = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=silent)


if __name__ == "__main__":
    main()
