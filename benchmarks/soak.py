"""Mixed load for three minutes: memory, open files and latency must not grow.

    python -m benchmarks.soak [--seconds 180] [--callers 8] [--json]

Scores, repeated calls, readings, refusals, receipts, health and metrics over kept and fresh
connections, with a model swapped every few seconds. The first sixth warms up; the floor is what the
process had in the second, and what is told is the last third against it. What the machine does
meanwhile falls on a health check as it does on a score, so its latency stands beside.
"""

import argparse
import gc
import http.client
import itertools
import json
import logging
import random
import statistics
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import structlog

from api.http.app import create_app
from api.http.late import settle
from api.http.server import HttpServer
from node.storage import bundles
from tests.network import now_ms
from tests.node.scoring_world import World, open_world, ref

PEOPLE = 100
SWAP_S = 5.0
MIX = ("score",) * 6 + ("repeat", "read", "refused", "receipt", "health", "metrics", "fresh")


@dataclass
class Seen:
    """What callers saw: (seconds since the start, milliseconds), and odd statuses."""

    scores: list[tuple[float, float]] = field(default_factory=list)
    health: list[tuple[float, float]] = field(default_factory=list)
    odd: list[tuple[str, int]] = field(default_factory=list)
    calls: int = 0


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    silent = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=silent)
    figures = soak(arguments.seconds, arguments.callers)
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    for name, figure in figures.items():
        print(f"{name:<28}{figure:>12.1f}")


def soak(seconds: float, callers: int) -> dict[str, float]:
    """Figures of the first and the last third."""
    with tempfile.TemporaryDirectory() as folder, open_world(Path(folder)) as world:
        calls = _calls(world)
        world.publish("test-2", seed=2, active=False)
        row, token = world.clients.add(
            "soak", now_ms(), ("scores:read", "scores:write", "log:read")
        )
        world.clients.limit(row.client_id, now_ms(), rate=1e5, burst=100_000, daily_quota=10**9)
        server = HttpServer(create_app(world.node), "127.0.0.1:0")
        server.start()
        settle()
        seen, began = Seen(), time.perf_counter()
        threads = [
            threading.Thread(
                target=_caller, args=(number, server.port, token, calls, seen, began, seconds)
            )
            for number in range(callers)
        ]
        for thread in threads:
            thread.start()
        samples = _watch(world, seconds, began)
        for thread in threads:
            thread.join()
        server.stop()
    first = [one for one in samples if seconds / 6 < one[0] <= seconds / 3]
    last = [one for one in samples if one[0] > seconds * 2 / 3]
    early, late = _ends(seen.scores, seconds)
    health_early, health_late = _ends(seen.health, seconds)
    return {
        "calls": float(seen.calls),
        "unexpected_answers": float(len(seen.odd)),
        "memory_first_mib": statistics.median(one[1] for one in first),
        "memory_last_mib": statistics.median(one[1] for one in last),
        "files_first": max(one[2] for one in first),
        "files_last": max(one[2] for one in last),
        "p50_first_ms": statistics.median(early),
        "p50_last_ms": statistics.median(late),
        "p99_first_ms": early[int(len(early) * 0.99)],
        "p99_last_ms": late[int(len(late) * 0.99)],
        "health_p50_first_ms": statistics.median(health_early),
        "health_p50_last_ms": statistics.median(health_late),
    }


def _ends(seen: list[tuple[float, float]], seconds: float) -> tuple[list[float], list[float]]:
    """Milliseconds in the second sixth and in the last third, each in order."""
    early = sorted(ms for at, ms in seen if seconds / 6 < at <= seconds / 3)
    return early, sorted(ms for at, ms in seen if at > seconds * 2 / 3)


def _calls(world: World) -> list[dict[str, str]]:
    calls = []
    for one in world.enrol(*range(1, PEOPLE + 1)):
        terms = world.consent(one, max_uses=1_000_000)
        world.score(one, terms)  # asks the holders once
        calls.append({"subject": ref(one), "consent_id": terms.consent_id, "purpose": "score"})
    return calls


def _watch(world: World, seconds: float, began: float) -> list[tuple[float, float, float]]:
    """Memory and open files, once a second, while models change."""
    process, samples, swaps = psutil.Process(), [], itertools.cycle(("test-2", "test-1"))
    swap_at = SWAP_S
    while (at := time.perf_counter() - began) < seconds:
        if at >= swap_at:
            swap_at += SWAP_S
            with world.node.database.write() as connection:
                bundles.activate(connection, next(swaps))
        samples.append((at, process.memory_info().rss / 2**20, float(process.num_fds())))
        time.sleep(min(1.0, seconds / 30))
    gc.collect()
    return samples


def _caller(
    number: int,
    port: int,
    token: str,
    calls: list[dict[str, str]],
    seen: Seen,
    began: float,
    seconds: float,
) -> None:
    random_ = random.Random(number)  # noqa: S311 - chooses what to call
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    location, seq = "", 0
    looks: dict[str, list[tuple[float, float]]] = {"health": seen.health, "metrics": []}

    def ask(
        method: str, path: str, body: dict[str, str] | None, expected: int, **extra: str
    ) -> bytes:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, headers | extra)
        answer = connection.getresponse()
        content = answer.read()
        seen.calls += 1
        if answer.status != expected:
            seen.odd.append((path, answer.status))
        return content

    while (at := time.perf_counter() - began) < seconds:
        kind, body = random_.choice(MIX), random_.choice(calls)
        if kind in {"score", "fresh"} or not location:
            if kind == "fresh":
                connection.close()
            asked = time.perf_counter()
            made = json.loads(ask("POST", "/v1/scores", body, 201))
            seen.scores.append((at, (time.perf_counter() - asked) * 1000))
            location, seq = f"/v1/scores/{made['score_id']}", made["receipt"]["seq"]
        elif kind == "repeat":
            key = {"Idempotency-Key": f"soak-{random_.getrandbits(64):x}"}
            first = ask("POST", "/v1/scores", body, 201, **key)
            assert ask("POST", "/v1/scores", body, 200, **key) == first
        elif kind == "read":
            ask("GET", location, None, 200)
        elif kind == "refused":
            ask("POST", "/v1/scores", body | {"consent_id": "con_nothing"}, 404)
        elif kind == "receipt":
            ask("GET", f"/v1/log/proof/inclusion?seq={seq}&size={seq + 1}", None, 200)
        else:
            asked = time.perf_counter()
            ask("GET", "/healthz" if kind == "health" else "/metrics", None, 200)
            looks[kind].append((at, (time.perf_counter() - asked) * 1000))
    connection.close()


if __name__ == "__main__":
    main()
