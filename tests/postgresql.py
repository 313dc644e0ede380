"""A PostgreSQL server of the tests' own: in a directory of its own, on a socket in it, no port.

It runs as another user where the tests run as root, for the server refuses root. Without its
programs the tests that need it are skipped; where CREDENCE_REQUIRE_POSTGRESQL is set, they fail.
"""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import create_engine, text

BASE = "postgresql+psycopg://credence@/postgres"


class Server:
    """A running server; each `url` is an empty schema, which stands for a database."""

    def __init__(self, home: Path) -> None:
        self._socket = quote(str(home))
        self._made = 0

    def url(self) -> str:
        self._made += 1
        schema = f"s{os.getpid()}_{self._made}"
        self.run(f"CREATE SCHEMA {schema}")
        return f"{BASE}?host={self._socket}&options=-csearch_path%3D{schema}"

    def run(self, sql: str) -> None:
        engine = create_engine(f"{BASE}?host={self._socket}", isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(sql))
        engine.dispose()


def programs() -> Path | None:
    """Where `initdb` and `postgres` are."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    on_path = shutil.which("postgres")
    candidates = [*found, *([Path(on_path).parent] if on_path else [])]
    return next((one for one in candidates if (one / "initdb").exists()), None)


@contextlib.contextmanager
def serving(*, durable: bool = False, options: tuple[str, ...] = ()) -> Iterator[Server]:
    """A new server until the block ends; `durable`: with every commit on disk."""
    bin_ = programs()
    assert bin_ is not None
    home = Path(tempfile.mkdtemp(prefix="credence-pg-"))
    runs_as: dict[str, object] = {}
    if os.getuid() == 0:
        names = {one.pw_name: one for one in pwd.getpwall()}
        user = names.get("postgres") or names["nobody"]
        os.chown(home, user.pw_uid, user.pw_gid)
        runs_as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    with (home / "log").open("wb") as said:
        quiet = {"cwd": home, "stdout": said, "stderr": said, **runs_as}
        initdb = [bin_ / "initdb", "-D", home / "data", "-A", "trust", "-U", "credence"]
        subprocess.run([*initdb, "--no-sync", "-E", "UTF8", "--locale=C"], check=True, **quiet)
        settings = [f"-cunix_socket_directories={home}", "-clisten_addresses=", *options]
        if not durable:
            settings += ["-cfsync=off", "-cfull_page_writes=off"]
        process = subprocess.Popen([bin_ / "postgres", "-D", home / "data", *settings], **quiet)
    try:
        _wait(bin_, home, process)
        yield Server(home)
    finally:
        process.send_signal(signal.SIGINT)  # SIGTERM would wait for connections left open
        try:
            process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(home, ignore_errors=True)


def _wait(bin_: Path, home: Path, process: subprocess.Popen[bytes]) -> None:
    ready = [bin_ / "pg_isready", "-q", "-h", home, "-U", "credence"]
    deadline = time.monotonic() + 60
    while subprocess.run(ready, check=False).returncode != 0:
        assert process.poll() is None, (home / "log").read_text()
        assert time.monotonic() < deadline, "the database server does not answer"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """The server of this run of the tests."""
    if programs() is None:
        if os.environ.get("CREDENCE_REQUIRE_POSTGRESQL"):
            pytest.fail("PostgreSQL's programs are not installed")
        pytest.skip("PostgreSQL's programs (initdb, postgres) are not installed")
    with serving() as server:
        yield server
