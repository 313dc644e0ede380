"""`POST /v1/scores` with cached signals, beside its floor: a bare route on the same server.

    python -m benchmarks.score_api [--seconds 5] [--callers 1,8,32]

One serving process, callers in a process of their own over kept connections, loopback. Every score
is a consent check, an evaluation with reasons and a durable commit with its audit leaf.
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

import structlog
from fastapi import Response

from api.http.app import create_app
from api.http.server import HttpServer
from tests.network import now_ms
from tests.node.scoring_world import open_world, ref

PEOPLE = 200


def main() -> None:
    """Measure and print one line a load."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--callers", default="1,8,32")
    arguments = parser.parse_args()
    silent = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=silent)
    callers = [int(number) for number in arguments.callers.split(",")]
    with tempfile.TemporaryDirectory() as folder, open_world(Path(folder)) as world:
        calls, answer = [], b""
        for one in world.enrol(*range(1, PEOPLE + 1)):
            terms = world.consent(one, max_uses=1_000_000)
            answer = world.score(one, terms).body.encode()  # asks the holders once
            body = {"subject": ref(one), "consent_id": terms.consent_id, "purpose": "score"}
            calls.append(json.dumps(body).encode())
        _, token = world.clients.add("bench", now_ms())
        app = create_app(world.node)

        @app.post("/floor")
        async def floor() -> Response:
            return Response(answer, status_code=201, media_type="application/json")

        server = HttpServer(app, "127.0.0.1:0")
        server.start()
        print(f"{'load':<28}{'per second':>12}{'p50 ms':>10}{'p99 ms':>10}")
        for path in ("/floor", "/v1/scores"):
            for number in callers:
                rate, p50, p99 = load(server.port, path, token, calls, number, arguments.seconds)
                print(f"{path + f', {number} callers':<28}{rate:>12.0f}{p50:>10.2f}{p99:>10.2f}")
        server.stop()


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
