"""A relayed exchange beside its floor, the same exchange over a direct connection, in one run.

    python -m benchmarks.relay [--subjects 5000] [--calls 400] [--callers 16] [--rounds 3]
                               [--json FILE]

Bank, both holders and the relay are in one process here, so a relayed byte is paid for by the same
interpreter four times; between machines the relay's share runs elsewhere. Rounds alternate.
"""

import argparse
import json
import logging
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import structlog

from tests.network import MEMBERS, person
from tests.relay.world import HIDDEN, World, open_world

DIRECT = "public-records"
SIGNALS = {
    HIDDEN: {"statement_balance": (1, 120.5), "unpaid_months_6m": (2, 0.0)},
    DIRECT: {"tax_arrears": (1, 120.5), "dishonest_debtor": (2, 0.0)},
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=5000)
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    members = [one for one in MEMBERS if one.member_id in {"bank-a", HIDDEN, DIRECT}]
    with tempfile.TemporaryDirectory() as folder, open_world(Path(folder), members=members) as it:
        figures = _measured(it, arguments)
    _print(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


def _measured(it: World, arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    people = [person(n) for n in range(10_000, 10_000 + arguments.subjects)]
    consents = {}
    for holder, signals in SIGNALS.items():
        it.network.enrol_many(holder, dict.fromkeys(people, signals))
        consents[holder] = it.network.consent("bank-a", people, holders=[holder], max_uses=10**6)
    found: dict[str, dict[str, list[float]]] = {
        name: {DIRECT: [], HIDDEN: []} for name in ("batch, subjects/s", "calls/s", "call, ms")
    }
    for number in range(arguments.rounds + 1):
        for holder in (DIRECT, HIDDEN):
            batch = _batch(it, consents[holder])
            rate, median_ms = _calls(it, consents[holder], arguments.calls, arguments.callers)
            if number:  # the first one warms caches and connections
                found["batch, subjects/s"][holder].append(batch)
                found["calls/s"][holder].append(rate)
                found["call, ms"][holder].append(median_ms)
    return {
        name: {
            "direct": statistics.median(by[DIRECT]),
            "relayed": statistics.median(by[HIDDEN]),
            "ratio": statistics.median(by[HIDDEN]) / statistics.median(by[DIRECT]),
        }
        for name, by in found.items()
    }


def _batch(it: World, consents: list[Any]) -> float:
    started = time.perf_counter()
    report = it.fetch(consents, deadline_s=120)
    assert report.complete
    return len(consents) / (time.perf_counter() - started)


def _calls(it: World, consents: list[Any], calls: int, callers: int) -> tuple[float, float]:
    def one(index: int) -> float:
        started = time.perf_counter()
        assert it.fetch([consents[index % len(consents)]], deadline_s=30).complete
        return (time.perf_counter() - started) * 1000

    started = time.perf_counter()
    with ThreadPoolExecutor(callers) as pool:
        times = list(pool.map(one, range(calls)))
    return calls / (time.perf_counter() - started), statistics.median(times)


def _print(figures: dict[str, dict[str, float]]) -> None:
    print(f"{'':<20}{'direct':>12}{'relayed':>12}{'ratio':>8}")
    for name, row in figures.items():
        print(f"{name:<20}{row['direct']:>12,.1f}{row['relayed']:>12,.1f}{row['ratio']:>8.2f}")


if __name__ == "__main__":
    main()
