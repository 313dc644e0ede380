"""The log against a list in memory: any course of acts, crashes, erasures, restores, restarts."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from audit.merkle import Frontier, leaf_hash, verify_consistency, verify_inclusion
from audit.shredding import PayloadErased
from audit.snapshot import copy_log
from audit.store import Submitted
from audit.verifier import Outcome, verify_path
from tests.audit.world import ActFailed, entry, open_world
from tests.postgresql import Server

SUBJECTS = [None, b"a" * 32, b"b" * 32, b"c" * 32]
PURPOSES = ["", "score", "train"]
SIZES = st.sampled_from([1, 1, 2, 3, 7, 64, 255, 256, 257])


@dataclass(frozen=True)
class Row:
    """What the log should know of a leaf; `number` None: its payload is gone or not compared."""

    subject: bytes | None
    number: int | None
    indexed: bool = True
    erased: bool = False


class LogMachine(RuleBasedStateMachine):
    def __init__(self, url: str = "") -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.home = Path(self.directory.name) / "home"
        self.world = open_world(self.home, url)
        self.rows: list[Row] = []
        self.submitted: list[tuple[Submitted, Row]] = []  # committed, and not numbered yet
        self.next = 0
        self.backup: list[Row] | None = None

    def entries(self, size: int, subject: bytes | None, purpose: str) -> list[Row]:
        self.next += size
        return [Row(subject, number) for number in range(self.next - size, self.next)]

    @rule(
        size=SIZES,
        subject=st.sampled_from(SUBJECTS),
        purpose=st.sampled_from(PURPOSES),
        fails=st.sampled_from([False, False, False, True]),
    )
    def append(self, size: int, subject: bytes | None, purpose: str, fails: bool) -> None:
        new = self.entries(size, subject, purpose)
        first = len(self.rows) + len(self.submitted)
        with contextlib.suppress(ActFailed), self.world.database.write() as connection:
            done = self.world.log.append_many(
                connection, [entry(row.number, subject=subject, purpose=purpose) for row in new]
            )
            assert [item.seq for item in done] == list(range(first, first + size))
            if fails:
                raise ActFailed
        if not fails:
            self.numbered()
            self.rows += new

    @rule(
        size=SIZES,
        subject=st.sampled_from(SUBJECTS),
        purpose=st.sampled_from(PURPOSES),
        fails=st.sampled_from([False, False, False, True]),
    )
    def submit(self, size: int, subject: bytes | None, purpose: str, fails: bool) -> None:
        new = self.entries(size, subject, purpose)
        with (
            contextlib.suppress(ActFailed),
            self.world.database.write(parallel=True) as connection,
        ):
            done = self.world.log.submit(
                connection, [entry(row.number, subject=subject, purpose=purpose) for row in new]
            )
            if fails:
                raise ActFailed
        if not fails:
            self.submitted += zip(done, new, strict=True)
            if self.world.log.sequencer is None:
                self.numbered()

    @rule()
    def wait(self) -> None:
        first = len(self.rows)
        found = self.world.log.wait([one for one, _ in self.submitted])
        assert [item.seq for item in found] == list(range(first, first + len(found)))
        self.numbered()

    @rule(subject=st.sampled_from(SUBJECTS[1:]))
    def erase(self, subject: bytes) -> None:
        with self.world.database.write() as connection:
            self.world.log.erase(connection, subject, actor="operator", at_ms=0)
        self.numbered()
        self.rows = [gone(row, subject, indexed=False) for row in self.rows]
        self.rows.append(Row(None, None))
        if self.backup is not None:
            # Keys are in no backup: what is erased stays erased in it.
            self.backup = [gone(row, subject, indexed=row.indexed) for row in self.backup]

    @rule()
    def restart(self) -> None:
        self.world = self.world.restarted()

    @rule(size=SIZES, subject=st.sampled_from(SUBJECTS))
    def crash(self, size: int, subject: bytes | None) -> None:
        """The process ends with a transaction open; what it kept goes on as it is on disk."""
        writing = self.world.database.write()
        connection = writing.__enter__()
        self.world.log.append_many(connection, [entry(subject=subject)] * size)
        after = self.home.with_name(f"{self.home.name}-")
        shutil.copytree(self.home, after)
        with contextlib.suppress(ActFailed):
            writing.__exit__(ActFailed, ActFailed(), None)
        self.world.close()
        self.home = after
        self.world = open_world(after, self.world.url if self.world.log.sequencer else "")

    @precondition(lambda self: self.world.log.sequencer is None)
    @rule()
    def back_up(self) -> None:
        file = self.home.with_name("backup.db")
        file.unlink(missing_ok=True)
        assert copy_log(self.world.database, file) == len(self.rows)
        self.backup = list(self.rows)

    @precondition(lambda self: self.backup is not None)
    @rule()
    def restore(self) -> None:
        assert self.backup is not None
        self.world.close()
        for file in self.home.glob("node.db*"):
            file.unlink()
        shutil.copy(self.home.with_name("backup.db"), self.home / "node.db")
        self.world = open_world(self.home)
        self.rows = list(self.backup)

    @rule(data=st.data())
    def prove(self, data: st.DataObject) -> None:
        size = data.draw(st.integers(0, len(self.rows)))
        if size == 0:
            return
        log, hashes = self.world.log, self.hashes()
        seq, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
        root, old_root = (Frontier().extend(hashes[:n]).root() for n in (size, old))
        verify_inclusion(seq, size, hashes[seq], log.inclusion_proof(seq, size), root)
        proof = log.consistency_proof(old, size)
        verify_consistency(old, size, old_root, root, proof)

    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        seq = data.draw(st.integers(0, max(len(self.rows) - 1, 0)))
        if seq == len(self.rows):
            return
        row = self.rows[seq]
        if row.erased:
            with pytest.raises(PayloadErased):
                self.world.log.payload(seq)
        elif row.number is not None:
            assert self.world.log.payload(seq) == {"number": row.number}

    @invariant()
    def the_head_is_that_of_the_rows(self) -> None:
        head = self.world.log.head()
        assert head.size == len(self.rows)
        assert head.root == Frontier().extend(self.hashes()).root()

    @invariant()
    def the_index_finds_exactly_what_was_not_erased(self) -> None:
        for subject in SUBJECTS[1:]:
            expected = [
                at for at, row in enumerate(self.rows) if row.subject == subject and row.indexed
            ]
            assert self.world.log.about(subject) == expected

    def numbered(self) -> None:
        self.rows += [row for _, row in self.submitted]
        self.submitted = []

    def hashes(self) -> list[bytes]:
        with self.world.database.read() as connection:
            rows = list(self.world.log.leaves(connection, 0, 1 << 40))
        assert all(leaf_hash(row.leaf) == row.leaf_hash for row in rows)
        return [row.leaf_hash for row in rows]

    def teardown(self) -> None:
        try:
            file = self.home.with_name("end.db")
            copy_log(self.world.database, file)
            report = verify_path(file)
            assert report.outcome is Outcome.VALID, report.lines()
            assert report.size == len(self.rows)
        finally:
            self.world.close()
            self.directory.cleanup()


def gone(row: Row, subject: bytes, *, indexed: bool) -> Row:
    if row.subject != subject:
        return row
    return replace(row, indexed=indexed, erased=True)


def play(machine: Callable[[], LogMachine], examples: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=20,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


def test_the_log_behaves_like_a_list() -> None:
    play(LogMachine, 10)


def test_the_log_behaves_like_a_list_on_a_server(postgresql: Server) -> None:
    play(lambda: LogMachine(postgresql.url()), 4)
