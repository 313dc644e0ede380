"""Five members, a real coordinator's board and real trustees, in memory but for their databases."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from audit.database import Database
from audit.shredding import DataKeys
from audit.store import AuditLog
from coordinator.bootstrap import Coordinator
from coordinator.ceremonies.board import Board
from coordinator.ceremonies.service import make_board
from coordinator.storage.ceremonies import EntryRow
from node.enrolment.pseudonym_keys import PseudonymKeys
from node.storage.schema import ensure_schema
from node.trustees.board_client import Announced, SignedEntry
from node.trustees.participation import Participation
from node.trustees.shares import Shares
from protocols.dkg_entries import Round
from tests.coordinator.applicants import NOW, Applicant, join

NAMES = ("bank-a", "bank-b", "bank-c", "payments", "public-records")


@dataclass
class Clock:
    """UTC milliseconds that a test moves."""

    at_ms: int = NOW

    def __call__(self) -> int:
        return self.at_ms


@dataclass
class DirectBoard:
    """The coordinator's board as one member reaches it; a test may change what it is shown."""

    board: Board
    member_id: str
    clock: Clock
    show: Callable[[Round, list[SignedEntry]], list[SignedEntry]] = field(
        default=lambda _round, entries: entries
    )

    def current(self) -> Announced:
        row, result = self.board.current()
        return Announced(row.document, row.state, result)

    def post(self, ceremony_id: str, round_: Round, entry: SignedEntry) -> None:
        row = EntryRow(round_, entry.member_id, entry.body, entry.signature)
        self.board.post(self.member_id, ceremony_id, row, self.clock())

    def read(self, ceremony_id: str, round_: Round) -> list[SignedEntry]:
        found = [
            SignedEntry(one.member_id, one.body, one.signature)
            for one in self.board.read(ceremony_id, round_)
        ]
        return self.show(round_, found)


@dataclass
class Member:
    """One trustee: its keys, its database, its way through a ceremony."""

    applicant: Applicant
    database: Database
    board: DirectBoard
    keys: PseudonymKeys
    shares: Shares
    participation: Participation

    def step(self) -> None:
        """One step, whenever the last one was."""
        self.participation._next_look = 0.0
        self.participation.step()


@dataclass
class World:
    """The network of a test."""

    coordinator: Coordinator
    clock: Clock
    members: dict[str, Member]

    @property
    def board(self) -> Board:
        return make_board(self.coordinator)

    def announce(self, threshold: int = 3) -> str:
        return self.board.announce(threshold, NAMES, self.clock(), round_ms=60_000).ceremony_id

    def state(self) -> str:
        return self.board.current()[0].state

    def run(self, *, without: tuple[str, ...] = (), turns: int = 40) -> str:
        """Let all members and the board take turns to the end; late rounds are closed."""
        for _ in range(turns):
            before = self.state()
            for name, member in self.members.items():
                if name not in without:
                    member.step()
            if not self.board.turn(self.clock()) and self.state() == before:
                self.clock.at_ms += 61_000
            if self.state() in {"completed", "failed"}:
                break
        for name, member in self.members.items():
            if name not in without:
                member.step()
        return self.state()

    def close(self) -> None:
        for member in self.members.values():
            member.database.close()


def make_world(coordinator: Coordinator, root: Path) -> World:
    """Five members that have joined."""
    clock = Clock()
    applicants = {name: Applicant(member_id=name) for name in NAMES}
    for applicant in applicants.values():
        join(coordinator, applicant)
    members = {
        name: make_member(coordinator, clock, applicant, root / f"{name}.db")
        for name, applicant in applicants.items()
    }
    return World(coordinator, clock, members)


def make_member(coordinator: Coordinator, clock: Clock, applicant: Applicant, path: Path) -> Member:
    """A trustee's process, with what stands in its database."""
    database = Database(f"sqlite:///{path}")
    ensure_schema(database)
    directory = coordinator.membership.directory
    key = coordinator.keys.directory.verify_key
    board = DirectBoard(make_board(coordinator), applicant.member_id, clock)
    keys = PseudonymKeys(database, key, directory, coordinator.membership.document)
    data_keys = DataKeys(Database(f"sqlite:///{path}.keys"), b"k" * 32)
    log = AuditLog(applicant.member_id, database, data_keys, b"i" * 32)
    shares = Shares(database, applicant.member_id, b"k" * 32, log)
    participation = Participation(
        member_id=applicant.member_id,
        signing=lambda: applicant.signing,
        sealing=lambda: applicant.sealing,
        directory_key=key,
        directory=directory,
        board=board,
        keys=keys,
        shares=shares,
        now_ms=clock,
    )
    return Member(applicant, database, board, keys, shares, participation)
