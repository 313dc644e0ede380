"""`credence audit` as somebody at a prompt meets it."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from api.cli.audit import app
from audit.checkpoint import NoteKey, sign_checkpoint
from audit.verifier import LogUnreadable
from coordinator.bootstrap import init_coordinator
from coordinator.settings import make_settings
from node.bootstrap import init_node, open_node
from protocols.errors import Malformed, SignatureInvalid
from protocols.keys import SigningKey
from tests.audit.world import ORIGIN, World, by_hand, open_world

KEY = SigningKey.from_seed(bytes(32))


@pytest.fixture
def filled(world: World) -> World:
    world.fill(30)
    (world.home / "checkpoint").write_bytes(sign_checkpoint(world.log.checkpoint(), KEY))
    return world


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def signed(world: World) -> list[object]:
    key = NoteKey(ORIGIN, KEY.verify_key).encode()
    return ["--checkpoint", world.home / "checkpoint", "--key", key]


def test_a_valid_log_is_said_to_be_valid_with_size_and_root(filled: World) -> None:
    result = run("verify", "log", filled.home, *signed(filled))
    assert result.exit_code == 0
    root = filled.log.head().root.hex()
    assert result.stdout.startswith(f"valid: 30 leaves, root {root}\n")
    assert "signature verified" in result.stdout


def test_an_invalid_log_names_the_leaf_and_exits_with_3(filled: World) -> None:
    with by_hand(filled.home) as connection:
        connection.execute("UPDATE audit_leaf SET leaf = x'00' WHERE seq = 17")
    result = run("verify", "log", filled.home)
    assert result.exit_code == 3
    assert "first failure: leaf 17" in result.stdout


def test_a_rewritten_log_exits_with_5(filled: World, tmp_path: Path) -> None:
    other = open_world(tmp_path / "other")
    other.fill(30)
    other.close()
    result = run("verify", "log", other.home, *signed(filled))
    assert result.exit_code == 5
    assert "DIVERGES" in result.stdout


def test_the_report_is_json_on_demand(filled: World) -> None:
    result = run("verify", "log", filled.home, "--json")
    report = json.loads(result.stdout)
    assert (report["outcome"], report["exit_code"], report["size"]) == ("valid", 0, 30)
    assert report["root"] == filled.log.head().root.hex()


def test_an_export_is_written_and_verifies(filled: World, tmp_path: Path) -> None:
    out = tmp_path / "export.jsonl"
    result = run("export", filled.home, "--unsigned", "--out", out, "--json")
    assert json.loads(result.stdout) == {
        "out": str(out),
        "from": 0,
        "size": 30,
        "root": filled.log.head().root.hex(),
    }
    assert run("verify", "log", out, *signed(filled)).exit_code == 0


def test_the_head_is_shown(filled: World) -> None:
    root = filled.log.head().root.hex()
    assert run("head", filled.home).stdout == f"size 30\nroot {root}\n"
    assert json.loads(run("head", filled.home, "--json").stdout) == {"size": 30, "root": root}


def test_a_coordinators_home_is_read_too(filled: World, tmp_path: Path) -> None:
    filled.close()
    home = tmp_path / "coordinator"
    home.mkdir()
    shutil.copy(filled.home / "node.db", home / "coordinator.db")
    assert run("verify", "log", home).exit_code == 0


def test_what_cannot_be_verified_is_an_error_and_not_a_verdict(
    filled: World, tmp_path: Path
) -> None:
    (tmp_path / "nonsense").write_text("nonsense\n")
    checkpoint = filled.home / "checkpoint"
    stranger = NoteKey(ORIGIN, SigningKey.from_seed(b"s" * 32).verify_key).encode()
    for arguments, error in (
        (("verify", "log", tmp_path / "absent"), LogUnreadable),
        (("head", tmp_path), LogUnreadable),
        (("export", tmp_path, "--unsigned", "--out", tmp_path / "x"), LogUnreadable),
        (("verify", "log", tmp_path / "nonsense"), Malformed),
        (("verify", "log", filled.home, "--checkpoint", tmp_path / "absent"), LogUnreadable),
        (("verify", "log", filled.home, "--checkpoint", tmp_path / "nonsense"), Malformed),
        (("verify", "log", filled.home, "--checkpoint", checkpoint, "--key", "x"), Malformed),
        (
            ("verify", "log", filled.home, "--checkpoint", checkpoint, "--key", stranger),
            SignatureInvalid,
        ),
    ):
        result = run(*arguments)
        assert isinstance(result.exception, error), arguments
        assert result.stdout == ""


def test_a_key_without_a_checkpoint_is_wrong_usage(filled: World) -> None:
    assert run("verify", "log", filled.home, "--key", "x").exit_code == 2


@pytest.mark.parametrize(
    "command",
    [
        "verify log",
        "verify export",
        "verify receipt",
        "verify consistency",
        "verify reconcile",
        "export",
        "receipt",
        "consistency",
        "statement",
        "head",
    ],
)
def test_the_help_of_each_command_has_an_example(command: str) -> None:
    assert f"Example: credence audit {command}" in run(*command.split(), "--help").stdout


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A node's and a coordinator's home, each with something in its log."""
    root = tmp_path_factory.mktemp("homes")
    init_node(root / "bank-a", member_id="bank-a", name="A", role="bank", plain_tokens=True)
    init_coordinator(root / "coordinator", make_settings(name="demo"))
    node = open_node(root / "bank-a")
    node.clients.add("platform", 1)
    node.clients.add("other", 2)
    node.close()
    return {name: root / name for name in ("bank-a", "coordinator")}


@pytest.mark.parametrize("name", ["bank-a", "coordinator"])
def test_a_home_signs_what_a_reader_then_checks_without_it(
    homes: dict[str, Path], tmp_path: Path, name: str
) -> None:
    """Export, receipt and consistency come from the same commands for a node and a coordinator."""
    home, files = (
        homes[name],
        {one: tmp_path / one for one in ("export", "receipt", "proof", "note")},
    )
    assert run("export", home, "--out", files["export"]).exit_code == 0
    told = run("receipt", home, "--seq", 0, "--opened", "--out", files["receipt"]).stdout
    key = told.replace("\n", " ").split(" give ")[1].split(" ")[0]
    receipt = json.loads(files["receipt"].read_text())
    assert receipt["content"] == "shown"
    files["note"].write_text(receipt["checkpoint"])
    assert run("consistency", home, "--from", files["note"], "--out", files["proof"]).exit_code == 0
    for what, file in (("export", "export"), ("receipt", "receipt"), ("consistency", "proof")):
        result = run("verify", what, files[file], "--key", key)
        assert result.exit_code == 0, result.stdout
    stranger = NoteKey(key.split("+")[0], KEY.verify_key).encode()
    assert run("verify", "receipt", files["receipt"], "--key", stranger).exit_code == 3


def test_a_statement_is_written_of_a_period(homes: dict[str, Path], tmp_path: Path) -> None:
    period = ["--since", "2026-11-01", "--until", "2026-12-01"]
    out = tmp_path / "bank-a.statement"
    result = run("statement", homes["bank-a"], "--with", "bank-b", *period, "--out", out)
    assert result.stdout.startswith("0 entries")
    assert json.loads(out.read_text().splitlines()[0])["peer"] == "bank-b"


def test_a_backup_is_a_log_that_verifies(tmp_path: Path) -> None:
    home = tmp_path / "bank"
    init_node(home, member_id="bank-a", name="Bank A", role="bank")
    copied = run("backup", home, "--out", tmp_path / "log.db")
    assert copied.exit_code == 0, copied.output
    assert run("verify", "log", tmp_path / "log.db").exit_code == 0
