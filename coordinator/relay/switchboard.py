"""Which member keeps a line to the relay, and which calls go over it.

A member that accepts no connection keeps one line. A call is a pair of directions between its
caller's stream and a line; the switchboard numbers it on the line and passes its frames on as they
are. Nothing here waits: a direction that holds more than its window ends the call, so that neither
a slow reader nor a hasty writer costs memory or stands in another call's way.

Rules:
  1. One line a member: a newer one replaces the older, and the older one's calls end.
  2. A caller reaches only active members, and only while it is active itself.
  3. Limits on calls hold for the caller, for the callee and for all together.
  4. A frame counts only on a call that is open, in the order the wire contract gives.
"""

import queue
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import structlog

from protocols.directory import Directory, MemberNotActive
from protocols.errors import CredenceError
from protocols.relay import (
    DEFAULT_RELAY_LIMITS,
    RelayAbsent,
    RelayBusy,
    RelayFrameRefused,
    RelayIdle,
    RelayLimits,
    RelayOverrun,
    RelayReplaced,
    check_frame,
)
from protocols.v1.relay_pb2 import RelayClose, RelayFrame, RelayTicket

log = structlog.get_logger(__name__)

Frames = queue.SimpleQueue[RelayFrame | None]


@dataclass
class Direction:
    """What is on its way in one direction of a call, and what went.

    Attributes:
        frames: sealed frames without credit.
        sizes: of those, oldest first.
        carried: bytes of all sealed frames.
    """

    sizes: list[int] = field(default_factory=list)
    carried: int = 0


@dataclass
class Line:
    """One Serve stream.

    Attributes:
        member_id: who keeps it.
        ticket: the newest.
        frames: what the stream is to send; None ends it.
        calls: open calls by number.
        seen_at: when its last frame came, monotonic seconds.
        failure: why it was ended, if by us.
    """

    member_id: str
    seen_at: float
    ticket: RelayTicket | None = None
    frames: Frames = field(default_factory=queue.SimpleQueue)
    calls: "dict[int, Circuit]" = field(default_factory=dict)
    failure: CredenceError | None = None

    def end(self, failure: CredenceError | None = None) -> None:
        """Let the stream end."""
        self.failure = self.failure or failure
        self.frames.put(None)


@dataclass
class Circuit:
    """One call.

    Attributes:
        number: on its line.
        caller: member id, by its certificate.
        line: to the callee.
        frames: what the caller's stream is to send; None ends it.
        there, back: the two directions, seen from the caller.
        opened: whether the opening came.
        moved_at: when a frame last passed, monotonic seconds.
        failure: why it was ended, if by us.
    """

    number: int
    caller: str
    line: Line
    moved_at: float
    frames: Frames = field(default_factory=queue.SimpleQueue)
    there: Direction = field(default_factory=Direction)
    back: Direction = field(default_factory=Direction)
    opened: bool = False
    failure: CredenceError | None = None

    @property
    def callee(self) -> str:
        """Member id of the one called."""
        return self.line.member_id


Carried = Callable[[str, str, int, int], None]
"""Told (caller, callee, bytes there, bytes back) when a call is over."""


class Switchboard:
    """All lines and calls; every method is safe from any thread.

    Args:
        directory: the directory in force.
        carried: see `Carried`.
        limits: what lines and calls may hold.
        now: monotonic seconds.
    """

    def __init__(
        self,
        directory: Callable[[], Directory],
        carried: Carried,
        *,
        limits: RelayLimits = DEFAULT_RELAY_LIMITS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._carried = carried
        self.limits = limits
        self._now = now
        self._lock = threading.RLock()
        self._lines: dict[str, Line] = {}
        self._by_caller: dict[str, int] = {}
        self._circuits: dict[int, Circuit] = {}
        self._last = 0

    # Lines.

    def attach(self, member_id: str, first: RelayFrame) -> Line:
        """A member's new line; the older one, if any, ends (rule 1).

        Raises:
            RelayFrameRefused: the first frame is no ticket.
            RelayBusy: there are as many lines as there may be.
        """
        if check_frame(first, self.limits) != "ticket":
            raise RelayFrameRefused("a Serve stream begins with a ticket")
        line = Line(member_id, self._now(), first.ticket)
        with self._lock:
            older = self._lines.get(member_id)
            if older is None and len(self._lines) >= self.limits.streams:
                raise RelayBusy("the relay keeps as many streams as it may")
            if older is not None:
                self._drop_line(older, RelayReplaced(f"{member_id} opened a newer stream"))
            self._lines[member_id] = line
        log.info("relay.attached", member=member_id)
        return line

    def from_line(self, line: Line, frame: RelayFrame) -> None:
        """Take a frame of a callee.

        Raises:
            RelayFrameRefused: it does not belong there; the line is to be ended.
        """
        kind = check_frame(frame, self.limits)
        with self._lock:
            line.seen_at = self._now()
            if kind == "ticket":
                line.ticket = frame.ticket
            elif kind == "heartbeat":
                self._send(line, frame)
            elif kind in {"sealed", "credit", "close"}:
                circuit = line.calls.get(frame.call)
                if circuit is not None:  # else it ended meanwhile
                    self._pass_back(circuit, kind, frame)
            else:
                raise RelayFrameRefused(f"a {kind} frame on a Serve stream")  # 4

    def detach(self, line: Line) -> None:
        """The line is over, and its calls with it."""
        with self._lock:
            if self._drop_line(line, None):
                log.info("relay.detached", member=line.member_id)

    # Calls.

    def dial(self, caller: str, first: RelayFrame) -> Circuit:
        """A new call; its first frame to the caller is the callee's ticket.

        Raises:
            RelayFrameRefused: the first frame is no dial.
            UnknownMember, MemberNotActive: rule 2.
            RelayAbsent: the member keeps no line.
            RelayBusy: rule 3.
        """
        if check_frame(first, self.limits) != "dial":
            raise RelayFrameRefused("a call begins with whom it is for")
        callee = first.dial.callee
        directory = self._directory()
        directory.active_member(caller)  # 2
        directory.active_member(callee)
        limits = self.limits
        with self._lock:
            line = self._lines.get(callee)
            if line is None or line.ticket is None:
                raise RelayAbsent(f"{callee} keeps no stream to the relay")
            busy = (  # 3
                len(self._circuits) >= limits.calls
                or len(line.calls) >= limits.calls_per_callee
                or self._by_caller.get(caller, 0) >= limits.calls_per_caller
            )
            if busy:
                raise RelayBusy("the relay carries as many calls as it may")
            self._last += 1
            circuit = Circuit(self._last, caller, line, self._now())
            line.calls[circuit.number] = self._circuits[circuit.number] = circuit
            self._by_caller[caller] = self._by_caller.get(caller, 0) + 1
            circuit.frames.put(RelayFrame(ticket=line.ticket))
        return circuit

    def from_caller(self, circuit: Circuit, frame: RelayFrame) -> None:
        """Take a frame of a caller.

        Raises:
            RelayFrameRefused, RelayOverrun: it does not belong there; the call is to be ended.
        """
        kind = check_frame(frame, self.limits)
        with self._lock:
            if circuit.number not in self._circuits:
                return
            if (kind == "opening") == circuit.opened or kind not in {
                "opening", "sealed", "credit", "close",
            }:  # fmt: skip
                raise RelayFrameRefused(f"a {kind} frame out of its place in a call")  # 4
            circuit.opened = True
            circuit.moved_at = self._now()
            if kind == "close":
                self._hang_up(circuit, None)
                return
            if kind == "sealed":
                self._load(circuit.there, frame)
            elif kind == "credit":
                self._unload(circuit.back, frame.credit)
            frame.call = circuit.number
            self._send(circuit.line, frame)

    def hang_up(self, circuit: Circuit, failure: CredenceError | None = None) -> None:
        """The caller's stream is over, or has failed."""
        with self._lock:
            self._hang_up(circuit, failure)

    # What time brings.

    def sweep(self) -> None:
        """End lines that fell silent, calls that rest, and what belongs to members not active."""
        directory = self._directory()
        active = {one.member_id for one in directory.members if one.active}
        with self._lock:
            now, limits = self._now(), self.limits
            for line in list(self._lines.values()):
                if line.member_id not in active:
                    self._drop_line(line, MemberNotActive(f"{line.member_id} is not active"))
                elif now - line.seen_at > limits.silence_s:
                    log.warning("relay.silent", member=line.member_id)
                    self._drop_line(line, RelayIdle("the stream fell silent"))
            for circuit in list(self._circuits.values()):
                if circuit.caller not in active:
                    failure: CredenceError = MemberNotActive(f"{circuit.caller} is not active")
                    self._hang_up(circuit, failure)
                elif now - circuit.moved_at > limits.idle_s:
                    self._hang_up(circuit, RelayIdle("nothing moved on the call"))

    def close(self) -> None:
        """End everything: the process stops."""
        with self._lock:
            for line in list(self._lines.values()):
                self._drop_line(line, None)

    def attached(self) -> Collection[str]:
        """Members that keep a line."""
        with self._lock:
            return sorted(self._lines)

    def under_way(self) -> int:
        """Open calls."""
        with self._lock:
            return len(self._circuits)

    # The rest runs under the lock.

    def _pass_back(self, circuit: Circuit, kind: str, frame: RelayFrame) -> None:
        circuit.moved_at = self._now()
        frame.call = 0
        try:
            if kind == "sealed":
                self._load(circuit.back, frame)
            elif kind == "credit":
                self._unload(circuit.there, frame.credit)
        except RelayOverrun as error:
            self._hang_up(circuit, error)
            return
        if circuit.frames.qsize() > 4 * self.limits.window:
            self._hang_up(circuit, RelayOverrun("the caller does not read its stream"))
            return
        circuit.frames.put(frame)
        if kind == "close":
            self._forget(circuit)
            circuit.frames.put(None)

    def _send(self, line: Line, frame: RelayFrame) -> None:
        # Windows bound what honest sides queue; who does not read at all is cut off.
        if line.frames.qsize() > 2 * (self.limits.window + 1) * self.limits.calls_per_callee:
            self._drop_line(line, RelayOverrun("the member does not read its stream"))
            return
        line.frames.put(frame)

    def _load(self, direction: Direction, frame: RelayFrame) -> None:
        direction.sizes.append(len(frame.sealed))
        direction.carried += len(frame.sealed)
        limits = self.limits
        if len(direction.sizes) > limits.window or sum(direction.sizes) > limits.window_bytes:
            raise RelayOverrun("more frames than were credited")

    def _unload(self, direction: Direction, credit: int) -> None:
        if credit > len(direction.sizes):
            raise RelayOverrun("more credit than frames")
        del direction.sizes[:credit]

    def _hang_up(self, circuit: Circuit, failure: CredenceError | None) -> None:
        if not self._forget(circuit):
            return
        circuit.failure = failure
        if circuit.opened:
            code = failure.code if failure else ""
            closing = RelayFrame(call=circuit.number, close=RelayClose(code=code))
            self._send(circuit.line, closing)
        circuit.frames.put(None)

    def _forget(self, circuit: Circuit) -> bool:
        if self._circuits.pop(circuit.number, None) is None:
            return False
        circuit.line.calls.pop(circuit.number, None)
        left = self._by_caller[circuit.caller] - 1
        if left:
            self._by_caller[circuit.caller] = left
        else:
            del self._by_caller[circuit.caller]
        there, back = circuit.there.carried, circuit.back.carried
        self._carried(circuit.caller, circuit.callee, there, back)
        return True

    def _drop_line(self, line: Line, failure: CredenceError | None) -> bool:
        if self._lines.get(line.member_id) is not line:
            return False
        del self._lines[line.member_id]
        for circuit in list(line.calls.values()):
            gone = RelayAbsent(f"the stream of {line.member_id} ended")
            self._hang_up(circuit, gone)
        line.end(failure)
        return True
