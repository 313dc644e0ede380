"""What goes wrong at the command line is told in two lines, exits 1, and leaves nothing behind.

The commands are the real ones: in this process where they end by themselves, as processes of their
own where they would stay or where the system must refuse them something.
"""

import contextlib
import hashlib
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from coordinator.bootstrap import init_coordinator
from coordinator.settings import make_settings
from deploy import command
from deploy.sandbox.lock import only_sandbox
from tests.deploy.test_uci import HEADER, ROWS, changed, write
from tests.node.coordinated import free_port, invite, serving_coordinator
from tests.node.ingest_world import bank_tables, identifier, write_tables

ROOT = Path(__file__).resolve().parent.parent.parent
KIB = 1024


@dataclass(frozen=True)
class Told:
    """What a command said and how it ended."""

    status: int
    out: str
    err: str

    def refused(self, code: str) -> str:
        """The first of exactly two lines, which holds `code`; the second says what to do."""
        assert self.status == 1, self
        assert self.out == ""
        assert "Traceback" not in self.err
        lines = [line for line in self.err.splitlines() if not line.startswith("{")]  # its log
        assert len(lines) == 2, self.err
        assert lines[0].startswith(f"error {code}: "), self.err
        assert lines[1].startswith("  "), self.err
        assert lines[1].endswith("."), self.err
        return lines[0]


@pytest.fixture
def credence(monkeypatch, capsys):
    """The command line, in this process."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["credence", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            command.main()
        said = capsys.readouterr()
        return Told(int(ended.value.code or 0), said.out, said.err)

    return run


def process(*arguments, most_kib: int | None = None) -> Told:
    """The command line as a process; no file may grow past `most_kib`, as on a full disk."""
    line = shlex.join([sys.executable, "-m", "deploy.command", *map(str, arguments)])
    if most_kib is not None:
        line = f"ulimit -f {most_kib * KIB // 512}; exec {line}"
    done = subprocess.run(
        ["/bin/sh", "-c", line], capture_output=True, text=True, check=False, cwd=ROOT, timeout=60
    )
    return Told(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def coordinator(tmp_path_factory):
    with serving_coordinator(tmp_path_factory.mktemp("network") / "coordinator") as opened:
        yield opened


@pytest.fixture(scope="module")
def member(tmp_path_factory, coordinator):
    """The home of a node that has joined, with ports of its own."""
    home = tmp_path_factory.mktemp("bank") / "home"
    ports = [f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"]
    options = ["--member", "bank-a", "--name", "A", "--holds", "credit_account"]
    made = process("node", "init", home, *options, "--listen", ports[0], "--http", ports[1])
    assert made.status == 0, made
    joined = process("node", "join", home, "--invitation", invite(coordinator, "bank-a"))
    assert joined.status == 0, joined
    return home, ports


def contents(directory: Path) -> dict[str, str]:
    """Everything below a directory, but what SQLite keeps beside a database."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm", ".db", ".lock"))
    }


@contextlib.contextmanager
def taken(endpoint: str) -> Iterator[None]:
    """Somebody else listens there."""
    with socket.create_server(("127.0.0.1", int(endpoint.rpartition(":")[2]))):
        yield


# Records: the institution's own CSV files.

RECORDS = [
    ("a missing file", "records_missing", "customers", None, "customers.csv"),
    ("a spreadsheet", "records_malformed", "customers", b"PK\x03\x04\x14\x00\x06", "customers.csv"),
    ("a wrong column", "records_malformed", "outcomes", b"customer_id,default,day\n", "defaulted"),
    (
        "an unknown status code",
        "records_invalid",
        "statements",
        b"customer_id,account_id,month,status,billed,paid\nc1,card,2025-04,9,,\n",
        "statements.csv, line 2, column status",
    ),
    (
        "a subject twice",
        "records_duplicate",
        "customers",
        f"customer_id,identifier\nc1,{identifier(1)}\nc2,{identifier(1)}\n".encode(),
        "customers.csv, line 3, column identifier",
    ),
]


@pytest.mark.parametrize(
    ("code", "table", "data", "place"), [case[1:] for case in RECORDS], ids=[c[0] for c in RECORDS]
)
def test_bad_records_are_refused_with_their_place(
    credence, member, tmp_path, code, table, data, place
):
    inbox = write_tables(tmp_path / "inbox", **bank_tables())
    file = inbox / f"{table}.csv"
    if data is None:
        file.unlink()
    else:
        file.write_bytes(data)
    before = contents(member[0])
    line = credence("node", "ingest", member[0], inbox).refused(code)
    assert place in line
    assert identifier(1) not in line
    assert contents(member[0]) == before


def test_a_missing_inbox_is_named(credence, member, tmp_path):
    line = credence("node", "ingest", member[0], tmp_path / "none").refused("records_missing")
    assert str(tmp_path / "none") in line


# The demo's data.

CLIENTS = [
    ("missing", "records_missing", None),
    ("empty", "records_malformed", b""),
    ("a wrong column", "records_malformed", [HEADER[:-1], ROWS]),
    ("an unknown status code", "records_invalid", [HEADER, changed(1, "PAY_3", 12)]),
    ("a client twice", "records_duplicate", [HEADER, [*ROWS, ROWS[0]]]),
]


@pytest.mark.parametrize(
    ("code", "content"), [case[1:] for case in CLIENTS], ids=[c[0] for c in CLIENTS]
)
def test_bad_data_is_refused_before_a_sandbox_is_made(credence, tmp_path, code, content):
    file, root, report = tmp_path / "clients.csv", tmp_path / "sandbox", tmp_path / "report.json"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        write(file, content[1], header=content[0])
    told = credence("demo", "--once", "--data", file, "--dir", root, "--json", report)
    assert "clients.csv" in told.refused(code)
    assert not root.exists()
    assert not report.exists()


# Ports.


@pytest.mark.parametrize("number", [0, 1], ids=["members", "HTTP"])
def test_a_node_whose_port_is_taken_says_which(member, number):
    home, ports = member
    with taken(ports[number]):
        assert ports[number] in process("node", "run", home).refused("port_in_use")


@pytest.mark.parametrize("which", ["listen_members", "listen_enrolment"])
def test_a_coordinator_whose_port_is_taken_says_which(tmp_path, which):
    ports = {"listen_members": free_port(), "listen_enrolment": free_port()}
    settings = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    init_coordinator(tmp_path / "c", make_settings(name="test", **settings))
    with taken(settings[which]):
        told = process("coordinator", "run", tmp_path / "c")
    assert settings[which] in told.refused("port_in_use")


# Directories that are full, or that nobody may write.


@pytest.mark.parametrize("most_kib", [0, 4, 32])
@pytest.mark.parametrize(
    "arguments", [("node", "init", "--member", "bank-a", "--name", "A"), ("coordinator", "init")]
)
def test_a_home_that_does_not_fit_is_not_made(tmp_path, arguments, most_kib):
    told = process(*arguments[:2], tmp_path / "home", *arguments[2:], most_kib=most_kib)
    code = told.err.split()[1].rstrip(":")
    assert code in {"home_unusable", "database_unavailable", "file_unusable"}
    told.refused(code)
    assert list(tmp_path.iterdir()) == []


def test_an_invitation_that_cannot_be_written_is_not_given(tmp_path):
    init_coordinator(tmp_path / "c", make_settings(name="test"))
    told = process("coordinator", "invite", tmp_path / "c", "bank-a", most_kib=4)
    told.refused("database_unavailable")
    assert "credence-invite:" not in told.err
    status = process("coordinator", "status", tmp_path / "c", "--json")
    assert '"invitations": 0' in status.out


def test_an_ingest_that_does_not_fit_leaves_what_was_there(member, tmp_path):
    inbox = write_tables(tmp_path / "inbox", **bank_tables())
    before = contents(member[0])
    told = process("node", "ingest", member[0], inbox, most_kib=1)
    code = told.err.split()[1].rstrip(":")
    assert code in {"records_unwritable", "database_unavailable", "file_unusable"}
    told.refused(code)
    assert contents(member[0]) == before


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("node", "init", "--member", "bank-a", "--name", "A"), "home_unusable"),
        (("coordinator", "init"), "home_unusable"),
        (("demo", "--once", "--dir"), "invalid_input"),
    ],
)
def test_a_place_that_cannot_be_written_is_named(credence, tmp_path, arguments, code):
    (tmp_path / "file").write_text("dear")
    place = tmp_path / "file" / "home"
    if arguments[0] == "demo":
        told = credence(*arguments, place)
    else:
        told = credence(*arguments[:2], place, *arguments[2:])
    assert str(place) in told.refused(code)
    assert contents(tmp_path) == {"file": hashlib.sha256(b"dear").hexdigest()}


def test_a_report_that_cannot_be_written_is_refused_before_the_work(credence, tmp_path):
    told = credence("demo", "--once", "--dir", tmp_path / "d", "--json", tmp_path / "no" / "r.json")
    assert "r.json" in told.refused("invalid_input")
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("room", ["node", "coordinator"])
@pytest.mark.parametrize("there", [True, False])
def test_a_run_where_there_is_no_home_leaves_nothing_there(credence, tmp_path, room, there):
    home = tmp_path / "home"
    if there:
        home.mkdir()
    assert str(home) in credence(room, "run", home).refused("home_unusable")
    assert not there or list(home.iterdir()) == []


def test_a_sandbox_that_is_not_there_is_not_kept(credence, tmp_path):
    told = credence("demo", "--keep", "--dir", tmp_path / "d")
    told.refused("invalid_input")
    assert not (tmp_path / "d").exists()


# A coordinator that is not there.


def test_joining_a_dead_coordinator_changes_nothing(credence, tmp_path):
    init_coordinator(tmp_path / "c", make_settings(name="test"))
    line = process("coordinator", "invite", tmp_path / "c", "bank-b").out.strip()
    home = tmp_path / "home"
    assert process("node", "init", home, "--member", "bank-b", "--name", "B").status == 0
    before = contents(home)
    credence("node", "join", home, "--invitation", line).refused("enrolment_unreachable")
    assert contents(home) == before


def test_training_without_a_running_coordinator_proposes_nothing(credence, tmp_path):
    init_coordinator(tmp_path / "c", make_settings(name="test"))
    assert str(tmp_path / "c") in credence("train", tmp_path / "c").refused("unavailable")
    assert '"campaign": null' in process("coordinator", "status", tmp_path / "c", "--json").out


# A second run while one is up.


def test_a_second_coordinator_is_refused_and_the_first_goes_on(tmp_path):
    """Of a node: tests/node/test_node_command.py."""
    home = tmp_path / "c"
    ports = {"listen_members": free_port(), "listen_enrolment": free_port()}
    settings = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    init_coordinator(home, make_settings(name="test", **settings))
    first = subprocess.Popen(
        [sys.executable, "-m", "deploy.command", "coordinator", "run", str(home)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    )
    with first:
        assert first.stdout is not None
        assert any(" ready: " in line for line in first.stdout)
        assert str(home) in process("coordinator", "run", home).refused("already_running")
        assert first.poll() is None
        first.terminate()


def test_a_second_demo_is_refused(credence, tmp_path):
    with only_sandbox(tmp_path / "d"):
        told = credence("demo", "--once", "--dir", tmp_path / "d")
    assert str(tmp_path / "d") in told.refused("sandbox_running")
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["sandbox.lock"]
