"""100,000 people enrolled 3-of-5, beside the floor: the scalar multiplications that it takes.

    python -m benchmarks.pseudonyms [--identifiers 100000] [--processes N] [--json FILE]

The client and all trustees share as many cores as there are processes for the floor. The protocol
needs, a person: one multiplication to blind, and for each of the three trustees one to evaluate,
one to prove, two to verify and one to combine: sixteen. The floor is how many multiplications as
many processes make in a second when they do nothing else, divided by sixteen; it is measured
before and after, in the same run. Client code, cache and database are those of a node; only the
wire is left out.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from audit.database import Database
from node.enrolment.pseudonyms import PseudonymService
from node.storage.schema import ensure_schema
from protocols import ristretto
from protocols.enrolment import (
    MULTIPLICATIONS_PER_IDENTIFIER,
    MULTIPLICATIONS_PER_IDENTIFIER_AND_TRUSTEE,
    Evaluated,
    evaluate_batch,
    split_elements,
)
from protocols.legal_ids import check_digit
from protocols.ristretto import Scalar
from tests.trustees import MemoryTrustees, hold_ceremony

THRESHOLD, TRUSTEES = 3, 5
NAMES = ("bank-a", "bank-b", "bank-c", "payments", "public-records")
FLOOR_S = 3.0
TARGET = 0.6
PER_PERSON = MULTIPLICATIONS_PER_IDENTIFIER + THRESHOLD * MULTIPLICATIONS_PER_IDENTIFIER_AND_TRUSTEE


class PooledTrustees(MemoryTrustees):
    """Trustees whose arithmetic runs in processes, as nodes are processes."""

    def __init__(self, trustees: MemoryTrustees, pool: ProcessPoolExecutor) -> None:
        super().__init__(trustees.made)
        self._pool = pool

    def evaluate(self, trustee: str, epoch: int, blinded: bytes) -> Evaluated:
        """As a trustee's node answers."""
        made = self._of(epoch)
        index = made.key.index(trustee)
        return self._pool.submit(_evaluate, made.shares[trustee], index, blinded).result()


def _evaluate(share: Scalar, index: int, blinded: bytes) -> Evaluated:
    return evaluate_batch(share, index, split_elements(blinded))


def main() -> None:
    """Measure and print a small table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--identifiers", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    facts = measure(arguments.identifiers, arguments.processes)
    print(f"{facts['identifiers']:,} identifiers, {THRESHOLD} of {TRUSTEES}, "
          f"{facts['processes']} processes")  # fmt: skip
    print(f"{'enrolled':<36}{facts['per_second']:>10.0f} a second")
    print(f"{'floor: ' + str(PER_PERSON) + ' multiplications each':<36}"
          f"{facts['floor_per_second']:>10.0f} a second")  # fmt: skip
    print(f"{'ratio':<36}{facts['ratio']:>10.2f} (at least {TARGET})")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(facts, indent=2) + "\n")


def measure(number: int, processes: int) -> dict[str, Any]:
    """Enrol `number` people on `processes` cores."""
    # Inherited by all processes: client, trustees and floor have the same cores and no others.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:processes])
    people = [_identifier(one) for one in range(number)]
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(processes, mp_context=context) as pool,
    ):
        before = _floor(pool, processes)
        trustees = PooledTrustees(
            MemoryTrustees([hold_ceremony(1, THRESHOLD, NAMES[:TRUSTEES])]), pool
        )
        database = Database(f"sqlite:///{folder}/node.db")
        ensure_schema(database)
        service = trustees.service(database, processes=processes)
        seconds = _enrol(service, people)
        again = _enrol(service, people)
        after = _floor(pool, processes)
        database.close()
    floor = (before + after) / 2 / PER_PERSON
    return {
        "identifiers": number,
        "processes": processes,
        "multiplications_each": PER_PERSON,
        "seconds": round(seconds, 2),
        "seconds_again": round(again, 2),
        "per_second": round(number / seconds, 1),
        "floor_per_second": round(floor, 1),
        "ratio": round(number / seconds / floor, 3),
        "target": TARGET,
    }


def _enrol(service: PseudonymService, people: list[str]) -> float:
    began = time.perf_counter()
    service.pseudonyms(people)
    return time.perf_counter() - began


def _floor(pool: ProcessPoolExecutor, processes: int) -> float:
    """Multiplications a second of all processes together."""
    list(pool.map(_multiply, [0.2] * processes))  # every process has started
    return sum(pool.map(_multiply, [FLOOR_S] * processes))


def _multiply(seconds: float) -> float:
    k = ristretto.random_scalar()
    point = ristretto.multiply_base(k)
    began, made = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        for _ in range(100):
            point = ristretto.multiply(k, point)
        made += 100
    return made / (time.perf_counter() - began)


def _identifier(number: int) -> str:
    rest, sequence = divmod(number, 1000)
    division, day = divmod(rest, 28)
    body = f"99{division:04d}197001{day + 1:02d}{sequence:03d}"
    return body + check_digit(body)


if __name__ == "__main__":
    main()
