"""The node's end of the training stream: dialled by the node, kept, and dialled again.

Two threads of our own: one reads frames, one does the work (plans, rounds), in the order they came,
so that heartbeats go on while a step is computed. A reply goes out on the stream that lives when it
is ready; if none does, the coordinator asks again and gets the same bytes from the trainer.
"""

import queue
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import grpc
import structlog

from node.federation.acceptance import Answer
from protocols.documents import Document, from_proto
from protocols.errors import CredenceError, Malformed
from protocols.federation import DEFAULT_LIMITS, PROTOCOL, Joiner, StreamLimits, cut
from protocols.v1.federation_pb2 import (
    Acceptance,
    CoordinatorFrame,
    Heartbeat,
    Hello,
    NodeFrame,
    Welcome,
)
from protocols.v1.federation_pb2_grpc import FederationStub

log = structlog.get_logger(__name__)

WAITING_FRAMES = 64  # the coordinator sends a plan and one message at a time


@dataclass(frozen=True)
class Timing:
    """How patient a stream is, all seconds.

    Attributes:
        heartbeat: between two of our heartbeats.
        silence: without any frame for so long, the stream counts as broken.
        first_wait, longest_wait: before dialling again, doubling, with jitter.
    """

    heartbeat: float = 5.0
    silence: float = 20.0
    first_wait: float = 0.2
    longest_wait: float = 5.0


class Handler(Protocol):
    """What the stream's messages are for."""

    def welcomed(self, flower_node_id: int, ledger: bytes) -> None:
        """The coordinator knows us under this number, and this statement of our ledger."""

    def plan(self, document: Document) -> Answer | None:
        """Answer a plan; None: it deserves no answer."""

    def message(self, data: bytes) -> bytes | None:
        """Answer a Flower message, bytes for bytes; None: it deserves no answer."""


class TrainingStream:
    """Keeps one Attach stream open and feeds the handler.

    Args:
        open_channel: dials the coordinator's member port.
        member_id: this node.
        handler: does the work.
        timing: how patient to be.
        limits: what a stream may hold.
    """

    def __init__(
        self,
        open_channel: Callable[[], grpc.Channel],
        member_id: str,
        handler: Handler,
        *,
        timing: Timing | None = None,
        limits: StreamLimits = DEFAULT_LIMITS,
    ) -> None:
        self._open_channel = open_channel
        self._member_id = member_id
        self._handler = handler
        self._timing = timing or Timing()
        self._limits = limits
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._outgoing: queue.SimpleQueue[NodeFrame | None] = queue.SimpleQueue()
        self._seen_at = 0.0

    def run(self, stop: threading.Event) -> None:
        """Hold the stream until `stop` is set."""
        worker = threading.Thread(target=self._do_work, name="training", daemon=True)
        worker.start()
        wait = self._timing.first_wait
        try:
            while not stop.is_set():
                if self._attach(stop):
                    wait = self._timing.first_wait
                if stop.wait(wait * random.uniform(0.5, 1.0)):  # noqa: S311 - jitter
                    break
                wait = min(wait * 2, self._timing.longest_wait)
        finally:
            self._work.put(None)
            worker.join(timeout=10.0)

    def _attach(self, stop: threading.Event) -> bool:
        """One stream from Hello to its end; whether it was ever welcomed."""
        outgoing: queue.SimpleQueue[NodeFrame | None] = queue.SimpleQueue()
        outgoing.put(NodeFrame(hello=Hello(member_id=self._member_id, protocol=PROTOCOL)))
        self._outgoing = outgoing
        self._seen_at = time.monotonic()
        joiner, welcomed = Joiner(self._limits), False
        ended = threading.Event()
        channel = self._open_channel()
        try:
            call = FederationStub(channel).Attach(iter(outgoing.get, None))
            args = (call, outgoing, ended, stop)
            threading.Thread(target=self._keep_alive, args=args, daemon=True).start()
            for frame in call:
                self._seen_at = time.monotonic()
                welcomed = welcomed or frame.HasField("welcome")
                self._take(frame, joiner)
        except grpc.RpcError as error:
            if not stop.is_set():
                log.info("training.detached", status=_status(error))
        except CredenceError as error:
            log.warning("training.stream_refused", code=error.code)
            call.cancel()
        finally:
            ended.set()
            outgoing.put(None)
            channel.close()
        return welcomed

    def _take(self, frame: CoordinatorFrame, joiner: Joiner) -> None:
        kind = frame.WhichOneof("frame")
        if kind == "welcome":
            log.info("training.attached")
            self._queue(self._welcome, frame.welcome)
        elif kind == "plan":
            self._queue(self._plan, from_proto(frame.plan))
        elif kind == "message":
            data = joiner.add(frame.message)
            if data is not None:
                self._queue(self._message, frame.message.message_id, data)
        elif kind != "heartbeat":
            raise Malformed("a frame of the training stream is empty")

    def _queue(self, act: Callable[..., None], *arguments: object) -> None:
        if self._work.qsize() >= WAITING_FRAMES:
            raise Malformed("the coordinator sends more than this node can do")
        self._work.put(lambda: act(*arguments))

    def _do_work(self) -> None:
        for act in iter(self._work.get, None):
            try:
                act()
            except CredenceError as error:
                log.warning("training.refused", code=error.code)
            except Exception as error:  # noqa: BLE001 - one bad round must not end the worker
                # No traceback: its text may quote data, the type does not.
                log.error("training.failed", error=type(error).__name__)  # noqa: TRY400

    def _welcome(self, welcome: Welcome) -> None:
        self._handler.welcomed(welcome.flower_node_id, welcome.ledger)

    def _plan(self, document: Document) -> None:
        answer = self._handler.plan(document)
        if answer is not None:
            accepted = Acceptance(
                campaign_id=answer.campaign_id,
                refusal=answer.refusal,
                cohort_band=answer.cohort_band,
                ledger=answer.ledger,
            )
            self._outgoing.put(NodeFrame(acceptance=accepted))

    def _message(self, message_id: str, data: bytes) -> None:
        reply = self._handler.message(data)
        if reply is not None:
            outgoing = self._outgoing
            for part in cut(message_id, reply, self._limits):
                outgoing.put(NodeFrame(reply=part))

    def _keep_alive(
        self,
        call: grpc.Call,
        outgoing: "queue.SimpleQueue[NodeFrame | None]",
        ended: threading.Event,
        stop: threading.Event,
    ) -> None:
        due = time.monotonic() + self._timing.heartbeat
        while not ended.wait(0.1):
            now = time.monotonic()
            if stop.is_set() or now - self._seen_at > self._timing.silence:
                call.cancel()
                return
            if now >= due:
                outgoing.put(NodeFrame(heartbeat=Heartbeat(sent_at_ms=int(time.time() * 1000))))
                due = now + self._timing.heartbeat


def _status(error: grpc.RpcError) -> str:
    code = getattr(error, "code", None)
    return str(code().name) if callable(code) else "UNKNOWN"
