"""A score whose four holders are asked over mutual TLS on loopback, at a steady ten calls a second.

    python -m benchmarks.four_holders [--calls 100] [--rate 10] [--rounds 3] [--json]

Every call is about a person who was not asked about before, so that each goes to all four holders:
request, consent check, release record, sealed answer, and then the score with its leaf. Calls begin
at fixed times whatever became of those before. The floor is one holder asked alone for the same;
rounds alternate between the two. At the end one holder is killed: calls then take no longer than
the deadline, and say who did not answer.

Each holder is a process of its own, as it is on a machine of its own; all share this machine's
cores. `taskset -c 2,3` gives them the two of the bound.
"""

import argparse
import json
import logging
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from benchmarks.exchange_holder import serve, start
from consent.policy import Terms
from node.bootstrap import open_node
from node.network.server import member_server
from node.parts import Node
from node.periodic import Periodic
from node.process import STATUS_EVERY_S
from node.scoring.requests import ScoreRequest
from node.storage import bundles, subjects
from node.storage.subjects import Subject
from protocols.documents import sign_document
from tests.network import MemberSpec, Network, now_ms, open_network, person
from tests.node.scoring_world import ACCOUNT, PAYMENT, PUBLIC, make_bundle, ref

BANK = "bank-a"
HOLDERS = {
    "bank-b": ("bank", ("credit_account",), ACCOUNT),
    "payments": ("data_provider", ("payment",), PAYMENT),
    "telecom": ("data_provider", ("payment",), PAYMENT),
    "public-records": ("public_record_publisher", ("public_record",), PUBLIC),
}
ONE, FOUR = ("payments",), tuple(HOLDERS)
DEADLINE_S = 2.0
WARM_CALLS, DEAD_CALLS = 20, 10

Call = tuple[bytes, Terms]


@dataclass(frozen=True)
class Asking:
    """The asking node, the calls that wait for it, and how to kill a holder."""

    node: Node
    one: Iterator[Call]
    four: Iterator[Call]
    kill: Callable[[str], None]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--rate", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    silent = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=silent)
    figures = measure(arguments.calls, arguments.rate, arguments.rounds)
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    for name, figure in figures.items():
        print(f"{name:<32}{figure:>10.1f}")


def measure(calls: int, rate: float, rounds: int) -> dict[str, float]:
    """Milliseconds of calls with one holder, with four, and with four of which one is dead."""
    with tempfile.TemporaryDirectory() as folder, _asking(Path(folder), calls * rounds) as it:

        def steadily(
            waiting: Iterator[Call], number: int, rate: float, dead: frozenset[str] = frozenset()
        ) -> list[float]:
            some = [next(waiting) for _ in range(number)]
            return _at([_job(it.node, *call, dead) for call in some], rate)

        steadily(it.one, WARM_CALLS, 20)  # connections, statements
        steadily(it.four, WARM_CALLS, 20)
        one, four, used = [], [], 0.0
        for _ in range(rounds):
            one += steadily(it.one, calls, rate)
            before = time.process_time()
            four += steadily(it.four, calls, rate)
            used += time.process_time() - before
        it.kill("telecom")
        dead = steadily(it.four, DEAD_CALLS, rate, frozenset({"telecom"}))
    return {
        "one_holder_p50_ms": statistics.median(one),
        "one_holder_p99_ms": _p99(one),
        "four_holders_p50_ms": statistics.median(four),
        "four_holders_p99_ms": _p99(four),
        "four_holders_asking_cpu_ms": used * 1000 / len(four),
        "one_of_four_dead_slowest_ms": max(dead),
        "deadline_ms": DEADLINE_S * 1000,
    }


@contextmanager
def _asking(root: Path, calls: int) -> Iterator[Asking]:
    options = {"fetch_deadline_s": DEADLINE_S, "witness_minimum": 0, "train": False}
    specs = [MemberSpec(BANK, "bank", ("credit_account",), options)]
    specs += [MemberSpec(name, role, held) for name, (role, held, _) in HOLDERS.items()]
    ones, fours = calls + WARM_CALLS, calls + WARM_CALLS + DEAD_CALLS
    people = [person(number) for number in range(1, ones + fours + 1)]
    with open_network(root, specs, serve=False) as network:
        _enrol(network, people)
        _publish(network)
        one = _consented(network, people[:ones], ONE)
        four = _consented(network, people[ones:], FOUR)
        at = {name: str(entry.endpoint) for name, entry in network.entries.items()}
    with ExitStack() as stack:
        pids = {}
        for name in HOLDERS:
            process, pipe, _ = start(serve, root / name, at[name], False)
            stack.callback(process.join, 10)
            stack.callback(pipe.close)  # what it waits for: this, or a word
            pids[name] = process.pid or 0
        node = open_node(root / BANK)
        stack.callback(node.close)
        server = member_server(node)
        stack.callback(server.stop)
        server.bind(at[BANK])
        server.start()
        status = Periodic("status", STATUS_EVERY_S, node.statuses.keeper.step)
        stack.callback(status.stop)
        status.start()
        yield Asking(node, one, four, lambda name: os.kill(pids[name], signal.SIGKILL))


def _enrol(network: Network, people: list[bytes]) -> None:
    with network.node(BANK).database.write() as connection:
        rows = [Subject(one, ref(one), one.hex(), now_ms()) for one in people]
        subjects.replace_all(connection, rows)
    network.enrol_many(BANK, dict.fromkeys(people, ACCOUNT))
    for name, (_, _, signals) in HOLDERS.items():
        network.enrol_many(name, dict.fromkeys(people, signals))


def _consented(network: Network, people: list[bytes], holders: Sequence[str]) -> Iterator[Call]:
    made = network.consent(BANK, people, holders=(BANK, *holders))
    return iter(list(zip(people, made, strict=True)))


def _publish(network: Network) -> None:
    body, tensors = make_bundle("bench-1", 1).pack()
    document = sign_document("bundle", body, network.directory_key)
    row = bundles.BundleRow(
        "bench-1", document.body, document.signature, document.key_id, tensors, False, now_ms()
    )
    with network.node(BANK).database.write() as connection:
        bundles.add(connection, row)
        bundles.activate(connection, "bench-1")


def _job(node: Node, one: bytes, terms: Terms, dead: frozenset[str]) -> Callable[[], float]:
    request = replace(
        ScoreRequest("", "", "score", "cli_bench"),
        subject_ref=ref(one),
        consent_id=terms.consent_id,
    )

    def ask() -> float:
        began = time.perf_counter()
        coverage = node.scoring.score(request).answer["coverage"]
        taken = time.perf_counter() - began
        given = {source["source"] for source in coverage if source["status"] != "unavailable"}
        assert given == terms.holders - dead, coverage
        return taken * 1000

    return ask


def _at(jobs: Sequence[Callable[[], float]], rate: float) -> list[float]:
    """Begin the jobs at `rate` a second, whatever became of those before; what they gave."""
    with ThreadPoolExecutor(64) as pool:
        began, running = time.perf_counter(), []
        for number, job in enumerate(jobs):
            time.sleep(max(0.0, began + number / rate - time.perf_counter()))
            running.append(pool.submit(job))
        return [one.result() for one in running]


def _p99(times: Sequence[float]) -> float:
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


if __name__ == "__main__":
    main()
