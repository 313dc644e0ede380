"""The sealed exchange over mutual TLS beside its floor, a bare gRPC echo, in one run.

    python -m benchmarks.exchange [--subjects 10000] [--calls 3000] [--callers 32] [--rounds 3]
                                  [--suite 1|2] [--memory 1000000] [--json FILE]

Floor and exchange have the same threads at both ends, the same certificates and messages of the
same size. One exchange is: make and sign the request, mutual TLS, the holder's checks, consent
decision, counted use, release record, audit leaf and durable commit, seal, and open. Rounds
alternate between the two, so that a busy machine is busy for both. The holder is a process of its
own; `CPU ms` is the processor time it used per subject. `--memory` serves that many subjects in
one stream and watches the holder's resident memory.
"""

import argparse
import json
import logging
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import structlog

from benchmarks.exchange_holder import ECHO, Holder, holder
from node.exchange.pipeline import Pipeline, Sent
from node.network.transport import TransportLimits, open_channel
from protocols.certificates import member_dns
from protocols.envelope import Limits, OutgoingRequest, open_answer
from protocols.v1.exchange_pb2 import SealedAnswer
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
        p50_ms: median time of a call; of a request of 256 subjects for a batch.
        p99_ms: its 99th percentile.
    """

    name: str
    per_second: float
    cpu_ms: float
    p50_ms: float
    p99_ms: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=10_000)
    parser.add_argument("--calls", type=int, default=3000)
    parser.add_argument("--callers", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--suite", type=int, default=2)
    parser.add_argument("--memory", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with (
        tempfile.TemporaryDirectory() as folder,
        holder(Path(folder), arguments.subjects, arguments.suite) as it,
    ):
        loads = _loads(it, arguments.calls, arguments.callers, arguments.rounds)
        memory = _memory(it, arguments.memory) if arguments.memory else None
    figures = _figures(loads, memory)
    _print(loads, figures, memory)
    if arguments.json:
        told = {"loads": [asdict(one) for one in loads], "figures": figures, "memory_mb": memory}
        arguments.json.write_text(json.dumps(told, indent=2))


def _loads(it: Holder, calls: int, callers: int, rounds: int) -> list[Load]:
    sizes = _sizes(it)
    names = f"echo, {callers} in flight", f"unary, {callers} in flight", "batch, one stream"
    found: dict[str, list[Load]] = {name: [] for name in names}
    _measure("warm", it, lambda: _batch(it, len(it.terms)))  # every person's data key is made
    for _ in range(rounds):
        for name, run in (
            (names[0], lambda: _echo(it, calls, callers, sizes)),
            (names[1], lambda: _unary(it, calls, callers)),
            (names[2], lambda: _batch(it, len(it.terms))),
        ):
            found[name].append(_measure(name, it, run))
    return [_median(name, some) for name, some in found.items()]


def _measure(name: str, it: Holder, run: Callable[[], tuple[int, list[float]]]) -> Load:
    before, began = _cpu_s(it.pid), time.perf_counter()
    number, times = run()
    wall, cpu = time.perf_counter() - began, _cpu_s(it.pid) - before
    p50, p99 = (sorted(times)[int(len(times) * at)] * 1000 for at in (0.5, 0.99))
    return Load(name, number / wall, cpu / number * 1000, p50, p99)


def _median(name: str, some: Sequence[Load]) -> Load:
    def middle(field: str) -> float:
        return float(statistics.median(getattr(one, field) for one in some))

    return Load(name, middle("per_second"), middle("cpu_ms"), middle("p50_ms"), middle("p99_ms"))


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
    print(f"{'load':<26}{'per second':>12}{'CPU ms':>10}{'p50 ms':>10}{'p99 ms':>10}")
    for one in loads:
        print(
            f"{one.name:<26}{one.per_second:>12.0f}{one.cpu_ms:>10.3f}"
            f"{one.p50_ms:>10.2f}{one.p99_ms:>10.2f}"
        )
    if memory:
        print("holder's resident memory, MB:", *(f"{one:.0f}" for one in memory))
    print()
    for name, figure in figures.items():
        verdict = "reached" if figure["reached"] else "MISSED"
        print(f"{name:<34}{figure['measured']:>8.2f}   bound {figure['bound']:<8} {verdict}")


# -- loads


def _sizes(it: Holder) -> tuple[int, int]:
    """Bytes of one subject's request and answer on the wire."""
    request = it.request(it.terms[:1])
    answer = ExchangeStub(it.bank.channels.to_member("payments")).Fetch(request.message, timeout=60)
    return request.message.ByteSize(), answer.ByteSize()


def _echo(it: Holder, calls: int, callers: int, sizes: tuple[int, int]) -> tuple[int, list[float]]:
    asked = sizes[1].to_bytes(4, "big") + bytes(sizes[0] - 4)
    identity = it.bank.identity()
    with open_channel(
        f"127.0.0.1:{it.echo_port}", member_dns("payments"), identity.ca, identity,
        TransportLimits(),
    ) as channel:  # fmt: skip
        call: Callable[..., bytes] = channel.unary_unary(ECHO)
        return _spread(lambda _: call(asked, timeout=60), calls, callers)


def _unary(it: Holder, calls: int, callers: int) -> tuple[int, list[float]]:
    fetch = ExchangeStub(it.bank.channels.to_member("payments")).Fetch

    def exchange(number: int) -> None:
        at = number % len(it.terms)
        request = it.request(it.terms[at : at + 1])
        _open(it, request, fetch(request.message, timeout=60))

    return _spread(exchange, calls, callers)


def _batch(
    it: Holder, subjects: int, told: Callable[[int], None] = lambda _: None
) -> tuple[int, list[float]]:
    stub = ExchangeStub(it.bank.channels.to_member("payments"))
    pipeline = Pipeline(_requests(it, subjects), WINDOW)
    times, done = [], 0
    for answer in stub.FetchBatch(pipeline.messages(), timeout=1700):
        sent = pipeline.answered()
        _open(it, sent.request, answer)
        times.append(time.monotonic() - sent.sent_at)
        done += len(sent.people)
        told(done)
    return done, times


def _requests(it: Holder, subjects: int) -> Iterator[Sent]:
    at, size = 0, Limits().max_queries
    while subjects > 0:
        some = it.terms[at : at + min(size, subjects)]
        yield Sent(some, it.request(some))
        subjects -= len(some)
        at = at + size if at + size < len(it.terms) else 0


def _memory(it: Holder, subjects: int) -> list[float]:
    """Resident memory of the holder while it serves, MB: after a tenth, at each fifth, at the end.

    The first tenth fills what has a fixed size: caches, pools, SQLite's pages.
    """
    seen: list[float] = []
    marks = [subjects // 10, *(subjects * fifth // 5 for fifth in range(1, 6))]

    def told(done: int) -> None:
        if done >= marks[len(seen)]:
            seen.append(psutil.Process(it.pid).memory_info().rss / 2**20)

    _batch(it, subjects, told)
    return seen


def _open(it: Holder, request: OutgoingRequest, answer: SealedAnswer) -> None:
    opened = open_answer(request, answer, it.bank.documents.directory())
    if any(one.refusal for one in opened.answers):
        raise SystemExit("a subject was refused")


def _spread(exchange: Callable[[int], object], calls: int, callers: int) -> tuple[int, list[float]]:
    times: list[float] = []

    def one(offset: int) -> None:
        for number in range(offset, calls, callers):
            began = time.perf_counter()
            exchange(number)
            times.append(time.perf_counter() - began)

    threads = [threading.Thread(target=one, args=(offset,)) for offset in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(times) != calls:
        raise SystemExit("a call failed")
    return calls, times


def _cpu_s(pid: int) -> float:
    used = psutil.Process(pid).cpu_times()
    return float(used.user + used.system)


if __name__ == "__main__":
    main()
