"""The sealed exchange over mutual TLS beside its floor, a bare gRPC echo, in one run.

    python -m benchmarks.exchange [--subjects 10000] [--calls 3000] [--callers 32] [--processes 1]
        [--rounds 3] [--suite 1|2] [--no-engine] [--memory 1000000] [--json FILE]

Floor and exchange are asked and served by event loops of the same kind, with the same certificates
and messages of the same size. One exchange is: make and sign the request, mutual TLS, the holder's
checks, consent decision, counted use, release record, audit leaf and durable commit, seal, and
open. Rounds alternate between the two, so that a busy machine is busy for both. `CPU ms` is the
processor time that the holder's and the callers' processes used for a subject or call. `--memory`
serves that many subjects in one stream and watches the holder's resident memory.
"""

import argparse
import json
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import structlog

from benchmarks.exchange_callers import Caller, Callers, Times, callers
from benchmarks.exchange_holder import Holder, holder
from node.exchange.pipeline import Pipeline, Sent
from protocols.envelope import Limits
from protocols.v1.exchange_pb2_grpc import ExchangeStub

WINDOW = 3
UNARY_SHARE, P99_TIMES, BATCH_TIMES, MEMORY_GROWTH = 0.4, 5.0, 5.0, 1.1


@dataclass(frozen=True)
class Load:
    """What one load came to.

    Attributes:
        name: of the load.
        per_second: subjects, or calls of the echo, a second.
        cpu_ms: of the holder, for each of them.
        caller_cpu_ms: of the callers.
        p50_ms: median time of a call; of a request of 256 subjects for a batch.
        p99_ms: its 99th percentile.
    """

    name: str
    per_second: float
    cpu_ms: float
    caller_cpu_ms: float
    p50_ms: float
    p99_ms: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=10_000)
    parser.add_argument("--calls", type=int, default=3000)
    parser.add_argument("--callers", type=int, default=32)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--suite", type=int, default=2)
    parser.add_argument("--no-engine", action="store_true")
    parser.add_argument("--memory", type=int, default=0)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with (
        tempfile.TemporaryDirectory() as folder,
        holder(Path(folder), chosen.subjects, chosen.suite, engine=not chosen.no_engine) as it,
        callers(it.asking, chosen.processes, chosen.callers) as many,
    ):
        one = Caller(it.asking)
        loads = _loads(it, one, many, chosen.calls, chosen.rounds)
        memory = _memory(it, one, chosen.memory) if chosen.memory else None
        one.close()
    figures = _figures(loads, memory)
    _print(loads, figures, memory)
    if chosen.json:
        told = {"loads": [asdict(load) for load in loads], "figures": figures, "memory_mb": memory}
        chosen.json.write_text(json.dumps(told, indent=2))


def _loads(it: Holder, one: Caller, many: Callers, calls: int, rounds: int) -> list[Load]:
    sizes, people = one.sizes(), len(it.asking.people)
    runs: dict[str, Callable[[], Times]] = {
        "echo": lambda: many.echo(calls, sizes),
        "unary": lambda: many.unary(calls),
        "batch": lambda: _batch(one, people),
    }
    found: dict[str, list[Load]] = {name: [] for name in runs}
    _batch(one, people)  # every person's data key is made
    many.unary(256)
    many.echo(256, sizes)
    for _ in range(rounds):
        for name, run in runs.items():
            subjects = people if name == "batch" else calls
            found[name].append(_measure(name, it, subjects, run))
    return [_median(name, some) for name, some in found.items()]


def _measure(name: str, it: Holder, subjects: int, run: Callable[[], Times]) -> Load:
    before, began = it.cpu_s(), time.perf_counter()
    times = run()
    wall, cpu = time.perf_counter() - began, it.cpu_s() - before
    p50, p99 = (sorted(times.calls)[int(len(times.calls) * at)] * 1000 for at in (0.5, 0.99))
    each = 1000 / subjects
    return Load(name, subjects / wall, cpu * each, times.cpu_s * each, p50, p99)


def _median(name: str, some: Sequence[Load]) -> Load:
    def middle(field: str) -> float:
        return float(statistics.median(getattr(one, field) for one in some))

    return Load(name, *(middle(field.name) for field in fields(Load) if field.name != "name"))


def _figures(loads: Sequence[Load], memory: Sequence[float] | None) -> dict[str, Any]:
    echo, unary, batch = loads
    rows = {
        "unary calls/s over echo's": (unary.per_second / echo.per_second, ">=", UNARY_SHARE),
        "unary p99 over echo's": (unary.p99_ms / echo.p99_ms, "<=", P99_TIMES),
        "batch subjects/s over unary's": (batch.per_second / unary.per_second, ">=", BATCH_TIMES),
    }
    if memory:
        rows["holder's memory, end over start"] = (memory[-1] / memory[0], "<=", MEMORY_GROWTH)
    return {
        name: {
            "measured": round(measured, 3),
            "bound": f"{sign} {bound}",
            "reached": measured >= bound if sign == ">=" else measured <= bound,
        }
        for name, (measured, sign, bound) in rows.items()
    }


def _print(loads: Sequence[Load], figures: dict[str, Any], memory: Sequence[float] | None) -> None:
    print(f"{'load':<26}{'per second':>12}{'CPU ms':>10}{'caller':>10}{'p50 ms':>10}{'p99 ms':>10}")
    for one in loads:
        print(
            f"{one.name:<26}{one.per_second:>12.0f}{one.cpu_ms:>10.3f}{one.caller_cpu_ms:>10.3f}"
            f"{one.p50_ms:>10.2f}{one.p99_ms:>10.2f}"
        )
    if memory:
        print("holder's resident memory, MB:", *(f"{one:.0f}" for one in memory))
    print()
    for name, figure in figures.items():
        verdict = "reached" if figure["reached"] else "MISSED"
        print(f"{name:<34}{figure['measured']:>8.2f}   bound {figure['bound']:<8} {verdict}")


# -- loads


def _batch(one: Caller, subjects: int, told: Callable[[int], None] = lambda _: None) -> Times:
    pipeline = Pipeline(_requests(one, subjects), WINDOW)
    times, done, began = [], 0, time.process_time()
    for answer in ExchangeStub(one.exchange).FetchBatch(pipeline.messages(), timeout=1700):
        sent = pipeline.answered()
        one.open(sent.request, answer)
        times.append(time.monotonic() - sent.sent_at)
        done += len(sent.people)
        told(done)
    if done != subjects:
        raise SystemExit("a subject was not answered")
    return Times(times, time.process_time() - began)


def _requests(one: Caller, subjects: int) -> Iterator[Sent]:
    at, size, people = 0, Limits().max_queries, one.asking.people
    while subjects > 0:
        some = people[at : at + min(size, subjects)]
        yield Sent(some, one.request(some))
        subjects -= len(some)
        at = at + size if at + size < len(people) else 0


def _memory(it: Holder, one: Caller, subjects: int) -> list[float]:
    """Resident memory of the holder while it serves, MB: after a tenth, at each fifth, at the end.

    The first tenth fills what has a fixed size: caches, pools, SQLite's pages.
    """
    seen: list[float] = []
    marks = [subjects // 10, *(subjects * fifth // 5 for fifth in range(1, 6))]

    def told(done: int) -> None:
        if len(seen) < len(marks) and done >= marks[len(seen)]:
            seen.append(it.resident_mb())

    _batch(one, subjects, told)
    return seen


if __name__ == "__main__":
    main()
