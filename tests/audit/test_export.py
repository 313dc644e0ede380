"""An export goes anywhere and verifies there."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.export import ExportFailed, LogDamaged, export_log
from audit.verifier import LogUnreadable, Outcome, Report, verify_path
from audit.verifier.export_source import MAX_LINE_BYTES
from protocols.errors import Malformed
from tests.audit.world import World, by_hand, entry, open_world

SUBJECT = b"s" * 32


@pytest.fixture
def exported(world: World, tmp_path: Path) -> Path:
    canary = {"name": "canary-91c2"}
    world.append(*(entry(number, subject=SUBJECT, payload=canary) for number in range(20)))
    export_log(world.home, tmp_path / "export.jsonl")
    return tmp_path / "export.jsonl"


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="module")
def lines(scratch: Path) -> list[bytes]:
    """The lines of an export of 20 leaves."""
    world = open_world(scratch / "home")
    world.fill(20)
    world.close()
    export_log(world.home, scratch / "export.jsonl")
    return (scratch / "export.jsonl").read_bytes().splitlines(keepends=True)


def verified(scratch: Path, lines: list[bytes]) -> Report:
    (scratch / "changed.jsonl").write_bytes(b"".join(lines))
    return verify_path(scratch / "changed.jsonl")


def test_an_export_has_the_root_of_the_log_and_verifies(world: World, exported: Path) -> None:
    report = verify_path(exported)
    assert report.outcome is Outcome.VALID
    assert (report.size, report.root) == (20, world.log.head().root)


def test_an_export_holds_neither_payload_nor_subject_nor_ciphertext(
    world: World, exported: Path
) -> None:
    content = exported.read_bytes()
    assert b"canary-91c2" not in content
    assert SUBJECT.hex().encode() not in content
    assert [sorted(json.loads(line)) for line in content.splitlines()[1:]] == [
        ["hash", "leaf", "seq"]
    ] * 20


def test_an_empty_log_exports(world: World, tmp_path: Path) -> None:
    export_log(world.home, tmp_path / "empty.jsonl")
    assert verify_path(tmp_path / "empty.jsonl").outcome is Outcome.VALID


@given(st.data())
def test_any_changed_byte_of_a_leaf_is_found_and_named(
    scratch: Path, lines: list[bytes], data: st.DataObject
) -> None:
    at = data.draw(st.integers(1, len(lines) - 1))
    line = bytearray(lines[at])
    position = data.draw(st.integers(0, len(line) - 1))
    line[position] ^= data.draw(st.integers(1, 255))
    report = verified(scratch, [*lines[:at], bytes(line), *lines[at + 1 :]])
    if report.outcome is Outcome.VALID:  # another spelling of the same JSON: hex in capitals
        assert json.loads(line.lower()) == json.loads(lines[at].lower())
    else:
        assert report.first_failure is not None
        # One that says it is an earlier leaf: the number that is there twice is named.
        assert report.first_failure.seq == min(at - 1, number(line, at - 1))


def number(line: bytes | bytearray, otherwise: int) -> int:
    """The number that a line of an export gives itself, if it is one still."""
    try:
        return max(0, int(json.loads(line.split(b"\n")[0])["seq"]))
    except (ValueError, KeyError, TypeError):
        return otherwise


@pytest.mark.parametrize(
    ("change", "seq"),
    [
        (lambda lines: lines[:-1], 19),
        (lambda lines: lines[:-3], 17),
        (lambda lines: [*lines[:5], *lines[6:]], 4),
        (lambda lines: [*lines[:5], lines[6], lines[5], *lines[7:]], 4),
        (lambda lines: [*lines, lines[-1]], 19),
        (lambda lines: [*lines[:-1], lines[-1].rstrip(b"\n")], 19),
        (lambda lines: [*lines[:9], b"\n", *lines[9:]], 8),
        (lambda lines: [*lines[:9], b"[" * 10_000 + b"\n", *lines[9:]], 8),
        (lambda lines: [*lines[:9], b"x" * (2 * MAX_LINE_BYTES), *lines[9:]], 8),
        (lambda lines: [*lines[:9], b'{"seq":8,"leaf":"\\ud800","hash":""}\n', *lines[9:]], 8),
        (lambda lines: [*lines[:9], b'{"seq":"8","leaf":"","hash":""}\n', *lines[9:]], 8),
        (lambda lines: [*lines[:9], b'{"seq":8,"leaf":"","hash":"zz"}\n', *lines[9:]], 8),
    ],
)
def test_a_line_cut_moved_doubled_or_garbled_is_found(
    scratch: Path, lines: list[bytes], change: Callable[[list[bytes]], list[bytes]], seq: int
) -> None:
    report = verified(scratch, change(lines))
    assert report.outcome is Outcome.INVALID
    assert report.first_failure is not None
    assert report.first_failure.seq == seq


@pytest.mark.parametrize("header", [b"", b"\n", b"[]\n", b"{}\n", b'{"format":"other"}\n'])
def test_a_file_without_the_header_is_no_export(
    scratch: Path, lines: list[bytes], header: bytes
) -> None:
    with pytest.raises(Malformed):
        verified(scratch, [header, *lines[1:]])


def test_a_damaged_leaf_is_exported_as_it_is_for_the_verifier_to_name(
    world: World, exported: Path
) -> None:
    with by_hand(world.home) as connection:
        connection.execute("UPDATE audit_leaf SET leaf = x'ff80ed41' WHERE seq = 7")
    export_log(world.home, exported)
    report = verify_path(exported)
    assert report.outcome is Outcome.INVALID
    assert report.first_failure is not None
    assert report.first_failure.seq == 7


def test_a_log_that_cannot_be_read_leaves_no_file(world: World, tmp_path: Path) -> None:
    world.fill(3)
    with by_hand(world.home) as connection:
        connection.execute("UPDATE audit_leaf SET leaf = 5 WHERE seq = 2")
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(LogDamaged):
        export_log(world.home, out / "x.jsonl")
    assert list(out.iterdir()) == []


def test_an_export_that_cannot_be_written_leaves_nothing(world: World, tmp_path: Path) -> None:
    with pytest.raises(ExportFailed):
        export_log(world.home, tmp_path / "absent" / "x.jsonl")
    (tmp_path / "taken").mkdir()
    with pytest.raises(ExportFailed):
        export_log(world.home, tmp_path / "taken")
    assert not list(tmp_path.glob(".*"))


def test_there_must_be_a_log_to_export(tmp_path: Path) -> None:
    with pytest.raises(LogUnreadable):
        export_log(tmp_path, tmp_path / "x.jsonl")
