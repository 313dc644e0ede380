"""The audit log beside raw fsync, in the same run.

    python -m benchmarks.audit [--leaves 1000000] [--seconds 2] [--dir DIR] [--without-postgresql]

Floors: appending the same bytes to a file with an `fdatasync` after each batch (durable appends,
receipts), and the same act on the same server with the head's row locked in it (staging).
`cold` is a new connection after the file was dropped from the page cache.
"""

import argparse
import logging
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import structlog
from sqlalchemy import event, text

from audit.database import Connection
from audit.leaf import Entry
from audit.merkle import Frontier, leaf_hash, verify_inclusion
from audit.receipts import sign_promise
from audit.store import Appended, Submitted
from audit.verifier import verify_path
from node.group_commit import GroupCommit
from protocols.keys import SigningKey
from tests.audit.world import World, entry, open_world
from tests.postgresql import programs, serving

ENTRY_BYTES = 600  # what an entry is in all its rows, about
ANNA = b"a" * 32
CLIENTS, PROCESSES = 32, 4


def main() -> None:
    """Measure, and print each figure beside its floor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leaves", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--dir", type=Path, default=None, help="where to write")
    parser.add_argument("--without-postgresql", action="store_true")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory(dir=options.dir) as folder:
        home = Path(folder)
        _durable_appends(home, options.seconds)
        _receipts(home, options.seconds)
        if programs() is not None and not options.without_postgresql:
            _staging(home, options.seconds)
        _large_log(home, options.leaves)


def _line(name: str, figure: str, beside: str = "", bar: str = "") -> None:
    print(f"{name:<46} {figure:>22}  {beside:<44} {bar}", flush=True)


# -- durable appends


def _fsyncs(home: Path, batch: int, seconds: float) -> float:
    """Batches a second that a file takes with a flush to disk after each."""
    data = os.urandom(ENTRY_BYTES * batch)
    with (home / "floor").open("wb", buffering=0) as stream:
        stream.write(bytes(len(data) * 512))  # as a write-ahead log is: overwritten, not grown
        os.fsync(stream.fileno())
        ended, count = time.perf_counter() + seconds, 0
        while time.perf_counter() < ended:
            if count % 512 == 0:
                stream.seek(0)
            stream.write(data)
            os.fdatasync(stream.fileno())
            count += 1
    return count / seconds


def _durable_appends(home: Path, seconds: float) -> None:
    for batch in (1, 32, 256):
        world = open_world(home / f"batch-{batch}")
        floors, rates = [], []
        for turn in range(4):  # floor and figure in turns: the disk's speed changes
            floors.append(_fsyncs(home, batch, seconds / 4))
            ended, count = time.perf_counter() + seconds / 4, 0
            start = time.perf_counter()
            while time.perf_counter() < ended:
                world.append(*(entry(turn * 100_000 + count + at) for at in range(batch)))
                count += batch
            rates.append(count / (time.perf_counter() - start))
        world.close()
        fsyncs, rate = statistics.mean(floors), statistics.mean(rates)
        _line(
            f"SQLite, {batch} in flight a batch",
            f"{rate:,.0f} appends/s",
            f"{rate / fsyncs:.1f} x {fsyncs:,.0f} fsync/s",
            "bar: 30 x at 32" if batch == 32 else "",
        )


def _receipts(home: Path, seconds: float) -> None:
    callers = 64
    world = open_world(home / "receipts")
    world.fill(1000)

    key = SigningKey.generate()

    def commit(entries: Sequence[Entry]) -> list[bytes]:
        """The promises of a group, as a score's caller gets one; handed out after the commit."""
        with world.database.write() as connection:
            done = world.log.append_many(connection, entries)
            return [sign_promise(key, world.log.origin, one.seq, one.leaf_hash) for one in done]

    group: GroupCommit[Entry, bytes] = GroupCommit(commit, 256)

    def act(number: int) -> None:
        group.submit(entry(number, subject=number.to_bytes(32, "big")))

    for known in range(callers):
        act(known)
    took = _callers(callers, seconds, lambda caller, _: act(caller))
    world.close()
    fsync_ms = 1000 / _fsyncs(home, 1, 0.5)
    _line(
        f"entry to receipt, {callers} callers, SQLite",
        _percentiles(took),
        f"{len(took) / seconds:,.0f} receipts/s; one fsync {fsync_ms:.1f} ms",
        "bar: p99 < 100 ms + one fsync",
    )


def _proved(world: World, done: Appended) -> None:
    with world.database.read() as connection:
        head = world.log.head(connection)
        proof = world.log.inclusion_proof(done.seq, head.size, connection)
    verify_inclusion(done.seq, head.size, done.leaf_hash, proof, head.root)


def _callers(count: int, seconds: float, act: Callable[[int, int], None]) -> list[float]:
    """Seconds that each act took, of `count` callers that call again and again."""
    ended = time.perf_counter() + seconds

    def call(caller: int) -> list[float]:
        took, turn = [], 0
        while (began := time.perf_counter()) < ended:
            act(caller, turn)
            took.append(time.perf_counter() - began)
            turn += 1
        return took

    with ThreadPoolExecutor(count) as pool:
        return [one for some in pool.map(call, range(count)) for one in some]


def _percentiles(took: Sequence[float]) -> str:
    cut = statistics.quantiles(took, n=100)
    return f"p50 {cut[49] * 1000:.1f} p99 {cut[98] * 1000:.1f} ms"


# -- PostgreSQL


def _staging(home: Path, seconds: float) -> None:
    with serving("max_connections=200", durable=True) as server:
        url = server.url()
        world = open_world(home / "server", url)
        with world.database.write() as connection:
            connection.execute(text("CREATE TABLE business (number BIGINT)"))
        sequencer = world.log.sequencer
        assert sequencer is not None
        sequencer.start()
        rates: dict[bool, list[float]] = {False: [], True: []}
        with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
            list(pool.map(_clients, [(url, world.home, True, 0.1)] * PROCESSES))  # loaded, known
            for turn in range(6):  # floor and figure in turns
                parallel = turn % 2 == 1
                size, began = world.log.head().size, time.perf_counter()
                work = (url, world.home, parallel, seconds / 3)
                acts = sum(pool.map(_clients, [work] * PROCESSES))
                while world.log.head().size < size + acts:  # each has its number
                    time.sleep(0.001)
                rates[parallel].append(acts / (time.perf_counter() - began))

        def act(caller: int, turn: int) -> None:
            world.log.wait(_act(world, caller, turn, parallel=True))

        waits = _callers(CLIENTS, seconds, act)
        sequencer.stop()
        world.close()
    locked, staged = (statistics.mean(rates[parallel]) for parallel in (False, True))
    _line(
        f"PostgreSQL, {CLIENTS} clients of {PROCESSES} processes",
        f"{staged:,.0f} acts/s",
        f"{staged / locked:.1f} x {locked:,.0f} acts/s under the head's lock",
        "bar: 5 x",
    )
    _line(
        f"  {CLIENTS} of one process, act to number",
        _percentiles(waits),
        f"{len(waits) / seconds:,.0f} acts/s",
    )


def _clients(work: tuple[str, Path, bool, float]) -> int:
    """What one process of clients does; how many acts."""
    url, home, parallel, seconds = work
    world = open_world(home, url)

    def act(caller: int, turn: int) -> None:
        _act(world, caller, turn, parallel=parallel)

    took = _callers(CLIENTS // PROCESSES, seconds, act)
    world.close()
    return len(took)


def _act(world: World, caller: int, turn: int, *, parallel: bool) -> list[Submitted]:
    with world.database.write(parallel=parallel) as connection:
        _business(connection, caller)
        if parallel:
            return world.log.submit(connection, [entry(turn)])
        world.log.append(connection, entry(turn))
        return []


def _business(connection: Connection, number: int) -> None:
    connection.exec_driver_sql("INSERT INTO business VALUES (%(n)s)", {"n": number})


# -- a large log


def _large_log(home: Path, leaves: int) -> None:
    world = open_world(home / "large")
    world.prefill(leaves)  # of one content: what is measured does not look inside
    size = world.log.head().size
    picked = [random.Random(7).randrange(size) for _ in range(300)]  # noqa: S311
    warm = list(_timed(lambda seq: world.log.inclusion_proof(seq, size), picked[:50] + picked))[50:]
    _line(f"inclusion proof at {size:,}, warm", _percentiles(warm), bar="bar: < 1 ms")
    cold = []
    for seq in picked[:100]:
        with _dropped(world):
            cold += _timed(lambda seq: world.log.inclusion_proof(seq, size), [seq])
    _line(f"inclusion proof at {size:,}, cold", _percentiles(cold), bar="bar: < 5 ms")
    head, proof = world.log.head(), world.log.inclusion_proof(picked[0], size)
    with world.database.read() as connection:
        (row,) = world.log.leaves(connection, picked[0], picked[0] + 1)
    verified = list(
        _timed(
            lambda seq: verify_inclusion(seq, size, row.leaf_hash, proof, head.root),
            [picked[0]] * 3000,
        )
    )
    _line("its verification", f"{statistics.median(verified) * 1e6:.0f} us", bar="bar: < 50 us")
    began = time.perf_counter()
    with world.database.read() as connection:
        rows = world.log.leaves(connection, 0, size)
        root = Frontier().extend(leaf_hash(leaf) for _, leaf, _ in rows).root()
    assert root == head.root
    rate = size / (time.perf_counter() - began)
    _line("every leaf hashed again, one core", f"{rate:,.0f} leaves/s", bar="bar: 300,000/s")
    began = time.perf_counter()
    report = verify_path(world.home)
    assert report.root == head.root
    rate = size / (time.perf_counter() - began)
    _line("verified: form, hashes, ciphertexts, tiles, index", f"{rate:,.0f} leaves/s")
    _erasures(home, world, size)
    world.close()


def _timed(act: Callable[[int], object], arguments: Sequence[int]) -> Iterator[float]:
    for argument in arguments:
        began = time.perf_counter()
        act(argument)
        yield time.perf_counter() - began


@contextmanager
def _dropped(world: World) -> Iterator[None]:
    """With no connection open and nothing of the database in memory."""
    world.database.engine.dispose()
    for file in world.home.glob("node.db*"):
        handle = os.open(file, os.O_RDONLY)
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)
    with world.database.read() as connection:
        connection.execute(text("PRAGMA schema_version"))
    yield


def _erasures(home: Path, large: World, size: int) -> None:
    small = open_world(home / "small")
    for world, name in ((small, "10,000"), (large, f"{size + 10_000:,}")):
        for start in range(0, 10_000, 500):
            world.append(*(entry(start + at, subject=ANNA) for at in range(500)))
        commits = 0

        def count(_: object) -> None:
            nonlocal commits
            commits += 1

        event.listen(world.database.engine, "commit", count)
        began = time.perf_counter()
        with world.database.write() as connection:
            erasure, _ = world.log.erase(connection, ANNA, actor="operator", at_ms=1)
        took = time.perf_counter() - began
        assert erasure.keys == 1
        assert world.log.about(ANNA) == []
        _line(
            f"erasure of 10,000 leaves in a log of {name}",
            f"{took * 1000:.0f} ms",
            f"{commits} commit",
            "bar: one commit, of any log",
        )
    small.close()


if __name__ == "__main__":
    main()
