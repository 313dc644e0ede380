"""What tells an open page that something has changed (server-sent events, WHATWG HTML 9.2).

An event names the sections that changed, never what stands in them: the page fetches itself again,
in its reader's language and session, and replaces those. An event's id is the number of the state;
a browser that comes back says the last it had (`Last-Event-ID`) and is told at once what has
changed since, or, when that is too long ago or of another process, that all has.

Bounds: so many streams in all and for one session; a stream ends after a quarter of an hour (the
browser opens another), when its session has ended, and when the process stops. Tables are looked at
once a second however many streams there are, and not at all when there is none.
"""

import asyncio
import json
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool

from protocols.errors import CredenceError, Unavailable

_ID = re.compile(r"([0-9a-f]{8})-([0-9]{1,12})")
_REMEMBERED = 256


class LiveStreamsTaken(Unavailable):
    """As many pages are open as are kept up to date at one time."""

    code = "live_streams_taken"
    next_step = "Close a page of the console, or reload this one by hand."


@dataclass(frozen=True, slots=True)
class LiveLimits:
    """What streams may take.

    Attributes:
        streams: at one time, in all.
        of_session: at one time, of one session; browsers open six connections to a host.
        look_s: how often tables are looked at.
        check_s: how often it is seen whether the session lasts.
        beat_s: a comment after so long without an event, so that proxies keep the line.
        whole_s: after which a stream ends.
        lost_s: a stream that has not moved for so long has gone.
    """

    streams: int = 32
    of_session: int = 4
    look_s: float = 1.0
    check_s: float = 3.0
    beat_s: float = 15.0
    whole_s: float = 900.0
    lost_s: float = 10.0


class Changes:
    """Numbers the states of the console; thread-safe.

    Args:
        look: the fingerprint of each section as it stands.
        look_s: how old the last look may be.
    """

    def __init__(self, look: Callable[[], Mapping[str, str]], look_s: float) -> None:
        self._look = look
        self._look_s = look_s
        self._lock = threading.Lock()
        self._boot = secrets.token_hex(4)
        self._number = 0
        self._seen: Mapping[str, str] = {}
        self._looked_at = float("-inf")
        self._past: deque[tuple[int, frozenset[str]]] = deque(maxlen=_REMEMBERED)

    def now(self) -> str:
        """The id of the state as it is.

        Raises:
            DatabaseUnavailable: the tables cannot be read.
        """
        with self._lock:
            return self._current()

    def since(self, known: str) -> tuple[str, tuple[str, ...]]:
        """The id of the state as it is, and the sections that changed since `known`.

        Args:
            known: an id of ours, or anything else: then everything has.
        """
        with self._lock:
            current = self._current()
            match = _ID.fullmatch(known)
            number = int(match[2]) if match and match[1] == self._boot else -1
            oldest = self._past[0][0] if self._past else self._number
            if not oldest - 1 <= number <= self._number:
                return current, tuple(sorted(self._seen))
            changed = {name for at, names in self._past if at > number for name in names}
            return current, tuple(sorted(changed))

    def _current(self) -> str:
        if time.monotonic() - self._looked_at >= self._look_s:
            found = dict(self._look())
            changed = {name for name in found if self._seen.get(name) != found[name]}
            if changed:
                self._number += 1
                self._past.append((self._number, frozenset(changed)))
                self._seen = found
            self._looked_at = time.monotonic()
        return f"{self._boot}-{self._number}"


class _Seats:
    """Who holds a stream; one that stopped moving without saying so loses its seat."""

    def __init__(self, limits: LiveLimits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._held: dict[str, tuple[str, float]] = {}

    def take(self, session_id: str) -> str:
        now = time.monotonic()
        with self._lock:
            live = now - self._limits.lost_s
            self._held = {seat: held for seat, held in self._held.items() if held[1] >= live}
            own = sum(holder == session_id for holder, _ in self._held.values())
            if len(self._held) >= self._limits.streams or own >= self._limits.of_session:
                raise LiveStreamsTaken("as many pages as can be are live already")
            seat = secrets.token_hex(8)
            self._held[seat] = (session_id, now)
        return seat

    def keep(self, seat: str, session_id: str) -> None:
        with self._lock:
            self._held[seat] = (session_id, time.monotonic())

    def leave(self, seat: str) -> None:
        with self._lock:
            self._held.pop(seat, None)

    def __len__(self) -> int:
        with self._lock:
            return len(self._held)


class Live:
    """Opens streams of events.

    Args:
        look: the fingerprint of each section of the console.
        limits: what streams may take.
    """

    def __init__(
        self, look: Callable[[], Mapping[str, str]], limits: LiveLimits | None = None
    ) -> None:
        self._limits = limits or LiveLimits()
        self.changes = Changes(look, self._limits.look_s)
        self._seats = _Seats(self._limits)
        self._closing = threading.Event()

    @property
    def open_streams(self) -> int:
        """How many there are."""
        return len(self._seats)

    def close(self) -> None:
        """Let every stream end within the second."""
        self._closing.set()

    def open(
        self, session_id: str, known: str, still_signed_in: Callable[[], bool]
    ) -> AsyncIterator[str]:
        """A stream of events, from `known` on.

        Args:
            session_id: whose.
            known: the last id that the page had.
            still_signed_in: asked every few seconds, and before each event.

        Raises:
            LiveStreamsTaken: there are as many as there may be.
        """
        return self._stream(self._seats.take(session_id), session_id, known, still_signed_in)

    async def _stream(
        self, seat: str, session_id: str, known: str, still_signed_in: Callable[[], bool]
    ) -> AsyncIterator[str]:
        limits, began = self._limits, time.monotonic()
        said_at, checked_at = began, began
        try:
            yield "retry: 3000\n\n"
            while not self._closing.is_set() and time.monotonic() - began < limits.whole_s:
                self._seats.keep(seat, session_id)
                stamp, changed = await self._since(known)
                now = time.monotonic()
                if changed or now - checked_at >= limits.check_s:
                    checked_at = now
                    if not await run_in_threadpool(still_signed_in):
                        yield "event: ended\ndata: {}\n\n"
                        return
                if changed or now - said_at >= limits.beat_s:
                    yield _event(stamp, changed) if changed else ": \n\n"
                    known, said_at = stamp, now
                await asyncio.sleep(min(limits.look_s, 0.5))
        finally:
            self._seats.leave(seat)

    async def _since(self, known: str) -> tuple[str, tuple[str, ...]]:
        try:
            return await run_in_threadpool(self.changes.since, known)
        except CredenceError:
            return known, ()  # the database is busy: the next look is in a second


def _event(stamp: str, sections: tuple[str, ...]) -> str:
    return f"id: {stamp}\nevent: changed\ndata: {json.dumps({'sections': sections})}\n\n"
