"""A serving process: models change under it, nothing leaves before it is logged, nothing heavy."""

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from node.storage import bundles, scores
from node.telemetry.measures import Measure
from tests.api.test_scores import body_for, is_problem
from tests.node.scoring_world import World

ROOT = Path(__file__).parents[2]
CALLERS = 4


def in_log(world: World, score_id: str) -> bool:
    """Whether the log has the leaf that its row names, about this very score."""
    with world.node.database.read() as connection:
        row = scores.find(connection, score_id)
        assert row is not None
        (leaf,) = world.node.audit.leaves(connection, row.leaf_seq, row.leaf_seq + 1)
    return json.loads(leaf.leaf)["correlation"] == score_id


def test_a_new_model_is_taken_up_while_calls_go_on(world: World, url: str, token: str) -> None:
    """No call fails or waits for the swap, and none is answered by a third thing."""
    bodies = [body_for(world, max_uses=1000) for _ in range(CALLERS)]
    world.publish("swap-2", seed=2, active=False)
    swapped, done = threading.Event(), threading.Event()

    def call(body: dict[str, str]) -> list[str]:
        versions = []
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=url, headers=headers, timeout=20) as client:
            while not done.is_set():
                answer = client.post("/v1/scores", json=body)
                assert answer.status_code == 201, answer.text
                versions.append(answer.json()["versions"]["model"])
                if len(versions) == 3:
                    swapped.set()
                if versions[-1] == "swap-2":
                    break
        return versions

    try:
        with ThreadPoolExecutor(CALLERS) as pool:
            calls = [pool.submit(call, body) for body in bodies]
            assert swapped.wait(20)
            with world.node.database.write() as connection:
                bundles.activate(connection, "swap-2")
            answered = [one.result(timeout=20) for one in calls]
    finally:
        done.set()
        with world.node.database.write() as connection:
            bundles.activate(connection, "test-1")
    for versions in answered:
        before = versions.index("swap-2")
        assert set(versions[:before]) <= {"test-1"}
        assert versions[before:] == ["swap-2"]


def test_a_commit_that_fails_gives_no_score_and_leaves_none(world, caller) -> None:
    body = body_for(world)
    caller.post("/v1/scores", json=body)  # the holders' signals are here from now on
    size, database = world.leaves(), world.node.database

    def fail(connection) -> None:
        raise OperationalError("COMMIT", {}, Exception("disk I/O error"))

    event.listen(database.engine, "commit", fail)
    try:
        refused = caller.post("/v1/scores", json=body)
    finally:
        event.remove(database.engine, "commit", fail)
    assert is_problem(refused, 503, "database_unavailable")
    assert "score" not in refused.json()
    assert world.leaves() == size
    with database.read() as connection:
        assert len(scores.newest_of(connection, body["subject"], 10)) == 1


def test_no_answer_is_sent_before_its_commit(world: World, caller: httpx.Client) -> None:
    body = body_for(world)
    caller.post("/v1/scores", json=body)
    engine = world.node.database.engine
    committing, go = threading.Event(), threading.Event()

    def hold(connection) -> None:
        committing.set()
        assert go.wait(20)

    event.listen(engine, "commit", hold)
    try:
        with ThreadPoolExecutor(1) as pool:
            called = pool.submit(caller.post, "/v1/scores", json=body)
            assert committing.wait(20)
            with pytest.raises(TimeoutError):
                called.result(timeout=0.2)
            go.set()
            answer = called.result(timeout=20)
    finally:
        go.set()
        event.remove(engine, "commit", hold)
    assert answer.status_code == 201
    assert in_log(world, answer.json()["score_id"])


@contextmanager
def broken_after_commit(world: World):
    """The process fails between a score's commit and its answer."""
    measures = world.node.telemetry.measures
    observe = measures.observe

    def fail(measure, value, *labels) -> None:
        if measure is Measure.COMMIT_SECONDS:
            raise RuntimeError("after the commit")
        observe(measure, value, *labels)

    measures.observe = fail
    try:
        yield
    finally:
        measures.observe = observe


def test_what_was_committed_and_not_answered_is_in_the_log_and_is_found_again(
    world, caller
) -> None:
    body, key = body_for(world), {"Idempotency-Key": "after-commit"}
    caller.post("/v1/scores", json=body)
    size = world.leaves()
    with broken_after_commit(world):
        assert is_problem(caller.post("/v1/scores", json=body, headers=key), 500, "internal")
    assert world.leaves() == size + 1
    again = caller.post("/v1/scores", json=body, headers=key)
    assert again.status_code == 200  # the first one's, not a second score
    assert in_log(world, again.json()["score_id"])
    assert world.leaves() == size + 1


_KILLED = """
import os, sys
from pathlib import Path
from sqlalchemy import event
from tests.node.scoring_world import open_world
with open_world(Path(sys.argv[1])) as world:
    (one,) = world.enrol(1)
    terms = world.consent(one)
    print(world.score(one, terms).score_id, world.leaves(), flush=True)
    event.listen(world.node.database.engine, "commit", lambda connection: os._exit(9))
    print(world.score(one, terms).score_id, flush=True)
"""


def test_a_process_killed_before_the_commit_has_neither_score_nor_leaf(tmp_path: Path) -> None:
    from node.bootstrap import open_node

    command = [sys.executable, "-c", _KILLED, str(tmp_path)]
    killed = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert killed.returncode == 9
    told = killed.stdout.split()
    assert len(told) == 2  # nothing of the second score came out
    node = open_node(tmp_path / "bank-a")
    try:
        assert node.audit.head().size == int(told[1])
        with node.database.read() as connection:
            assert scores.find(connection, told[0]) is not None
            rows = connection.exec_driver_sql("SELECT count(*) FROM score").scalar()
        assert rows == 1
    finally:
        node.close()


_SERVING = """
import sys
import deploy.command, api.cli.logs, api.cli.stopping, api.http.app, api.http.late, api.http.server
import node.process
assert not [one for one in sys.modules if one.startswith("api.http.portal")], "pages at the start"
import api.http.faces
heavy = {"torch", "opacus", "flwr", "duckdb", "ibis", "pandas", "pyarrow", "scipy", "sklearn",
         "alembic", "dp_accounting", "coordinator.bootstrap", "opentelemetry",
         "prometheus_client"}
print(*sorted(heavy & set(sys.modules)))
"""


def test_a_serving_process_loads_no_torch_and_nothing_else_that_it_does_not_need() -> None:
    command = [sys.executable, "-c", _SERVING]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not done.stdout.split()


def test_liveness_asks_nothing_of_the_database(world: World, http: httpx.Client) -> None:
    engine = world.node.database.engine
    seen = []

    def note(*arguments) -> None:
        seen.append(arguments)

    event.listen(engine, "before_cursor_execute", note)
    event.listen(engine, "checkout", note)
    try:
        for _ in range(3):
            assert http.get("/healthz").json() == {"status": "ok"}
        assert not [one for one in seen if "api_client" in str(one)]
        live = len(seen)
        assert http.get("/readyz").json()["checks"]["database"] == "ok"
        assert len(seen) > live
    finally:
        event.remove(engine, "before_cursor_execute", note)
        event.remove(engine, "checkout", note)
