"""Who numbers the staged entries of a server database: one at a time, wherever it runs.

Every process that serves keeps a `Sequencer`; one of them leads:

1. It holds an advisory lock of its own session. Who dies lets go of it, and another leads within
   `STANDBY_S`; who only stops (paused, cut off) has its session ended by the server after
   `LEADER_IDLE_MS`.
2. Who begins to lead raises the epoch. Each batch is moved under the epoch it was begun in, checked
   in its own transaction: a leader of before that goes on is refused (`Fenced`).
3. A batch is moved in one transaction under the lock on the head's row (`audit.staging`): no gap,
   nothing twice, whoever else writes.

Who waits for a number while nobody leads does the work itself.
"""

import threading
import time
from collections.abc import Iterable

import structlog

from audit import staging
from audit.database import Connection, Database
from protocols.errors import CredenceError, StateConflict, Unavailable

STANDBY_S = 0.5  # between attempts to lead
IDLE_S = 0.02  # between looks for what other processes staged; own callers wake the leader
POLL_S = 0.02  # between looks for a number that another process gives
LEADER_IDLE_MS = 10_000
RECENT = 8 * staging.BATCH  # numbers remembered for who asks a moment later

_LEAD = "SELECT pg_try_advisory_lock(1129464133, hashtext(current_schema()))"
_NEXT_EPOCH = "UPDATE audit_sequencer SET epoch = epoch + 1 RETURNING epoch"
_EPOCH = "SELECT epoch FROM audit_sequencer FOR SHARE"
_GIVE_UP_WHEN_IDLE = (
    f"SELECT set_config('idle_session_timeout', '{LEADER_IDLE_MS}', false),"
    f" set_config('idle_in_transaction_session_timeout', '{LEADER_IDLE_MS}', false)"
)

log = structlog.get_logger("audit.sequencer")


class Fenced(StateConflict):
    """Another leads: it may go on, this one may not."""

    code = "sequencer_fenced"
    next_step = "Nothing to do: the process that leads now numbers the entries."


class NotNumbered(Unavailable):
    """An entry has committed with its act and got no number in time."""

    code = "audit_not_numbered"
    next_step = "Ask again: the act is done and logged. If it stays, look at the audit database."


class _Waiter:
    """Somebody who needs the numbers of some leaves."""

    def __init__(self, hashes: Iterable[bytes]) -> None:
        self.missing = set(hashes)
        self.found: dict[bytes, int] = {}
        self.complete = threading.Event()

    def tell(self, numbers: dict[bytes, int]) -> None:
        for leaf_hash in self.missing & numbers.keys():
            self.found[leaf_hash] = numbers[leaf_hash]
        self.missing -= numbers.keys()
        if not self.missing:
            self.complete.set()


class Sequencer:
    """Numbers staged entries while it leads, and tells who waits; thread-safe."""

    def __init__(self, database: Database) -> None:
        """Make one for the log in `database`; it leads only after `start`."""
        self._database = database
        self._stopping = threading.Event()
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None
        self._leading = False
        self._lock = threading.Lock()
        self._waiting: dict[bytes, _Waiter] = {}
        self._recent: dict[bytes, int] = {}

    def start(self) -> None:
        """Lead from now on, or stand by until nobody else does."""
        self._thread = threading.Thread(target=self._run, name="audit-sequencer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let another lead; what is staged stays staged."""
        self._stopping.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)

    def wait(self, hashes: Iterable[bytes], timeout_s: float) -> dict[bytes, int]:
        """The numbers of leaves that were staged by transactions that have committed.

        Raises:
            NotNumbered: some have none after `timeout_s` seconds.
        """
        waiter = _Waiter(hashes)
        deadline = time.monotonic() + timeout_s
        with self._lock:
            waiter.tell(self._recent)
            self._waiting.update(dict.fromkeys(waiter.missing, waiter))
        try:
            self._wanted.set()
            while not waiter.complete.wait(POLL_S):
                with self._database.read() as connection:
                    numbers = staging.numbers(connection, waiter.missing)
                with self._lock:
                    waiter.tell(numbers)
                if not waiter.complete.is_set() and time.monotonic() > deadline:
                    raise NotNumbered(f"{len(waiter.missing)} entries have no number yet")
                if not self._leading and not waiter.complete.is_set():
                    self.step()
        finally:
            with self._lock:
                for leaf_hash in list(waiter.missing) + list(waiter.found):
                    if self._waiting.get(leaf_hash) is waiter:
                        del self._waiting[leaf_hash]
        return waiter.found

    def step(self) -> bool:
        """Lead for once: number what is staged; False: another leads."""
        with self._database.session() as connection:
            epoch = take_lead(connection)
            if epoch is None:
                return False
            while self._tell(move(connection, epoch)) == staging.BATCH:
                pass
        return True

    def _run(self) -> None:
        failing = ""
        while not self._stopping.is_set():
            try:
                self._lead()
                failing = ""
            except CredenceError as error:
                if error.code != failing:
                    log.warning("audit.sequencer_stopped", code=error.code)
                failing = error.code
            except Exception as error:  # noqa: BLE001
                # The thread must outlive it; its text may quote data, its type does not.
                log.error("audit.sequencer_failed", error=type(error).__name__)  # noqa: TRY400
            finally:
                self._leading = False
            self._stopping.wait(STANDBY_S)

    def _lead(self) -> None:
        with self._database.session() as connection:
            epoch = take_lead(connection)
            if epoch is None:
                return
            self._leading = True
            log.info("audit.sequencer_leads", epoch=epoch)
            while not self._stopping.is_set():
                self._wanted.clear()
                if self._tell(move(connection, epoch)) < staging.BATCH:
                    self._wanted.wait(IDLE_S)

    def _tell(self, numbers: dict[bytes, int]) -> int:
        with self._lock:
            if len(self._recent) > RECENT:
                self._recent = {}
            self._recent |= numbers
            for leaf_hash in numbers.keys() & self._waiting.keys():
                self._waiting.pop(leaf_hash).tell(numbers)
        return len(numbers)


def take_lead(connection: Connection) -> int | None:
    """Lead on this session from now until it ends; the epoch that begins, None: another leads."""
    with connection.begin():
        if not connection.exec_driver_sql(_LEAD).scalar_one():  # 1
            return None
        connection.exec_driver_sql(_GIVE_UP_WHEN_IDLE)
        epoch: int = connection.exec_driver_sql(_NEXT_EPOCH).scalar_one()  # 2
    return epoch


def move(connection: Connection, epoch: int, most: int = staging.BATCH) -> dict[bytes, int]:
    """Number one batch as the leader of `epoch`; the numbers by leaf hash.

    Raises:
        Fenced: another has begun to lead since; nothing was changed.
    """
    with connection.begin():
        now = connection.exec_driver_sql(_EPOCH).scalar_one()
        if now != epoch:  # 2
            raise Fenced(f"epoch {now} has begun, this one is of {epoch}")
        return staging.integrate(connection, most)  # 3
