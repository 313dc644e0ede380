"""Calls that a client names with an Idempotency-Key (draft-ietf-httpapi-idempotency-key-header).

A call is written down before it acts, and its answer after. The same key then means:

  K1. for another request: it is refused;
  K2. while the first is under way in this process: it is refused for now;
  K3. after the first succeeded: its answer again, for 24 hours;
  K4. after the first was refused, so that nothing was done: as if it had not been there;
  K5. after a process that ended while it was under way, or a failure of ours: nobody knows whether
      it acted, and that is what is answered. The client looks, and then uses a fresh key.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from audit.database import Database
from node.scoring.requests import IdempotencyKeyReused
from node.storage import keyed_calls
from node.storage.keyed_calls import KeyedCallRow
from protocols.errors import StateConflict

KEPT_MS = 24 * 3600 * 1000
MAX_BODY_BYTES = 256 * 1024


class IdempotentCallUnderWay(StateConflict):
    """The first call with this idempotency key is not answered yet."""

    code = "idempotent_call_under_way"
    retryable = True
    next_step = "Repeat the call in a moment, with the same key."


class IdempotentCallUnfinished(StateConflict):
    """The first call with this idempotency key was cut off; whether it acted is not known."""

    code = "idempotent_call_unfinished"
    next_step = "Look whether the thing is there; only if it is not, call with a fresh key."


@dataclass(frozen=True, slots=True)
class Answered:
    """What a call was answered with.

    Attributes:
        headers: JSON of pairs.
    """

    status: int
    headers: str
    body: bytes


class KeyedCalls:
    """Remembers calls by their keys; thread-safe."""

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._under_way: set[tuple[str, str]] = set()

    def begin(self, client_id: str, key: str, request_sha256: bytes) -> Answered | None:
        """Write a call down before it acts; the answer when it was given one before (K3).

        Raises:
            IdempotencyKeyReused: K1.
            IdempotentCallUnderWay: K2.
            IdempotentCallUnfinished: K5.
        """
        now_ms = self._now_ms()
        with self._database.write() as connection:
            row = keyed_calls.find(connection, client_id, key)
            if row is not None and now_ms - row.begun_at_ms < KEPT_MS:
                return self._known(row, request_sha256)
            if row is not None:
                keyed_calls.remove(connection, client_id, key)
            keyed_calls.add(connection, KeyedCallRow(client_id, key, request_sha256, now_ms))
            with self._lock:
                self._under_way.add((client_id, key))
        return None

    def end(self, client_id: str, key: str, answered: Answered) -> None:
        """Keep an answer, so that it is given again (K3); one that is too large is lost (K5)."""
        try:
            if len(answered.body) <= MAX_BODY_BYTES:
                with self._database.write() as connection:
                    keyed_calls.answer(
                        connection, client_id, key, answered.status, answered.headers, answered.body
                    )
        finally:
            self.lose(client_id, key)

    def release(self, client_id: str, key: str) -> None:
        """Nothing was done: let the key be free (K4)."""
        try:
            with self._database.write() as connection:
                keyed_calls.remove(connection, client_id, key)
        finally:
            self.lose(client_id, key)

    def lose(self, client_id: str, key: str) -> None:
        """The call is not under way any more; what is written says what came of it (K5)."""
        with self._lock:
            self._under_way.discard((client_id, key))

    def _known(self, row: KeyedCallRow, request_sha256: bytes) -> Answered:
        if row.request_sha256 != request_sha256:  # K1
            raise IdempotencyKeyReused("this idempotency key stands for another request")
        if row.status is not None:  # K3
            return Answered(row.status, row.headers or "[]", row.body or b"")
        if (row.client_id, row.idempotency_key) in self._under_way:  # K2
            raise IdempotentCallUnderWay("the first call with this key is not answered yet")
        raise IdempotentCallUnfinished("the first call with this key was cut off")  # K5
