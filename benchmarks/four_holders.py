"""A score whose four holders are asked over mutual TLS on loopback, at a steady ten calls a second.

    python -m benchmarks.four_holders [--calls 100] [--rate 10] [--json]

Every call is about a person who was not asked about before, so that each goes to all four holders:
request, consent check, release record, sealed answer, and then the score with its leaf. Calls begin
at fixed times whatever became of those before. The floor is one holder asked alone for the same. At
the end one holder is dead: calls then take no longer than the deadline, and say who did not answer.

All nodes share one process here, and with it one interpreter: a network of machines has five.
"""

import argparse
import json
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

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
DEADLINE_S = 2.0
DEAD_CALLS = 10


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--rate", type=float, default=10.0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    silent = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=silent)
    figures = measure(arguments.calls, arguments.rate)
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    for name, figure in figures.items():
        print(f"{name:<32}{figure:>10.1f}")


def measure(calls: int, rate: float) -> dict[str, float]:
    """Milliseconds of calls with one holder, with four, and with four of which one is dead."""
    options = {"fetch_deadline_s": DEADLINE_S, "witness_minimum": 0, "train": False}
    specs = [MemberSpec(BANK, "bank", ("credit_account",), options)]
    specs += [MemberSpec(name, role, held) for name, (role, held, _) in HOLDERS.items()]
    numbers = range(1, 2 * calls + DEAD_CALLS + 2 * 20 + 1)
    with tempfile.TemporaryDirectory() as folder, open_network(Path(folder), specs) as network:
        people = _enrolled(network, [person(number) for number in numbers])
        _publish(network)
        ask = _asker(network)

        def steadily(some: Sequence[bytes], holders: Sequence[str], rate: float) -> list[float]:
            consents = network.consent(BANK, some, holders=(BANK, *holders))
            jobs = [lambda one=one, held=held: ask(one, held)
                    for one, held in zip(some, consents, strict=True)]  # fmt: skip
            return sorted(_at(jobs, rate))

        take = iter(people)

        def some(number: int) -> list[bytes]:
            return [next(take) for _ in range(number)]

        for holders in (["payments"], list(HOLDERS)):
            steadily(some(20), holders, 20)  # connections, statements
        one = steadily(some(calls), ["payments"], rate)
        four = steadily(some(calls), list(HOLDERS), rate)
        network.servers.pop("telecom").stop()
        dead = steadily(some(DEAD_CALLS), list(HOLDERS), rate)
    return {
        "one_holder_p50_ms": statistics.median(one),
        "one_holder_p99_ms": _p99(one),
        "four_holders_p50_ms": statistics.median(four),
        "four_holders_p99_ms": _p99(four),
        "one_of_four_dead_slowest_ms": dead[-1],
        "deadline_ms": DEADLINE_S * 1000,
    }


def _enrolled(network: Network, people: list[bytes]) -> list[bytes]:
    with network.node(BANK).database.write() as connection:
        rows = [Subject(one, ref(one), one.hex(), now_ms()) for one in people]
        subjects.replace_all(connection, rows)
    network.enrol_many(BANK, dict.fromkeys(people, ACCOUNT))
    for name, (_, _, signals) in HOLDERS.items():
        network.enrol_many(name, dict.fromkeys(people, signals))
    return people


def _publish(network: Network) -> None:
    body, tensors = make_bundle("bench-1", 1).pack()
    document = sign_document("bundle", body, network.directory_key)
    row = bundles.BundleRow(
        "bench-1", document.body, document.signature, document.key_id, tensors, False, now_ms()
    )
    with network.node(BANK).database.write() as connection:
        bundles.add(connection, row)
        bundles.activate(connection, "bench-1")


def _asker(network: Network) -> Callable[[bytes, Any], float]:
    scoring = network.node(BANK).scoring
    request = ScoreRequest("", "", "score", "cli_bench")

    def ask(one: bytes, terms: Any) -> float:
        began = time.perf_counter()
        named = replace(request, subject_ref=ref(one), consent_id=terms.consent_id)
        sources = {source["source"]: source for source in scoring.score(named).answer["coverage"]}
        taken = time.perf_counter() - began
        assert sources.keys() == terms.holders
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


def _p99(ordered: Sequence[float]) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


if __name__ == "__main__":
    main()
