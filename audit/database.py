"""The database in which an act and its audit leaf commit together.

One `Database` a process. SQLite (WAL, synchronous=FULL) is the embedded default, PostgreSQL the
server's. SQLite needs FULL: with NORMAL a power cut can lose a committed leaf whose head was
already signed, and an honest node becomes a forker.

Both give the same promise: who writes, writes alone. PostgreSQL would let several write at once,
and what one checked another could change before it acts; so a write transaction takes an advisory
lock there, which is let go with it, however it ends. An act that locks the rows it relies on may
say that others can write beside it (`write(parallel=True)`).
"""

import sqlite3
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.exc import TimeoutError as NoSessionFree

from protocols.errors import CredenceError, Unavailable

__all__ = ["Connection", "Database", "DatabaseDamaged", "DatabaseUnavailable"]

BUSY_TIMEOUT_MS = 15_000
SCRUB_TIMEOUT_MS = 500
SERVER_SESSIONS = 32  # of one process with a server database, kept open; ten more in a rush
CACHE_KIB = 16 * 1024  # of one connection: the pages that a busy writer comes back to
GLANCE_CACHE_KIB = 2 * 1024  # of one that is kept for single looks
GLANCES = 16  # such connections kept while nobody looks
CHECKPOINT_PAGES = 4096  # 16 MiB of log: a page that many transactions change is copied once

# Held until the transaction ends. Several schemas of one PostgreSQL database are several databases.
_WRITE_ALONE = "SELECT pg_advisory_xact_lock(1129464132, hashtext(current_schema()))"
_WRITE_BESIDE = "SELECT pg_advisory_xact_lock_shared(1129464132, hashtext(current_schema()))"


class DatabaseUnavailable(Unavailable):
    """The database refuses: full disk, read-only directory, lock held too long, server down."""

    code = "database_unavailable"
    next_step = "Check free space, permissions and that the database runs; nothing was written."


class DatabaseDamaged(CredenceError):
    """The database file is not one, or no longer one."""

    code = "database_damaged"
    next_step = "Stop the process, keep the file as evidence, and restore the last backup."


class Database:
    """Short transactions on one engine.

    `read()` gives a connection with one consistent snapshot. `write()` takes the write lock at
    once (`BEGIN IMMEDIATE` on SQLite, an advisory lock on PostgreSQL), so that what was checked
    inside is still true when it acts.
    """

    def __init__(self, url: str) -> None:
        """Open `url`, for example `sqlite:////var/lib/credence/node.db`."""
        self.url = url
        self.engine = _engine(url)
        sqlite = self.engine.dialect.name == "sqlite"  # where every transaction is a snapshot
        self.numbers_later = not sqlite  # entries of parallel transactions; see `audit.sequencer`
        self._snapshot: dict[str, Any] = {} if sqlite else {"isolation_level": "REPEATABLE READ"}
        # SQLite's own waiting for its one writer sleeps longer and longer, and is not fair:
        # threads of one process queue here, and only other processes are waited for that way.
        self._writer = threading.RLock() if sqlite else None
        self._glances = _Glances(self.engine) if sqlite else None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read-only snapshot; rolled back at the end."""
        with _one_error_family(), self.engine.connect() as plain:
            yield plain.execution_options(**self._snapshot)

    @contextmanager
    def glance(self) -> Iterator[Connection]:
        """For looks by statements of `audit.bulk`, read to their ends, each a snapshot of its own.

        SQLite's connections are kept for it, in no transaction: to get one from the pool and to
        give it back costs several times what the look does.
        """
        if self._glances is not None:
            with _one_error_family(), self._glances.one() as connection:
                yield connection
            return
        with _one_error_family(), self.engine.connect() as plain:
            yield plain.execution_options(credence_single=True)

    @contextmanager
    def write(self, *, parallel: bool = False) -> Iterator[Connection]:
        """A write transaction; commits at the end, rolls back on any exception.

        Args:
            parallel: whether others that say so too may write meanwhile, where the database can
                (PostgreSQL). For an act that locks each row which it relies on, and whose entries
                in the audit log are numbered later (`AuditLog.submit`).
        """
        options = {"credence_write": True, "credence_parallel": parallel}
        with self._turn(), _one_error_family(), self.engine.connect() as plain:
            connection = plain.execution_options(**options)
            with connection.begin():
                if self.numbers_later:
                    connection.exec_driver_sql(_WRITE_BESIDE if parallel else _WRITE_ALONE)
                yield connection

    @contextmanager
    def session(self) -> Iterator[Connection]:
        """A session of a server database that ends with the block; the caller begins transactions.

        Locks that belong to a session end with it, because it does not go back to the pool.
        """
        with _one_error_family(), self.engine.connect() as connection:
            connection.detach()
            yield connection

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if self._writer is None:
            yield
            return
        if not self._writer.acquire(timeout=BUSY_TIMEOUT_MS / 1000):
            raise DatabaseUnavailable("the database is being written to for too long")
        try:
            yield
        finally:
            self._writer.release()

    def scrub(self) -> bool:
        """Make deleted rows vanish from the files: empty SQLite's write-ahead log.

        `secure_delete` overwrites them in the main file, but older pages linger in the log.

        Returns:
            Whether it was done: not while another reader needs the log, and not on a server
            database, which has its own vacuum.
        """
        if self.engine.dialect.name != "sqlite":
            return False
        with _one_error_family(), self.engine.connect() as connection:
            # The driver's own connection: this pragma does not run inside a transaction.
            driver = connection.connection
            driver.execute(f"PRAGMA busy_timeout={SCRUB_TIMEOUT_MS}")
            try:
                busy, _, _ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                driver.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        return bool(busy == 0)

    def close(self) -> None:
        """Close all connections."""
        if self._glances is not None:
            self._glances.close()
        self.engine.dispose()


class _Glances:
    """Connections to an SQLite file in no transaction, kept while nobody looks; thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._idle: deque[Connection] = deque()

    @contextmanager
    def one(self) -> Iterator[Connection]:
        """A connection of the caller's own; one through which a look failed is not kept."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._open()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if len(self._idle) < GLANCES:
            self._idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close those that nobody looks through."""
        while self._idle:
            self._idle.pop().close()

    def _open(self) -> Connection:
        connection = self._engine.connect().execution_options(credence_single=True)
        connection.detach()  # the pool's places are for transactions
        driver: Any = connection.connection.dbapi_connection
        driver.execute(f"PRAGMA cache_size={-GLANCE_CACHE_KIB}")
        return connection


@contextmanager
def _one_error_family() -> Iterator[None]:
    try:
        yield
    except NoSessionFree as error:
        raise DatabaseUnavailable("all sessions with the database are in use") from error
    except (OperationalError, DatabaseError) as error:
        _told(error, error.orig)
    except (sqlite3.OperationalError, sqlite3.DatabaseError) as error:  # from `audit.bulk`
        _told(error, error)


def _told(error: Exception, cause: BaseException | None) -> NoReturn:
    if isinstance(error, OperationalError | sqlite3.OperationalError):
        raise DatabaseUnavailable(f"the database refused: {cause}") from error
    if type(error) not in {DatabaseError, sqlite3.DatabaseError}:
        raise error  # IntegrityError and the like: the caller's own
    raise DatabaseDamaged(f"the database is damaged: {cause}") from error


def _engine(url: str) -> Engine:
    # Hidden: an error must not carry the values of a row.
    server: dict[str, Any] = {} if url.startswith("sqlite") else {"pool_size": SERVER_SESSIONS}
    engine = create_engine(url, hide_parameters=True, pool_timeout=BUSY_TIMEOUT_MS / 1000, **server)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "connect", _configure_server)
    return engine


def _configure_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "secure_delete=ON",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        f"cache_size={-CACHE_KIB}",
        f"wal_autocheckpoint={CHECKPOINT_PAGES}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _configure_server(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = {BUSY_TIMEOUT_MS}")
        # An act that was answered for is on disk, also where the server's default is to be quick.
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'on', false)"
            " WHERE current_setting('synchronous_commit') = 'off'"
        )
    connection.commit()


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get("credence_write", False)
    driver: Any = connection.connection.driver_connection
    driver.execute("BEGIN IMMEDIATE" if write else "BEGIN")
