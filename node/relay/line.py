"""The line to the relay: dialled by a node that accepts no connection, kept, and dialled again.

One thread reads frames and never waits for a call; every call is served by a worker of its own. A
ticket goes first, and a new one before the old one ends.
"""

import queue
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import grpc
import structlog

from node.relay.answering import AnsweredCall
from node.relay.desk import Desk
from protocols.errors import CredenceError
from protocols.relay import DEFAULT_RELAY_LIMITS, RelayBusy, check_frame
from protocols.v1.relay_pb2 import RelayFrame, RelayOpening, RelayTicket
from protocols.v1.relay_pb2_grpc import RelayStub

log = structlog.get_logger(__name__)

Outgoing = queue.SimpleQueue[RelayFrame | None]


@dataclass(frozen=True)
class Timing:
    """How patient a line is, all seconds.

    Attributes:
        heartbeat: between two of our heartbeats.
        silence: without any frame for so long, the line counts as broken.
        first_wait, longest_wait: before dialling again, doubling, with jitter.
        grace: for calls under way when the node stops.
    """

    heartbeat: float = 5.0
    silence: float = 20.0
    first_wait: float = 0.2
    longest_wait: float = 5.0
    grace: float = 2.0


class RelayLine:
    """Keeps one Serve stream open; `start` and `stop` once each.

    Args:
        open_channel: dials the coordinator's member port.
        desk: knows callers and methods.
        workers: calls served at one time.
        request_bytes: longest message that is taken.
        timing: how patient to be.
    """

    def __init__(
        self,
        open_channel: Callable[[], grpc.Channel],
        desk: Desk,
        *,
        workers: int,
        request_bytes: int,
        timing: Timing | None = None,
    ) -> None:
        self._open_channel = open_channel
        self._desk = desk
        self._workers = workers
        self._request_bytes = request_bytes
        self._timing = timing or Timing()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="relayed")
        self._stopping = threading.Event()
        self._attached = threading.Event()
        self._lock = threading.Lock()
        self._calls: dict[int, AnsweredCall] = {}
        self._seen_at = 0.0
        self._thread = threading.Thread(target=self._run, name="relay-line", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wait_attached(self, seconds: float) -> bool:
        """Whether the relay has answered on the line within `seconds`."""
        return self._attached.wait(seconds)

    def stop(self) -> None:
        """Let calls under way finish for a moment, then end the line."""
        ends_at = time.monotonic() + self._timing.grace
        while self._under_way() and time.monotonic() < ends_at:
            time.sleep(0.02)
        self._stopping.set()
        self._thread.join(timeout=5.0)
        self._pool.shutdown(wait=True)

    def _run(self) -> None:
        wait = self._timing.first_wait
        while not self._stopping.is_set():
            if self._attach():
                wait = self._timing.first_wait
            if self._stopping.wait(wait * random.uniform(0.5, 1.0)):  # noqa: S311 - jitter
                return
            wait = min(wait * 2, self._timing.longest_wait)

    def _attach(self) -> bool:
        """One stream from its ticket to its end; whether the relay ever answered on it."""
        outgoing: Outgoing = queue.SimpleQueue()
        ended = threading.Event()
        answered = False
        channel: grpc.Channel | None = None
        try:
            outgoing.put(RelayFrame(ticket=self._desk.new_ticket()))
            outgoing.put(_heartbeat())  # its answer says that the line is kept
            channel = self._open_channel()
            self._seen_at = time.monotonic()
            call = RelayStub(channel).Serve(iter(outgoing.get, None))
            keeper = threading.Thread(
                target=self._keep_alive, args=(call, outgoing, ended), daemon=True
            )
            keeper.start()
            for frame in call:
                self._seen_at = time.monotonic()
                if not answered:
                    log.info("relay.attached")
                    answered = True
                    self._attached.set()
                self._take(frame, outgoing)
        except grpc.RpcError as error:
            if not self._stopping.is_set():
                log.info("relay.detached", status=_status(error))
        except CredenceError as error:
            log.warning("relay.line_failed", code=error.code)
        except Exception as error:  # noqa: BLE001 - the line must come back; a type quotes nothing
            log.error("relay.line_broke", error=type(error).__name__)  # noqa: TRY400
        finally:
            self._attached.clear()
            ended.set()
            outgoing.put(None)
            if channel is not None:
                channel.close()
            self._end_calls()
        return answered

    def _take(self, frame: RelayFrame, outgoing: Outgoing) -> None:
        kind = check_frame(frame, DEFAULT_RELAY_LIMITS)
        if kind == "opening":
            self._begin(frame.call, frame.opening, outgoing)
            return
        with self._lock:
            call = self._calls.get(frame.call)
        if call is None:
            return  # over meanwhile, or a heartbeat
        if kind == "sealed":
            try:
                call.take(frame.sealed)
            except CredenceError as error:
                log.warning("relay.call_refused", code=error.code)
                call.refuse(error.code)
                call.end()
        elif kind == "credit":
            call.credited(frame.credit)
        elif kind == "close":
            call.end()

    def _begin(self, number: int, opening: RelayOpening, outgoing: Outgoing) -> None:
        call = AnsweredCall(number, outgoing.put, self._request_bytes)
        with self._lock:
            busy = len(self._calls) >= self._workers or number in self._calls
            if not busy:
                self._calls[number] = call
        if busy:
            call.refuse(RelayBusy.code)
            return
        self._pool.submit(self._serve, number, call, opening)

    def _serve(self, number: int, call: AnsweredCall, opening: RelayOpening) -> None:
        try:
            accepted, handler = self._desk.accept(opening)
        except CredenceError as error:
            log.info("relay.refused", code=error.code)
            call.refuse(error.code)
        except Exception as error:  # noqa: BLE001 - its text may quote data
            log.error("relay.failed", error=type(error).__name__)  # noqa: TRY400
            call.refuse(CredenceError.code)
        else:
            call.run(accepted, handler)
        finally:
            with self._lock:
                # After a new stream the number may be another call's.
                if self._calls.get(number) is call:
                    del self._calls[number]

    def _under_way(self) -> int:
        with self._lock:
            return len(self._calls)

    def _end_calls(self) -> None:
        with self._lock:
            calls = list(self._calls.values())
            # Numbers begin anew with the next stream; who still works here answers nobody.
            self._calls = {}
        for call in calls:
            call.end()

    def _keep_alive(self, call: grpc.Call, outgoing: Outgoing, ended: threading.Event) -> None:
        due = time.monotonic() + self._timing.heartbeat
        while not ended.wait(0.1):
            now = time.monotonic()
            if self._stopping.is_set() or now - self._seen_at > self._timing.silence:
                call.cancel()
                return
            if now >= due:
                due = now + self._timing.heartbeat
                outgoing.put(_heartbeat())
                ticket = self._renewed()
                if ticket is not None:
                    outgoing.put(RelayFrame(ticket=ticket))

    def _renewed(self) -> RelayTicket | None:
        with suppress(CredenceError):
            return self._desk.new_ticket() if self._desk.ticket_due() else None
        return None


def _heartbeat() -> RelayFrame:
    return RelayFrame(heartbeat=int(time.time() * 1000))


def _status(error: grpc.RpcError) -> str:
    code = getattr(error, "code", None)
    return str(code().name) if callable(code) else "UNKNOWN"
