"""The log against a list in memory: any course of appends, roll-backs, erasures and restarts."""

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from audit.merkle import Frontier, leaf_hash, verify_consistency, verify_inclusion
from audit.shredding import PayloadErased
from audit.verifier import Outcome, verify_path
from tests.audit.world import ActFailed, entry, open_world

SUBJECTS = [None, b"a" * 32, b"b" * 32, b"c" * 32]
PURPOSES = ["", "score", "train"]
SIZES = st.sampled_from([1, 1, 2, 3, 7, 64, 255, 256, 257])
Row = tuple[bytes | None, int]
"""(subject, number in the payload); the payload of an erased row has number -1."""


class LogMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.home = Path(self.directory.name) / "home"
        self.world = open_world(self.home)
        self.rows: list[Row] = []
        self.roots = [Frontier().root()]

    @rule(
        size=SIZES,
        subject=st.sampled_from(SUBJECTS),
        purpose=st.sampled_from(PURPOSES),
        fails=st.sampled_from([False, False, False, True]),
    )
    def append(self, size: int, subject: bytes | None, purpose: str, fails: bool) -> None:
        first = len(self.rows)
        numbers = range(first, first + size)
        entries = [entry(number, subject=subject, purpose=purpose) for number in numbers]
        with contextlib.suppress(ActFailed), self.world.database.write() as connection:
            done = self.world.log.append_many(connection, entries)
            assert [item.seq for item in done] == list(numbers)
            if fails:
                raise ActFailed
        if not fails:
            self.rows += [(subject, number) for number in numbers]

    @rule(subject=st.sampled_from(SUBJECTS[1:]))
    def erase(self, subject: bytes) -> None:
        with self.world.database.write() as connection:
            self.world.log.erase(connection, subject, actor="operator", at_ms=0)
        self.rows = [(who, -1 if who == subject else number) for who, number in self.rows]
        self.rows.append((None, -2))

    @rule()
    def restart(self) -> None:
        self.world.close()
        self.world = open_world(self.home)

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
        _, number = self.rows[seq]
        if number == -1:
            with pytest.raises(PayloadErased):
                self.world.log.payload(seq)
        elif number >= 0:
            assert self.world.log.payload(seq) == {"number": number}

    @invariant()
    def the_head_is_that_of_the_rows(self) -> None:
        head = self.world.log.head()
        assert head.size == len(self.rows)
        assert head.root == Frontier().extend(self.hashes()).root()

    @invariant()
    def the_index_finds_exactly_what_was_not_erased(self) -> None:
        for subject in SUBJECTS[1:]:
            expected = [at for at, (who, number) in enumerate(self.rows) if who == subject != -1]
            expected = [at for at in expected if self.rows[at][1] != -1]
            assert self.world.log.about(subject) == expected

    def hashes(self) -> list[bytes]:
        with self.world.database.read() as connection:
            rows = list(self.world.log.leaves(connection, 0, 1 << 40))
        assert all(leaf_hash(row.leaf) == row.leaf_hash for row in rows)
        return [row.leaf_hash for row in rows]

    def teardown(self) -> None:
        try:
            report = verify_path(self.home)
            assert report.outcome is Outcome.VALID, report.lines()
            assert report.size == len(self.rows)
        finally:
            self.world.close()
            self.directory.cleanup()


LogMachine.TestCase.settings = settings(
    max_examples=10,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestTheLogBehavesLikeAList = LogMachine.TestCase
