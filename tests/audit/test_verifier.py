"""The verifier believes nothing: whatever is changed is found, and the leaf is named."""

import ast
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit import merkle, verifier
from audit.checkpoint import NoteKey, sign_checkpoint
from audit.verifier import NO_TRUST, Outcome, Report, Trust, verify_path
from protocols.errors import Malformed, SignatureInvalid
from protocols.keys import SigningKey
from tests.audit.world import (
    ORIGIN,
    World,
    by_hand,
    entry,
    first_failure,
    flip,
    open_world,
)

KEY = SigningKey.from_seed(bytes(32))
NOTE_KEY = NoteKey(ORIGIN, KEY.verify_key)
SIZE = 600  # two full tiles and a bit
ANNA = b"a" * 32


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed home with `SIZE` leaves, every third about somebody."""
    world = open_world(tmp_path_factory.mktemp("audit") / "home")
    world.append(*(entry(number, subject=None if number % 3 else ANNA) for number in range(SIZE)))
    (world.home / "checkpoint").write_bytes(sign_checkpoint(world.log.checkpoint(), KEY))
    world.close()
    return world.home


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture
def home(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "copy"))


@pytest.fixture
def copied(home: Path) -> Iterator[World]:
    world = open_world(home)
    yield world
    world.close()


def against_checkpoint(home: Path) -> Report:
    return verify_path(home, Trust.of([NOTE_KEY], None, [(home / "checkpoint").read_bytes()]))


def test_an_untouched_log_is_valid_and_matches_its_checkpoint(copied: World) -> None:
    report = against_checkpoint(copied.home)
    head = copied.log.head()
    assert report.outcome is Outcome.VALID
    assert (report.size, report.root) == (head.size, head.root)
    assert [(item.matches, item.signed) for item in report.checkpoints] == [(True, True)]


def test_an_empty_log_is_valid(tmp_path: Path) -> None:
    world = open_world(tmp_path / "empty")
    assert verify_path(world.home).outcome is Outcome.VALID
    world.close()


def test_a_log_that_is_written_meanwhile_is_verified_in_one_snapshot(copied: World) -> None:
    with copied.database.write() as connection:
        copied.log.append(connection, entry(SIZE))
        assert verify_path(copied.home).size == SIZE
    assert verify_path(copied.home).size == SIZE + 1


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("audit_leaf", "leaf"),
        ("audit_leaf", "leaf_hash"),
        ("audit_payload", "ciphertext"),
        ("audit_subject_index", "tag"),
        ("audit_subject_index", "guard"),
    ],
)
@pytest.mark.parametrize("seq", [0, 255, 300, 597])
def test_a_bit_flipped_in_a_row_is_found_and_its_leaf_named(
    home: Path, table: str, column: str, seq: int
) -> None:
    for bit in (0, 77, 2_049):
        with by_hand(home) as connection:
            query = f"SELECT {column} FROM {table} WHERE seq = ?"
            (value,) = connection.execute(query, (seq,)).fetchone()
            update = f"UPDATE {table} SET {column} = ? WHERE seq = ?"
            connection.execute(update, (flip(value, bit), seq))
        assert first_failure(home) == seq
        with by_hand(home) as connection:
            connection.execute(update, (value, seq))
    assert verify_path(home).outcome is Outcome.VALID


@pytest.mark.parametrize("table", ["audit_leaf", "audit_payload", "audit_subject_index"])
@pytest.mark.parametrize("seq", [0, 255, 300, 597])
def test_a_row_that_is_deleted_or_renumbered_is_found(home: Path, table: str, seq: int) -> None:
    if table != "audit_subject_index":  # who erases a subject deletes index rows rightly
        shutil.copytree(home, home.with_name("second"))
        with by_hand(home.with_name("second")) as connection:
            connection.execute(f"DELETE FROM {table} WHERE seq = ?", (seq,))
        assert first_failure(home.with_name("second")) == seq
    with by_hand(home) as connection:
        connection.execute(f"UPDATE {table} SET seq = 5000 WHERE seq = ?", (seq,))
    assert first_failure(home) == (5000 if table == "audit_subject_index" else seq)


@pytest.mark.parametrize("tile", [0, 1])
@pytest.mark.parametrize("position", [0, 100, 255])
def test_a_bit_flipped_in_a_tile_names_the_leaf_it_stands_for(
    home: Path, tile: int, position: int
) -> None:
    with by_hand(home) as connection:
        query = "SELECT hashes FROM audit_tile WHERE idx = ?"
        (hashes,) = connection.execute(query, (tile,)).fetchone()
        changed = flip(hashes, position * 256 + 9)
        connection.execute("UPDATE audit_tile SET hashes = ? WHERE idx = ?", (changed, tile))
    assert first_failure(home) == tile * 256 + position


@pytest.mark.parametrize(
    ("statement", "seq"),
    [
        ("UPDATE audit_tile SET root = zeroblob(32) WHERE idx = 1", 256),
        ("UPDATE audit_tile SET hashes = substr(hashes, 1, 8000) WHERE idx = 1", 256 + 250),
        ("UPDATE audit_tile SET hashes = 'text' WHERE idx = 1", 256),
        ("UPDATE audit_tile SET idx = 7 WHERE idx = 1", 256),
        ("UPDATE audit_tile SET level = 1 WHERE idx = 1", 256),
        ("UPDATE audit_tile SET level = -1 WHERE idx = 1", 256),
        ("UPDATE audit_tile SET level = 99 WHERE idx = 1", 256),
        ("DELETE FROM audit_tile WHERE idx = 0", 0),
        ("INSERT INTO audit_tile VALUES (0, 2, zeroblob(8192), zeroblob(32))", 512),
        ("INSERT INTO audit_tile VALUES (1, 0, zeroblob(8192), zeroblob(32))", 0),
        ("INSERT INTO audit_payload VALUES (600, x'00')", 600),
        ("INSERT INTO audit_leaf VALUES (600, x'00', zeroblob(32))", 600),
        ("UPDATE audit_leaf SET leaf = 17 WHERE seq = 9", 9),
        ("UPDATE audit_leaf SET leaf_hash = 'text' WHERE seq = 9", 9),
        ("UPDATE audit_payload SET ciphertext = 'text' WHERE seq = 9", 9),
        ("UPDATE audit_subject_index SET tag = 'text' WHERE seq = 9", 9),
        ("UPDATE audit_head SET root = zeroblob(32)", SIZE - 1),
        ("UPDATE audit_head SET frontier = zeroblob(128)", 0),
        ("UPDATE audit_head SET frontier = substr(frontier, 1, 32)", 512),
        ("UPDATE audit_head SET frontier = frontier || zeroblob(1)", None),
        ("UPDATE audit_head SET size = 599", 599),
        ("UPDATE audit_head SET size = 601", 600),
        ("UPDATE audit_head SET size = 9223372036854775807", 600),
        ("UPDATE audit_head SET size = -5", 0),
        ("UPDATE audit_head SET size = 'text'", None),
        ("DELETE FROM audit_head", None),
        ("DROP TABLE audit_tile", 0),
        ("DROP TABLE audit_subject_index", None),
        ("DROP TABLE audit_payload", 0),
    ],
)
def test_damage_to_what_is_derived_is_found(home: Path, statement: str, seq: int | None) -> None:
    with by_hand(home) as connection:
        connection.execute(statement)
    assert first_failure(home) == seq


def test_a_swap_of_two_leaves_names_the_first(home: Path) -> None:
    with by_hand(home) as connection:
        for table in ("audit_leaf", "audit_payload"):
            for old, new in ((100, 9_000), (400, 100), (9_000, 400)):
                connection.execute(f"UPDATE {table} SET seq = ? WHERE seq = ?", (new, old))
    assert first_failure(home) == 100


def test_a_leaf_re_hashed_in_its_row_is_betrayed_by_its_tile(home: Path) -> None:
    rewrite_row(home, 300)
    assert first_failure(home) == 300


def test_a_leaf_re_hashed_beyond_the_last_tile_is_betrayed_by_the_frontier(home: Path) -> None:
    rewrite_row(home, 597)
    assert first_failure(home) == 592  # 600 = 512 + 64 + 16 + 8: the subtree that holds it


def test_damage_before_a_missing_leaf_is_still_named(home: Path) -> None:
    rewrite_row(home, 50)
    with by_hand(home) as connection:
        connection.execute("DELETE FROM audit_leaf WHERE seq = 100")
    assert first_failure(home) == 50


def rewrite_row(home: Path, seq: int) -> None:
    """What a DBA does who knows about leaf hashes and forgets the tree."""
    with by_hand(home) as connection:
        query = "SELECT leaf FROM audit_leaf WHERE seq = ?"
        (leaf,) = connection.execute(query, (seq,)).fetchone()
        forged = leaf.replace(b'"actor":"bank-a"', b'"actor":"bank-z"')
        update = "UPDATE audit_leaf SET leaf = ?, leaf_hash = ? WHERE seq = ?"
        connection.execute(update, (forged, merkle.leaf_hash(forged), seq))


def rewritten(home: Path, change: Callable[[int], dict[str, str]], size: int = SIZE) -> Path:
    """The same history told differently by somebody who re-makes the whole log, keys and all."""
    forged = open_world(home.with_name("forged"))
    for start in range(0, size, 200):
        stop = min(start + 200, size)
        forged.append(*(entry(number, **change(number)) for number in range(start, stop)))
    forged.close()
    shutil.copy(home / "checkpoint", forged.home / "checkpoint")
    return forged.home


def test_history_rewritten_with_care_diverges_from_an_earlier_checkpoint(home: Path) -> None:
    forged = rewritten(home, lambda number: {"actor": "bank-z"} if number == 300 else {})
    assert verify_path(forged).outcome is Outcome.VALID
    report = against_checkpoint(forged)
    assert report.outcome is Outcome.DIVERGED
    assert not report.checkpoints[0].matches


def test_a_log_cut_short_diverges_from_a_later_checkpoint(home: Path) -> None:
    forged = rewritten(home, lambda _: {}, size=500)
    report = against_checkpoint(forged)
    assert report.outcome is Outcome.DIVERGED
    assert "only 500 leaves" in report.checkpoints[0].reason


def test_a_log_that_grew_still_matches_its_earlier_checkpoint(copied: World) -> None:
    copied.fill(300)
    report = against_checkpoint(copied.home)
    assert (report.outcome, report.size) == (Outcome.VALID, SIZE + 300)


def test_what_is_both_damaged_and_diverged_is_invalid(home: Path) -> None:
    rewrite_row(home, 300)
    assert against_checkpoint(home).outcome is Outcome.INVALID


def test_a_checkpoint_that_its_key_did_not_sign_is_refused(home: Path) -> None:
    data = (home / "checkpoint").read_bytes()
    stranger = NoteKey(ORIGIN, SigningKey.from_seed(b"s" * 32).verify_key)
    with pytest.raises(SignatureInvalid):
        Trust.of([stranger], None, [data])
    assert not NO_TRUST.judge(data).signed
    with pytest.raises(Malformed):
        NO_TRUST.judge(b"no note")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_flipped_bit_of_a_leafs_or_payloads_bytes_in_the_file_goes_unseen(
    template: Path, scratch: Path, data: st.DataObject
) -> None:
    content = bytearray((template / "node.db").read_bytes())
    seq = data.draw(st.integers(0, SIZE - 1))
    column, table = data.draw(
        st.sampled_from(
            [
                ("leaf", "audit_leaf"),
                ("leaf_hash", "audit_leaf"),
                ("ciphertext", "audit_payload"),
            ]
        )
    )
    connection = sqlite3.connect(template / "node.db")
    query = f"SELECT {column} FROM {table} WHERE seq = ?"
    (value,) = connection.execute(query, (seq,)).fetchone()
    connection.close()
    at = content.index(value) + data.draw(st.integers(0, len(value) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    (scratch / "node.db").write_bytes(content)
    assert first_failure(scratch) == seq


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_file_damaged_anywhere_never_crashes_the_verifier(
    template: Path, scratch: Path, data: st.DataObject
) -> None:
    content = bytearray((template / "node.db").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1) | st.integers(0, 200))
        content[at] ^= data.draw(st.integers(1, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    (scratch / "node.db").write_bytes(content)
    try:
        report = verify_path(scratch)
    except verifier.LogUnreadable:
        return
    assert report.outcome in {Outcome.VALID, Outcome.INVALID}
    if report.outcome is Outcome.VALID:  # unused space, an index or a schema text was hit
        head = verifier.read_head(template)
        assert (report.size, report.root) == (head.size, head.root)


def test_what_is_no_log_is_said_to_be_none(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE t (x)").connection.close()
    (tmp_path / "text").write_text("hello\n")
    for path in (tmp_path / "absent", tmp_path, tmp_path / "other.db"):
        with pytest.raises(verifier.LogUnreadable):
            verify_path(path)
    with pytest.raises(Malformed):
        verify_path(tmp_path / "text")


def test_a_home_with_two_databases_is_not_guessed_at(home: Path) -> None:
    shutil.copy(home / "node.db", home / "coordinator.db")
    with pytest.raises(verifier.LogUnreadable):
        verify_path(home)
    assert verify_path(home / "coordinator.db").outcome is Outcome.VALID


def test_the_verifier_imports_nothing_of_the_log_it_checks() -> None:
    allowed = ("audit.verifier", "protocols.keys", "protocols.errors")
    for file in Path(verifier.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [name.name for name in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                own = name.split(".")[0] not in sys.stdlib_module_names
                assert not own or name.startswith(allowed), f"{file.name} imports {name}"


def test_the_verifier_runs_without_the_database_library_and_exits_by_its_verdict(
    home: Path,
) -> None:
    root = Path(verifier.__file__).parents[2]
    blocked = (
        "import sys; sys.modules['sqlalchemy'] = None; sys.argv[0] = 'audit.verifier';"
        "from audit.verifier.__main__ import main; raise SystemExit(main())"
    )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", blocked, "log", str(home), *arguments]
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)

    checkpoint = ["--checkpoint", str(home / "checkpoint"), "--key", NOTE_KEY.encode()]
    good = run("--json", *checkpoint)
    assert (good.returncode, json.loads(good.stdout)["outcome"]) == (0, "valid")
    rewrite_row(home, 300)
    bad = run(*checkpoint)
    assert bad.returncode == 3
    assert "leaf 300" in bad.stdout
    (home / "checkpoint").write_text("nonsense")
    assert run(*checkpoint).returncode == 1
