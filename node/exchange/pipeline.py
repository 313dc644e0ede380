"""The requests of one stream: a few under way at a time, answered in order, none lost.

A window keeps a request from growing old while others before it are answered, and memory small. A
request that was sent and not answered can be sent again, byte for byte, on the next stream: the
holder gives the same answer and counts no second use.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from protocols.envelope import AnswerMismatch, OutgoingRequest
from protocols.v1.exchange_pb2 import SealedRequest


class Consented(Protocol):
    """A consent to ask under; `consent.policy.Terms` and a stored `LiveConsent` are ones."""

    @property
    def consent_id(self) -> str:
        """Its id, "con_" and 26 characters."""
        ...

    @property
    def consent_hash(self) -> bytes:
        """Hash of the version in force, 32 bytes."""
        ...

    @property
    def pseudonym(self) -> bytes:
        """The person, 32 bytes."""
        ...

    @property
    def holders(self) -> frozenset[str]:
        """Member ids that may release."""
        ...


@dataclass(slots=True)
class Sent:
    """One request and the people it asks about, in its order.

    Attributes:
        people: the consents asked under.
        request: what was signed.
        sent_at: monotonic seconds of the last time it was handed to the stream.
    """

    people: Sequence[Consented]
    request: OutgoingRequest
    sent_at: float = field(default=0.0)


class Pipeline:
    """Feeds one stream. gRPC draws `messages` in a thread of its own."""

    def __init__(self, requests: Iterator[Sent], width: int) -> None:
        """Feed from `requests`, at most `width` of them unanswered at a time."""
        self._requests = requests
        self._room = threading.Semaphore(width)
        self._lock = threading.Lock()
        self._closed = False
        self._waiting: deque[Sent] = deque()

    def messages(self) -> Iterator[SealedRequest]:
        """What to send; waits while the window is full."""
        while True:
            self._room.acquire()
            with self._lock:
                sent = None if self._closed else next(self._requests, None)
                if sent is None:
                    return
                sent.sent_at = time.monotonic()
                self._waiting.append(sent)
            yield sent.request.message

    def answered(self) -> Sent:
        """The request that the next answer belongs to.

        Raises:
            AnswerMismatch: every request was answered already.
        """
        with self._lock:
            if not self._waiting:
                raise AnswerMismatch("an answer to no request")
            sent = self._waiting.popleft()
        self._room.release()
        return sent

    def close(self) -> list[Sent]:
        """End the stream's feed; what was sent and not answered, in order."""
        with self._lock:
            self._closed = True
            unanswered = list(self._waiting)
            self._waiting.clear()
        self._room.release()
        return unanswered
