"""`POST /v1/scores` with cached signals, beside its floor: a bare route on the same server.

    python -m benchmarks.score_api [--seconds 5] [--callers 1,8,32] [--json]

One serving process, callers in a process of their own over kept connections, loopback. Every score
is a consent check, an evaluation with reasons and a durable commit with its audit leaf. There are
two floors that return the same body: an `async` route, and a plain one, which FastAPI runs in a
thread as it does for most handlers that are written. Loads take turns, so that what else the
machine does falls on all alike; a figure is the median of its turns.
"""

import argparse
import http.client
import json
import logging
import multiprocessing
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import structlog
from fastapi import Response

from api.http.app import create_app
from api.http.late import settle
from api.http.server import HttpServer
from tests.network import now_ms
from tests.node.scoring_world import open_world, ref

PEOPLE = 200
FLOORS = ("/floor/async", "/floor/sync")


def main() -> None:
    """Measure and print one line a load."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each load, in all")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--callers", default="1,8,32")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    silent = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=silent)
    callers = [int(number) for number in arguments.callers.split(",")]
    figures = measure(callers, arguments.seconds / arguments.turns, arguments.turns)
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    print(f"{'load':<30}{'per second':>12}{'p50 ms':>10}{'p99 ms':>10}{'rate':>8}{'p99':>8}")
    for one in figures:
        print(
            f"{one['path'] + ', ' + str(one['callers']) + ' callers':<30}{one['rate']:>12.0f}"
            f"{one['p50_ms']:>10.2f}{one['p99_ms']:>10.2f}"
            f"{one['rate_to_async']:>8.3f}{one['p99_to_async']:>8.1f}"
        )


def measure(callers: list[int], seconds: float, turns: int) -> list[dict[str, Any]]:
    """Figures of every load; ratios are to the floors at the same number of callers."""
    with tempfile.TemporaryDirectory() as folder, open_world(Path(folder)) as world:
        calls, answer = [], b""
        for one in world.enrol(*range(1, PEOPLE + 1)):
            terms = world.consent(one, max_uses=1_000_000)
            answer = world.score(one, terms).body.encode()  # asks the holders once
            body = {"subject": ref(one), "consent_id": terms.consent_id, "purpose": "score"}
            calls.append(json.dumps(body).encode())
        row, token = world.clients.add("bench", now_ms())
        world.clients.limit(row.client_id, now_ms(), rate=1e5, burst=100_000, daily_quota=10**9)
        app = create_app(world.node)

        @app.post(FLOORS[0])
        async def floor() -> Response:
            return Response(answer, status_code=201, media_type="application/json")

        @app.post(FLOORS[1])
        def threaded() -> Response:
            return Response(answer, status_code=201, media_type="application/json")

        server = HttpServer(app, "127.0.0.1:0")
        server.start()
        settle()
        paths = (*FLOORS, "/v1/scores")
        for path in paths:  # caches and statements as in the long run
            load(server.port, path, token, calls, 8, 0.5)
        found = [
            _figures(
                number,
                {
                    turn: [load(server.port, path, token, calls, number, seconds) for path in paths]
                    for turn in range(turns)
                },
                paths,
            )
            for number in callers
        ]
        server.stop()
    return [one for group in found for one in group]


def _figures(
    callers: int, turns: dict[int, list[tuple[float, float, float]]], paths: tuple[str, ...]
) -> list[dict[str, Any]]:
    medians = {
        path: [statistics.median(turn[place][kind] for turn in turns.values()) for kind in range(3)]
        for place, path in enumerate(paths)
    }
    return [
        {
            "path": path,
            "callers": callers,
            "rate": rate,
            "p50_ms": p50,
            "p99_ms": p99,
            "rate_to_async": rate / medians[FLOORS[0]][0],
            "p99_to_async": p99 / medians[FLOORS[0]][2],
            "rate_to_sync": rate / medians[FLOORS[1]][0],
            "p99_to_sync": p99 / medians[FLOORS[1]][2],
        }
        for path, (rate, p50, p99) in medians.items()
    ]


def load(
    port: int, path: str, token: str, calls: list[bytes], callers: int, seconds: float
) -> tuple[float, float, float]:
    """Requests a second, median and 99th percentile in ms, seen by `callers` at once."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(
        target=_call, args=(port, path, token, calls, callers, seconds, results)
    )
    process.start()
    times: list[float] = results.get()
    process.join()
    ordered = sorted(times)
    return len(times) / seconds, statistics.median(ordered) * 1e3, _p99(ordered) * 1e3


def _p99(ordered: list[float]) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


def _call(
    port: int,
    path: str,
    token: str,
    calls: list[bytes],
    callers: int,
    seconds: float,
    results: "multiprocessing.Queue[list[float]]",
) -> None:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    times: list[float] = []
    ends = time.perf_counter() + seconds

    def one(offset: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        number = offset
        while (began := time.perf_counter()) < ends:
            connection.request("POST", path, calls[number % len(calls)], headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status >= 400:
                raise SystemExit(f"{path} answered {answer.status}")
            times.append(time.perf_counter() - began)
            number += callers
        connection.close()

    threads = [threading.Thread(target=one, args=(offset,)) for offset in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put(times)


if __name__ == "__main__":
    main()
