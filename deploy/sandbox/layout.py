"""Who is in the sandbox, and where each process keeps its things.

ROOT/coordinator/            the coordinator's home
ROOT/members/<member id>/    one node's home
ROOT/regulator/              the home of a supervisor's witness, outside the network
ROOT/inbox/<member id>/      the CSV files that the institution's own systems would deliver
ROOT/subjects/               what people hold themselves: their keys (in life: their passkeys)
ROOT/logs/<process>.log      standard output and error of each process
ROOT/holdout.csv             outcomes kept from everybody, for the report's table
ROOT/sandbox.json            members and ports, so that a second run finds its way
"""

import json
import random
import shutil
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deploy.sandbox.lock import LOCK_FILE
from protocols.errors import InvalidInput, StateConflict

LOOPBACK = "127.0.0.1"
REGULATOR = "regulator"
PORTS_OF = ("enrolment", "member", "console", "witness")
PORTS = range(20_000, 32_768)


@dataclass(frozen=True)
class MemberLayout:
    """One institution of the sandbox; without an exchange port it is behind the relay."""

    member_id: str
    name: str
    role: str
    holds: tuple[str, ...]
    exchange_port: int | None
    http_port: int
    serves: bool = True  # whether its node is ever started

    @property
    def is_bank(self) -> bool:
        """Banks lend, collect consents and train; the others only answer."""
        return self.role == "bank"

    @property
    def http_url(self) -> str:
        """Where the node's API listens."""
        return f"http://{LOOPBACK}:{self.http_port}"


@dataclass(frozen=True)
class Layout:
    """The whole sandbox on disk and on loopback."""

    root: Path
    enrolment_port: int
    member_port: int
    console_port: int
    witness_port: int
    members: tuple[MemberLayout, ...]

    @property
    def coordinator_home(self) -> Path:
        """The coordinator's home directory."""
        return self.root / "coordinator"

    @property
    def witness_home(self) -> Path:
        """The regulator's witness's home directory."""
        return self.root / REGULATOR

    @property
    def banks(self) -> tuple[MemberLayout, ...]:
        """The members that lend."""
        return tuple(member for member in self.members if member.is_bank)

    @property
    def serving(self) -> tuple[MemberLayout, ...]:
        """The members whose nodes run."""
        return tuple(member for member in self.members if member.serves)

    def home(self, member_id: str) -> Path:
        """A node's home directory."""
        return self.root / "members" / member_id

    def inbox(self, member_id: str) -> Path:
        """Where an institution's own systems put its CSV files."""
        return self.root / "inbox" / member_id

    def log(self, process: str) -> Path:
        """A process's output."""
        return self.root / "logs" / f"{process}.log"

    def save(self) -> None:
        """Write `sandbox.json`."""
        value = asdict(self) | {"root": str(self.root)}
        (self.root / "sandbox.json").write_text(json.dumps(value, indent=2) + "\n")


Institution = tuple[str, str, str, tuple[str, ...]]
"""Member id, name, role, what it holds."""

INSTITUTIONS: tuple[Institution, ...] = (
    ("bank-a", "Harbour Bank", "bank", ("credit_account",)),
    ("bank-b", "Meridian Bank", "bank", ("credit_account",)),
    ("bank-c", "Juniper Credit Bank", "bank", ("credit_account",)),
    ("payments", "Swiftlane Payments", "data_provider", ("payment",)),
    ("public-records", "Public Records Gazette", "public_record_publisher", ("public_record",)),
)


def create(
    root: Path,
    *,
    reset: bool,
    relayed: Sequence[str] = (),
    institutions: Sequence[Institution] = INSTITUTIONS,
    silent: Sequence[str] = (),
) -> Layout:
    """Lay out a new sandbox at `root` on free ports.

    Args:
        root: a new or empty directory, or an old sandbox.
        reset: whether an old sandbox may be replaced.
        relayed: member ids that accept no connection.
        institutions: who is in it.
        silent: member ids of those that join and are never started.

    Raises:
        StateConflict: there is a sandbox already and `reset` is false.
        InvalidInput: `root` holds something that is not a sandbox, or cannot be written; or there
            is no such member.
    """
    known = [member_id for member_id, *_ in institutions]
    if not set(relayed) <= set(known):
        raise InvalidInput(f"--relayed takes a member of the sandbox: {', '.join(known)}")
    try:
        _make_room(root, reset=reset)
        ports = iter(free_ports(4 + 2 * len(institutions)))
        layout = Layout(
            root=root,
            enrolment_port=next(ports),
            member_port=next(ports),
            console_port=next(ports),
            witness_port=next(ports),
            members=tuple(
                MemberLayout(
                    member_id,
                    name,
                    role,
                    holds,
                    None if member_id in relayed else next(ports),
                    next(ports),
                    member_id not in silent,
                )
                for member_id, name, role, holds in institutions
            ),
        )
        for folder in ("members", "inbox", "subjects", "logs"):
            (root / folder).mkdir()
        layout.save()
    except OSError as error:
        raise InvalidInput(
            f"cannot write the sandbox directory {root}: {error.strerror}",
            next_step="Give another directory with --dir, with room and permission to write.",
        ) from error
    return layout


def load(root: Path) -> Layout:
    """Read an existing sandbox.

    Raises:
        InvalidInput: there is none, or its file is damaged.
    """
    try:
        value: dict[str, Any] = json.loads((root / "sandbox.json").read_text())
        members = tuple(
            MemberLayout(**(entry | {"holds": tuple(entry["holds"])})) for entry in value["members"]
        )
        ports = {f"{one}_port": value[f"{one}_port"] for one in PORTS_OF}
        return Layout(root=root, members=members, **ports)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f"{root} holds no readable sandbox",
            next_step="Run `credence demo` without --keep to make a new one.",
        ) from error


def _make_room(root: Path, *, reset: bool) -> None:
    root.mkdir(parents=True, exist_ok=True)
    entries = [entry for entry in root.iterdir() if entry.name != LOCK_FILE]
    if not entries:
        return
    if not (root / "sandbox.json").exists():
        raise InvalidInput(
            f"{root} is not empty and is not a sandbox; it stays as it is",
            next_step="Give an empty or new directory with --dir.",
        )
    if not reset:
        raise StateConflict(
            f"{root} holds a sandbox already",
            next_step="Use --keep to start it again as it is, or --reset to begin anew.",
        )
    for entry in entries:
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now, all different.

    They lie below the range that systems take the near end of outgoing connections from: between
    now and the moment a process binds one, no connection of another can come to hold it.
    """
    chosen: list[int] = []
    with ExitStack() as held:
        for port in random.SystemRandom().sample(PORTS, len(PORTS)):
            if len(chosen) == count:
                break
            if _held(port, held):
                chosen.append(port)
    return chosen


def _held(port: int, held: ExitStack) -> bool:
    listener = held.enter_context(socket.socket())
    try:
        listener.bind((LOOPBACK, port))
    except OSError:
        return False
    return True
