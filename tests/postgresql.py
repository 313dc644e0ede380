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
from typing import Any
from urllib.parse import quote

import psutil
import pytest
from sqlalchemy import create_engine, text

on_each_database = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
"""A test of what is stored, which is the same in every database that there is."""


class Server:
    """A running server; each `url` is an empty schema, which stands for a database."""

    def __init__(self, *, durable: bool, options: tuple[str, ...]) -> None:
        bin_ = programs()
        assert bin_ is not None
        self._bin = bin_
        self._home = Path(tempfile.mkdtemp(prefix="credence-pg-"))
        self._as: dict[str, Any] = {}
        if os.getuid() == 0:
            names = {one.pw_name: one for one in pwd.getpwall()}
            user = names.get("postgres") or names["nobody"]
            os.chown(self._home, user.pw_uid, user.pw_gid)
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self._settings = [f"-cunix_socket_directories={self._home}", "-clisten_addresses="]
        if not durable:
            self._settings += ["-cfsync=off", "-cfull_page_writes=off"]
        self._settings += [f"-c{option}" for option in options]
        self._made = 0
        initdb = [bin_ / "initdb", "-D", self._home / "data", "-A", "trust", "-U", "credence"]
        self._run([*initdb, "--no-sync", "-E", "UTF8", "--locale=C"]).wait()
        self.start()

    def start(self) -> None:
        """Begin, or go on after `crash`."""
        command = [self._bin / "postgres", "-D", self._home / "data", *self._settings]
        self._process = self._run(command)
        ready = [self._bin / "pg_isready", "-q", "-h", self._home, "-U", "credence"]
        deadline = time.monotonic() + 60
        while subprocess.run(ready, check=False).returncode != 0:
            assert self._process.poll() is None, (self._home / "log").read_text()
            assert time.monotonic() < deadline, "the database server does not answer"
            time.sleep(0.02)

    def crash(self) -> None:
        """Kill every process of it."""
        family = [*psutil.Process(self._process.pid).children(), self._process]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family[:-1])
        self._process.wait()
        (self._home / "data" / "postmaster.pid").unlink()

    def stop(self) -> None:
        """End it, and delete all it had."""
        self._process.send_signal(signal.SIGINT)  # SIGTERM would wait for connections left open
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.crash()
        shutil.rmtree(self._home, ignore_errors=True)

    def url(self) -> str:
        """An empty schema."""
        self._made += 1
        schema = f"s{os.getpid()}_{self._made}"
        engine = create_engine(self._base, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE SCHEMA {schema}"))
        engine.dispose()
        return f"{self._base}&options=-csearch_path%3D{schema}"

    @property
    def _base(self) -> str:
        return f"postgresql+psycopg://credence@/postgres?host={quote(str(self._home))}"

    def _run(self, command: list[Any]) -> subprocess.Popen[bytes]:
        with (self._home / "log").open("ab") as said:
            return subprocess.Popen(command, cwd=self._home, stdout=said, stderr=said, **self._as)


def programs() -> Path | None:
    """Where `initdb` and `postgres` are."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    on_path = shutil.which("postgres")
    candidates = [*found, *([Path(on_path).parent] if on_path else [])]
    return next((one for one in candidates if (one / "initdb").exists()), None)


@contextlib.contextmanager
def serving(*options: str, durable: bool = False) -> Iterator[Server]:
    """A new server until the block ends; `durable`: with every commit on disk."""
    server = Server(durable=durable, options=options)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """The server of this run of the tests."""
    if programs() is None:
        if os.environ.get("CREDENCE_REQUIRE_POSTGRESQL"):
            pytest.fail("PostgreSQL's programs are not installed")
        pytest.skip("PostgreSQL's programs (initdb, postgres) are not installed")
    with serving() as server:
        yield server


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    """The setting of a home: empty, SQLite in the home, but for tests `on_each_database`."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return ""
    server: Server = request.getfixturevalue("postgresql")
    return server.url()
