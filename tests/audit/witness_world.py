"""A log and its witnesses on SQLite, without a network, under a clock that tests set."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from audit.database import Database
from audit.leaf import Entry
from audit.shredding import DataKeys
from audit.store import AuditLog, create_audit_schema
from audit.verifier.cosignature import CosignatureKey
from audit.verifier.note import NoteKey
from audit.verifier.policy import Witness as PolicyWitness
from audit.witness import Answer, Witness
from audit.witness_keeper import LogKeeper, OwnLog, epoch_of
from audit.witness_round import Rounds
from audit.witness_state import Gate, Operation, rules
from audit.witness_store import held_notes
from audit.witness_tables import create_witness_schema
from protocols.errors import Unavailable
from protocols.keys import SigningKey

BASE = "bank-a.members.credence"
LOG_KEY = SigningKey.from_seed(b"l" * 32)
START_MS = 1_700_000_000_000


@dataclass
class Clock:
    """Time as a test says it is."""

    ms: int = START_MS

    def __call__(self) -> int:
        return self.ms

    def on(self, seconds: float) -> None:
        self.ms += int(seconds * 1000)


@dataclass
class LocalPeer:
    """A witness that is called directly; `down` ones answer nobody."""

    organisation: str
    database: Database
    clock: Clock
    down: bool = False
    key: SigningKey = field(init=False)

    def __post_init__(self) -> None:
        self.key = SigningKey.from_seed(self.organisation.encode().ljust(32, b"."))
        name = f"{self.organisation}.example/w"

        def watched(_connection: object, origin: str) -> Sequence[NoteKey]:
            return [NoteKey(origin, LOG_KEY.verify_key)] if epoch_of(origin, BASE) else []

        self.witness = Witness(name, lambda: self.key, watched)
        self.keys = (CosignatureKey(name, self.key.verify_key),)

    def add_checkpoint(self, body: bytes, timeout_s: float) -> Answer:
        if self.down:
            raise Unavailable(f"no answer within {timeout_s} s")
        return self.witness.answer(self.database, body, self.clock())

    def latest(self, origin: str, timeout_s: float) -> list[bytes]:
        if self.down:
            raise Unavailable(f"no answer within {timeout_s} s")
        with self.database.read() as connection:
            return held_notes(connection, origin)


class Process:
    """One process on a home: its log, keeper, rounds and gate."""

    def __init__(
        self, home: Path, peers: list[LocalPeer], clock: Clock, *, minimum: int = 2, url: str = ""
    ) -> None:
        home.mkdir(exist_ok=True)
        self.home = home
        self.database = Database(url or f"sqlite:///{home}/node.db")
        self.keys_database = Database(f"sqlite:///{home}/datakeys.db")
        with self.database.write() as connection:
            create_audit_schema(connection)
            create_witness_schema(connection)
        keys = DataKeys(self.keys_database, bytes(32))
        self.log = AuditLog(BASE, self.database, keys, bytes(32))
        own = OwnLog(
            BASE, "bank-a", self.database, self.log, lambda: LOG_KEY, lambda: [LOG_KEY.verify_key]
        )
        self.gate = Gate(
            self.database,
            clock,
            minimum=minimum,
            table=rules(),
            lost_for_good=frozenset({Operation.TRAINING}),
        )
        self.keeper = LogKeeper(
            own,
            lambda: [PolicyWitness(peer.organisation, peer.keys[0]) for peer in peers],
            minimum,
            clock,
        )
        self.rounds = Rounds(self.keeper, BASE, lambda: peers, self.gate, clock)

    def fill(self, count: int, mark: str = "x") -> None:
        entries = [
            Entry("score.issued", "bank-a", "score", f"{mark}-{n}", {"n": n}, None, START_MS)
            for n in range(count)
        ]
        with self.database.write() as connection:
            self.log.append_many(connection, entries)

    def close(self) -> None:
        self.database.close()
        self.keys_database.close()


@contextmanager
def started(
    home: Path, peers: list[LocalPeer], clock: Clock, *, minimum: int = 2, url: str = ""
) -> Iterator[Process]:
    """A process that has asked its witnesses, as one does before it serves."""
    process = Process(home, peers, clock, minimum=minimum, url=url)
    try:
        process.rounds.start()
        yield process
    finally:
        process.close()


def back_up(home: Path, to: Path) -> None:
    """Copy the whole home of a process that has ended."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(home, to)
