"""Telling other members: what is promised in the outbox is delivered, in order, and acknowledged.

Each member is served on its own, several at a time, and hears what was said first first. One that
cannot be reached is left alone for a moment that grows to `MAX_PAUSE_MS`; nothing is lost
meanwhile. An answer counts only under the member's own signature. Notices are idempotent, so two
processes may push at once.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from audit.database import Database
from consent.fields import MAX_TIME_MS
from consent.right_notices import DOMAIN, Acknowledgement, verify_acknowledgement
from node.rights.errors import ConsentNotHere
from node.storage import rights_outbox
from node.storage.rights_outbox import Waiting
from protocols.directory import Directory
from protocols.errors import CredenceError, SignatureInvalid
from protocols.keys import SigningKey

MAX_PARALLEL = 8
FIRST_PAUSE_MS = 250
MAX_PAUSE_MS = 4_000
FIRST_RETRY_MS = 2_000
MAX_RETRY_MS = 3_600_000

log = structlog.get_logger("node.rights")


class Courier(Protocol):
    """Carries a notice to a member and its acknowledgement back."""

    def tell(self, member_id: str, body: bytes, signature: bytes) -> Acknowledgement:
        """Deliver; raises a `CredenceError` when the member cannot be reached or refuses."""
        ...


@dataclass
class Pushed:
    """What one push came to: accepted notices, refusals by code, members not reached by code."""

    accepted: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    unreachable: dict[str, str] = field(default_factory=dict)


class RightsDeliverer:
    """Empties the outbox; thread-safe."""

    def __init__(
        self,
        *,
        database: Database,
        signing_key: Callable[[], SigningKey],
        directory: Callable[[], Directory],
        courier: Courier,
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._key = signing_key
        self._directory = directory
        self._courier = courier
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: dict[str, tuple[int, int]] = {}  # member -> (in a row, not before ms)

    def push(self, *, at_once: bool = False) -> Pushed:
        """Deliver what waits; with `at_once` also to members that were just unreachable."""
        now_ms = self._clock()
        with self._database.read() as connection:
            waiting = rights_outbox.waiting_members(connection)
        with self._lock:
            members = [
                one for one in waiting if at_once or self._failures.get(one, (0, 0))[1] <= now_ms
            ]
        return self._push(members)

    def _push(self, members: Sequence[str]) -> Pushed:
        pushed = Pushed()
        if len(members) == 1:
            self._push_member(members[0], pushed)
        elif members:
            workers = min(len(members), MAX_PARALLEL)
            with ThreadPoolExecutor(workers, thread_name_prefix="rights-push") as pool:
                for push in [pool.submit(self._push_member, one, pushed) for one in members]:
                    push.result()
        return pushed

    def _push_member(self, member_id: str, pushed: Pushed) -> None:
        try:
            while (sent := self._next(member_id)) is not None:
                try:
                    answer = self._tell(sent)
                except CredenceError as error:
                    if error.retryable and not isinstance(error, ConsentNotHere):
                        raise  # the member is away
                    self._postpone(sent, error)  # this notice waits, others go
                    continue
                with self._database.write() as connection:
                    rights_outbox.settle(connection, sent, answer)
                with self._lock:
                    if answer.refusal:
                        pushed.refused[answer.refusal] = pushed.refused.get(answer.refusal, 0) + 1
                    else:
                        pushed.accepted += 1
        except CredenceError as error:
            self._leave_alone(member_id, error)
            with self._lock:
                pushed.unreachable[member_id] = error.code
        else:
            with self._lock:
                self._failures.pop(member_id, None)

    def _next(self, member_id: str) -> Waiting | None:
        with self._database.read() as connection:
            return rights_outbox.next_for(connection, member_id, self._clock())

    def _tell(self, sent: Waiting) -> Acknowledgement:
        signature = self._key().sign(DOMAIN, sent.body)
        answer = self._courier.tell(sent.member_id, sent.body, signature)
        if not 0 <= answer.effective_at_ms <= MAX_TIME_MS:
            raise SignatureInvalid("an acknowledgement of no time")
        receiver = self._directory().member(sent.member_id)
        verify_acknowledgement(answer, sent.body, receiver, self._clock())
        return answer

    def _postpone(self, sent: Waiting, error: CredenceError) -> None:
        pause_ms = min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** min(sent.attempts, 20))
        with self._database.write() as connection:
            rights_outbox.later(connection, sent.message_id, self._clock() + pause_ms)
        log.warning("rights.notice_waits", peer=sent.member_id, code=error.code)

    def _leave_alone(self, member_id: str, error: CredenceError) -> None:
        with self._lock:
            failures = self._failures.get(member_id, (0, 0))[0] + 1
            pause_ms = min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** min(failures - 1, 10))
            self._failures[member_id] = (failures, self._clock() + pause_ms)
        log.warning("rights.push_failed", peer=member_id, code=error.code, failures=failures)
