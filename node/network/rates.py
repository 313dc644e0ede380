"""How fast each peer may ask: a token bucket of subjects a peer.

A bucket fills at `subjects_per_s` up to `burst_subjects` (`TransportLimits`). A message costs one
before anything in it is read, and then one for each subject that it asks about, believed or not.
Nobody's bucket is touched by another peer's calls.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from node.network.rpc_errors import Overloaded
from node.network.transport import TransportLimits

MAX_PEERS = 4096  # twice the largest directory


class PeerOverRate(Overloaded):
    """The member asks faster than a member may."""

    code = "peer_over_rate"
    next_step = "Ask again after the time that the answer names; the same bytes may be sent."


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class PeerRates:
    """The buckets of all peers; thread-safe."""

    def __init__(
        self,
        limits: TransportLimits,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Begin with full buckets; `clock` is in monotonic seconds."""
        self._limits = limits
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._buckets: dict[str, _Bucket] = {}

    def pace(self, peer: str, subjects: int, *, held_back: bool) -> None:
        """Take from a peer's bucket; who is held back waits for up to `patience_s`.

        Raises:
            PeerOverRate: as `take`.
        """
        wait_s = self.take(peer, subjects, self._limits.patience_s if held_back else 0.0)
        if wait_s > 0:
            self._sleep(wait_s)

    async def pace_soon(self, peer: str, subjects: int, *, held_back: bool) -> None:
        """As `pace`, for an event loop."""
        wait_s = self.take(peer, subjects, self._limits.patience_s if held_back else 0.0)
        if wait_s > 0:
            await asyncio.sleep(wait_s)

    def take(self, peer: str, subjects: int, patience_s: float = 0.0) -> float:
        """Take from a peer's bucket.

        Args:
            peer: member id of an admitted peer.
            subjects: how many.
            patience_s: how long the caller is ready to wait for them.

        Returns:
            Seconds to wait before going on; 0: none.

        Raises:
            PeerOverRate: it would be longer than `patience_s`; nothing was taken.
        """
        with self._lock:
            now = self._clock()
            if len(self._buckets) > MAX_PEERS:
                self._buckets.clear()
            full = self._limits.burst_subjects
            bucket = self._buckets.setdefault(peer, _Bucket(full, now))
            grown = (now - bucket.at) * self._limits.subjects_per_s
            tokens, bucket.at = min(full, bucket.tokens + grown), now
            bucket.tokens = tokens
            wait_s = max(0.0, (subjects - tokens) / self._limits.subjects_per_s)
            if wait_s <= patience_s:
                bucket.tokens -= subjects
                return wait_s
        over = PeerOverRate("asked faster than a member may")
        over.retry_after_ms = int(wait_s * 1000) + 1
        raise over
