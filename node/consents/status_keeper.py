"""Keeps the status lists of other controllers fresh, and asks for what a push did not bring.

Every controller of a consent kept here is asked again after a third of the life of its list; after
a failure sooner and then ever more rarely, up to `MAX_PAUSE_MS`. A consent that was just delivered
is in no list yet, so its controller is asked at once. A request that would meet a stale list has it
refreshed first (`ensure`), for a moment at most. One question to a controller is under way at a
time; who comes meanwhile waits for its answer.

Where a list differs from what is held here, the signed events behind it are asked for and taken in
like deliveries.
"""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from audit.database import Database
from consent.delivery import Delivery
from consent.status_list import NONCE_BYTES
from node.consents.elapsed import Elapsed, elapsed
from node.consents.status_inbox import Question, StatusInbox
from node.consents.status_publisher import MAX_MISSED, StatusAnswer
from node.storage import statuses
from protocols.errors import CredenceError

REFRESH_AFTER = 3  # of the life: a third has passed
FIRST_PAUSE_MS = 250
MAX_PAUSE_MS = 4_000
MISSED_MS, MAX_MISSED_MS = 1_000, 60_000  # what is not cleared up is asked for ever more rarely
LOOK_EVERY_MS = 5_000  # for controllers that are no longer, or newly, of interest
MAX_PARALLEL = 8
CALL_S = 3.0
ENSURE_S = 1.0

log = structlog.get_logger("node.consents.status")


class StatusSource(Protocol):
    """Asks other members; raises a `CredenceError` when one cannot be reached."""

    def newest(
        self, controller: str, nonce: bytes, have_sha256: bytes, timeout_s: float
    ) -> StatusAnswer:
        """Its list, not verified."""
        ...

    def missed(self, controller: str, hashes: Sequence[bytes], timeout_s: float) -> list[Delivery]:
        """What it should have told this node, not verified."""
        ...


@dataclass(eq=False)
class _Line:
    """What is known of asking one controller; times are milliseconds since the machine's start."""

    asking: threading.Lock = field(default_factory=threading.Lock)
    fresh_until_ms: int = 0
    due_ms: int = 0
    pause_until_ms: int = 0
    failures: int = 0
    wanted: bool = False  # something came that the newest list does not speak of
    differing: tuple[bytes, ...] = ()
    missed_ms: int = 0  # when to ask for what was missed
    missed_pause_ms: int = MISSED_MS


class StatusKeeper:
    """Holds the lines to all controllers of interest; thread-safe."""

    def __init__(
        self,
        database: Database,
        member_id: str,
        source: StatusSource,
        inbox: StatusInbox,
        receive: Callable[[str, Sequence[Delivery]], object],
        clock: Callable[[], int],
        now: Elapsed = elapsed,
    ) -> None:
        """Wire the parts.

        Args:
            database: the node's.
            member_id: this node.
            source: asks other members.
            inbox: verifies and keeps lists.
            receive: takes in deliveries of a member (`ConsentService.receive`).
            clock: UTC milliseconds now.
            now: the time since the machine's start.
        """
        self._database = database
        self._member_id = member_id
        self._source = source
        self._inbox = inbox
        self._receive = receive
        self._clock = clock
        self._now = now
        self._lock = threading.Lock()
        self._lines: dict[str, _Line] = {}
        self._look_ms = -1
        self._pool: ThreadPoolExecutor | None = None

    def poke(self, controller: str) -> None:
        """Consents of this controller have just come: its list is asked for at once."""
        if controller == self._member_id:
            return
        with self._lock:
            self._lines.setdefault(controller, _Line()).wanted = True

    def ensure(self, controller: str) -> None:
        """Refresh a controller's list if it is stale, waiting a moment at most; never raises.

        Costs a look-up and a reading of the clock while the list is fresh.
        """
        if self.settled(controller):
            return
        if self._look_ms < 0:
            self._look(self._now().ms)
        line = self._lines.get(controller)
        if line is not None and not self.settled(controller):
            self._ask(controller, line, ENSURE_S)

    def settled(self, controller: str) -> bool:
        """Whether `ensure` has nothing to do, or nothing yet; never waits."""
        if self._look_ms < 0:
            return False
        line = self._lines.get(controller)
        if line is None:
            return True
        now_ms = self._now().ms
        if now_ms < line.fresh_until_ms and not line.wanted:
            return True
        return now_ms < line.pause_until_ms

    def step(self) -> None:
        """Ask whoever is due; call it several times a second."""
        now_ms = self._now().ms
        if now_ms >= self._look_ms + LOOK_EVERY_MS:
            self._look(now_ms)
        with self._lock:
            due = [
                (controller, line)
                for controller, line in self._lines.items()
                if now_ms >= line.pause_until_ms
                and (line.wanted or now_ms >= line.due_ms or self._has_missed(line, now_ms))
            ]
        if len(due) <= 1:
            for controller, line in due:
                self._ask(controller, line, CALL_S)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(MAX_PARALLEL, thread_name_prefix="status")
        asked = [self._pool.submit(self._ask, one, line, CALL_S) for one, line in due]
        for one in asked:
            one.result()

    def close(self) -> None:
        """End its threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)

    def _look(self, now_ms: int) -> None:
        """Have a line to each controller of consents kept here, and to no other."""
        boot_id = self._now().boot_id
        with self._lock, self._database.read() as connection:
            found = statuses.controllers(connection, self._member_id)
            proofs = statuses.proofs(connection, found) if found else {}
            for controller in found:
                if controller not in self._lines:
                    line = self._lines[controller] = _Line(wanted=True)
                    proof = proofs.get(controller)
                    if proof is not None and proof.boot_id == boot_id and not proof.doubts:
                        line.wanted = False
                        line.fresh_until_ms = proof.until_elapsed_ms
            for gone in [
                one for one, line in self._lines.items() if one not in found and not line.wanted
            ]:
                del self._lines[gone]
            self._look_ms = now_ms

    def _has_missed(self, line: _Line, now_ms: int) -> bool:
        return bool(line.differing) and now_ms >= line.missed_ms

    def _ask(self, controller: str, line: _Line, timeout_s: float) -> None:
        if not line.asking.acquire(timeout=timeout_s):
            return
        try:
            now_ms = self._now().ms
            if now_ms < line.pause_until_ms:
                return  # who asked meanwhile has failed
            if line.wanted or now_ms >= min(line.due_ms, line.fresh_until_ms):
                self._refresh(controller, line, timeout_s)
            if self._has_missed(line, now_ms):
                self._catch_up(controller, line, timeout_s)
        except CredenceError as error:
            line.wanted = True
            line.failures += 1
            pause_ms = min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** min(line.failures - 1, 10))
            line.pause_until_ms = self._now().ms + pause_ms
            if line.failures == 1:
                log.warning("status.not_refreshed", controller=controller, code=error.code)
        else:
            line.failures = 0
        finally:
            line.asking.release()

    def _refresh(self, controller: str, line: _Line, timeout_s: float) -> None:
        with self._database.read() as connection:
            proof = statuses.proofs(connection, [controller]).get(controller)
        line.wanted = False  # what comes from here on wants another
        question = Question(
            controller=controller,
            nonce=os.urandom(NONCE_BYTES),
            have_sha256=proof.bits_sha256 if proof else b"",
            wall_ms=self._clock(),
            at=self._now(),
        )
        answer = self._source.newest(controller, question.nonce, question.have_sha256, timeout_s)
        line.differing = tuple(self._inbox.accept(question, answer.head, answer.bits))
        if not line.differing:
            line.missed_pause_ms, line.missed_ms = MISSED_MS, 0
        with self._database.read() as connection:
            kept = statuses.proofs(connection, [controller])[controller]
        line.fresh_until_ms = kept.until_elapsed_ms
        line.due_ms = question.at.ms + (kept.until_elapsed_ms - question.at.ms) // REFRESH_AFTER

    def _catch_up(self, controller: str, line: _Line, timeout_s: float) -> None:
        line.missed_ms = self._now().ms + line.missed_pause_ms
        line.missed_pause_ms = min(MAX_MISSED_MS, 2 * line.missed_pause_ms)
        asked = line.differing[:MAX_MISSED]
        deliveries = self._source.missed(controller, asked, timeout_s)
        if deliveries:
            self._receive(controller, deliveries)
        # What still differs stands in doubt, and comes again with the next list.
        line.differing = line.differing[MAX_MISSED:]
        line.wanted = line.wanted or bool(deliveries)  # the next list settles what is in doubt
        log.info("status.caught_up", controller=controller, deliveries=len(deliveries))
