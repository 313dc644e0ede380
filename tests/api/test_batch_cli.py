"""`credence score batch` and `credence client product` as typed at a terminal."""

import json
from pathlib import Path

import pytest

from node.periodic import Periodic
from tests.api.test_cli import call, said
from tests.api.test_scores import body_for
from tests.network import now_ms
from tests.node.scoring_world import World


@pytest.fixture
def token_file(world: World, tmp_path: Path) -> Path:
    scopes = ["scores:read", "scores:write", "batches:write"]
    name = f"batches {tmp_path.name}"[-60:]
    path = tmp_path / "token"
    path.write_text(world.clients.add(name, now_ms(), scopes)[1])
    return path


@pytest.fixture
def working(world: World):
    """The node's own thread that works on jobs."""
    work = Periodic("score-jobs", 0.02, world.node.around_scores.runner.step)
    work.start()
    yield
    work.stop()


@pytest.mark.usefixtures("working")
def test_a_file_goes_in_and_a_file_comes_out_and_an_interrupted_one_is_gone_on_with(
    world: World, url: str, token_file: Path, tmp_path: Path
) -> None:
    bodies = [body_for(world) for _ in range(3)]
    pairs = [{name: one[name] for name in ("subject", "consent_id")} for one in bodies]
    pairs.append({"subject": "sub_none", "consent_id": "con_none"})
    lines, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    lines.write_text("".join(json.dumps(one) + "\n" for one in pairs))
    who = ("--token-file", token_file, "--out", out, "--json")
    done = call("score", "batch", url, lines, *who)
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert (told["state"], told["scored"], told["refused"]) == ("completed", 3, 1)
    whole = out.read_bytes()
    results = [json.loads(line) for line in whole.splitlines()]
    assert [one["line"] for one in results] == [1, 2, 3, 4]
    assert results[3]["error"]["code"] == "subject_unknown"
    first = whole.index(b"\n") + 1
    out.write_bytes(whole[: first + 20])  # killed in the middle of the second line
    again = call("score", "batch", url, "--resume", told["batch_id"], *who)
    assert again.exit_code == 0, again.output
    assert [json.loads(line)["line"] for line in out.read_bytes().splitlines()] == [1, 2, 3, 4]


def test_a_file_with_a_wrong_line_is_not_sent(url: str, token_file: Path, tmp_path: Path) -> None:
    lines = tmp_path / "in.jsonl"
    lines.write_text('{"subject": "a", "consent_id": "b"}\n{"subject": "a"}\n')
    wrong = call("score", "batch", url, lines, "--token-file", token_file)
    assert wrong.exit_code == 1
    assert "line 2" in said(wrong)
    assert call("score", "batch", url, "--token-file", token_file).exit_code == 2


def test_products_are_set_listed_and_dropped(world: World) -> None:
    home = world.node.home
    made = call("product", "set", home, "--name", "leasing", "--mandatory", "payments",
                "--max-age-s", "3600")  # fmt: skip
    assert made.exit_code == 0, made.output
    rows = json.loads(call("product", "list", home, "--json").output)
    assert [row["product"] for row in rows] == ["leasing", "standard"]
    assert rows[0]["mandatory"] == ["payments"]
    assert "every client" in said(call("product", "list", home))
    assert call("product", "drop", home, "--name", "leasing").exit_code == 0
    assert "product_unknown" in said(call("product", "drop", home, "--name", "leasing"))
    assert call("product", "set", home, "--name", "x", "--client", "nobody").exit_code == 1
