"""The live training streams of the members, and what the coordinator waits for from them.

A node opens its stream and keeps it; when it breaks, the node comes back. So whatever is due to a
member is kept here until it is answered or given up, and is sent again when the member re-attaches:
first the plans on offer, then the unanswered messages, in order. One stream a member: a newer one
replaces the older. A reply counts once, and only to a message that this member was sent.
"""

import queue
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import structlog

from protocols.directory import MemberNotActive
from protocols.errors import Malformed, StateConflict, Unavailable
from protocols.federation import DEFAULT_LIMITS, PROTOCOL, Joiner, StreamLimits, cut
from protocols.v1.federation_pb2 import (
    Acceptance,
    CoordinatorFrame,
    Heartbeat,
    Hello,
    NodeFrame,
    Welcome,
)
from protocols.v1.membership_pb2 import SignedDocument

log = structlog.get_logger(__name__)

REFUSAL_CHARS = 40  # the column campaign_member.refusal
UNSENT_FRAMES = 512  # a model is a few frames; who asks for more than it reads is cut off


class HelloRefused(Malformed):
    """The first frame is not this member's Hello in a protocol we speak, or it comes twice."""

    code = "hello_refused"
    next_step = "Run a release of the node that speaks the coordinator's protocol."


class StreamOverrun(Malformed):
    """The member sends heartbeats and does not read what it is sent."""

    code = "stream_overrun"


class StreamReplaced(StateConflict):
    """The member opened a newer stream; the older one is closed."""

    code = "stream_replaced"
    next_step = "Run one training worker for each member."


class StreamsClosed(Unavailable):
    """The process stops; whoever waits for replies stops with it."""

    code = "streams_closed"


@dataclass
class Attachment:
    """One stream of one member.

    Attributes:
        frames: what the stream is to send; None ends it.
        ledger: the newest statement of its ledger that it sent before.
        seen_at: when its last frame came, monotonic seconds.
        failure: why the stream was ended, if by us.
    """

    member_id: str
    flower_node_id: int
    joiner: Joiner
    frames: "queue.SimpleQueue[CoordinatorFrame | None]" = field(default_factory=queue.SimpleQueue)
    seen_at: float = 0.0
    greeted: bool = False
    ledger: bytes = b""
    failure: Exception | None = None

    def end(self, failure: Exception | None = None) -> None:
        """Let the stream end."""
        self.failure = self.failure or failure
        self.frames.put(None)


@dataclass(frozen=True)
class _Offer:
    document: SignedDocument
    members: frozenset[str]


@dataclass(frozen=True)
class _Due:
    member_id: str
    data: bytes


class Streams:
    """All live streams and all that is due on them. Every method is safe from any thread.

    Args:
        limits: what one stream may hold.
        silence_s: a stream without a frame for so long counts as broken.
        now: monotonic seconds.
    """

    def __init__(
        self,
        *,
        limits: StreamLimits = DEFAULT_LIMITS,
        silence_s: float = 20.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._silence_s = silence_s
        self._now = now
        self._changed = threading.Condition()
        self._live: dict[str, Attachment] = {}
        self._left_at: dict[str, float] = {}
        self._offers: dict[str, _Offer] = {}
        self._answers: dict[tuple[str, str], Acceptance] = {}
        self._due: dict[str, _Due] = {}
        self._replies: dict[str, bytes] = {}
        self._closed = False

    # What the servicer calls.

    def open(self, member_id: str, flower_node_id: int, ledger: bytes = b"") -> Attachment:
        """A new stream of `member_id`; it is not live before its Hello."""
        joiner = Joiner(self._limits)
        return Attachment(member_id, flower_node_id, joiner, seen_at=self._now(), ledger=ledger)

    def receive(self, attachment: Attachment, frame: NodeFrame) -> None:
        """Take one frame of a stream.

        Raises:
            HelloRefused: the first frame is not a fitting Hello, or there is a second one.
            Malformed: an empty frame, or parts that do not join.
        """
        attachment.seen_at = self._now()
        kind = frame.WhichOneof("frame")
        if kind == "hello" or not attachment.greeted:
            self._greet(attachment, frame.hello if kind == "hello" else None)
        elif kind == "acceptance":
            self._answer(attachment, frame.acceptance)
        elif kind == "reply":
            data = attachment.joiner.add(frame.reply)
            if data is not None:
                self._reply(attachment, frame.reply.message_id, data)
        elif kind == "heartbeat":
            if attachment.frames.qsize() > UNSENT_FRAMES:
                raise StreamOverrun("the member does not read its stream")
            at_ms = frame.heartbeat.sent_at_ms
            attachment.frames.put(CoordinatorFrame(heartbeat=Heartbeat(sent_at_ms=at_ms)))
        else:
            raise Malformed("a frame of the training stream is empty")

    def leave(self, attachment: Attachment) -> None:
        """The stream is over."""
        with self._changed:
            if self._live.get(attachment.member_id) is attachment:
                del self._live[attachment.member_id]
                self._left_at[attachment.member_id] = self._now()
                self._changed.notify_all()
                log.info("federation.detached", member=attachment.member_id)

    def close(self) -> None:
        """End all streams: the process stops."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            for attachment in self._live.values():
                attachment.end()

    # What a campaign calls.

    def attached(self) -> dict[str, int]:
        """Flower node id by member id, of the members whose stream lives."""
        with self._changed:
            self._drop_silent()
            return {key: value.flower_node_id for key, value in self._live.items()}

    def keep_only(self, members: Collection[str]) -> None:
        """End the streams of everybody else: a stream outlives the check that admitted it."""
        with self._changed:
            for member_id in [key for key in self._live if key not in members]:
                log.warning("federation.expelled", member=member_id)
                self._live.pop(member_id).end(MemberNotActive(f"{member_id} is not active"))
                self._left_at[member_id] = self._now()
            self._changed.notify_all()

    def offer(self, campaign_id: str, document: SignedDocument, members: Collection[str]) -> None:
        """Send the signed plan to `members`, now or when they attach, until it is withdrawn."""
        with self._changed:
            self._offers[campaign_id] = _Offer(document, frozenset(members))
            for member_id in members:
                if member_id in self._live:
                    self._live[member_id].frames.put(CoordinatorFrame(plan=document))

    def answers(
        self, campaign_id: str, members: Collection[str], timeout: float
    ) -> dict[str, Acceptance]:
        """The members' answers to the plan, as many as come within `timeout` seconds.

        Raises:
            StreamsClosed: the process stops.
        """

        def found() -> dict[str, Acceptance]:
            keys = [(campaign_id, member_id) for member_id in members]
            return {key[1]: self._answers[key] for key in keys if key in self._answers}

        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(found()) == len(members), timeout)
            self._refuse_closed()
            return found()

    def withdraw(self, campaign_id: str) -> None:
        """The campaign is over: forget its plan and the answers to it."""
        with self._changed:
            self._offers.pop(campaign_id, None)
            for key in [key for key in self._answers if key[0] == campaign_id]:
                del self._answers[key]

    def post(self, member_id: str, message_id: str, data: bytes) -> None:
        """Send a message to a member, now or when it attaches, until `collect` has given it up."""
        with self._changed:
            self._due[message_id] = _Due(member_id, data)
            attachment = self._live.get(member_id)
            if attachment is not None:
                self._send(attachment, message_id, data)

    def collect(
        self, message_ids: Collection[str], timeout: float | None, *, grace: float
    ) -> dict[str, bytes]:
        """The replies to `message_ids`; those that did not come are given up.

        Waits until all are there, at most `timeout` seconds (None: no limit); a member whose
        stream has been gone for `grace` seconds is not waited for any longer.

        Raises:
            StreamsClosed: the process stops.
        """
        deadline = None if timeout is None else self._now() + timeout
        with self._changed:
            while any(self._is_awaited(message_id, grace) for message_id in message_ids):
                left = None if deadline is None else deadline - self._now()
                if left is not None and left <= 0:
                    break
                # Wake up now and then: a stream may fall silent without any event.
                self._changed.wait(0.25 if left is None else min(left, 0.25))
                self._refuse_closed()
                self._drop_silent()
            for message_id in message_ids:
                self._due.pop(message_id, None)
            found = {key: self._replies.pop(key, None) for key in message_ids}
            return {key: value for key, value in found.items() if value is not None}

    def replies(self, message_ids: Collection[str]) -> dict[str, bytes]:
        """The replies to `message_ids` that are there now; each is handed out once."""
        with self._changed:
            found = {key: self._replies.pop(key, None) for key in message_ids}
            return {key: value for key, value in found.items() if value is not None}

    def wait_for(self, members: Collection[str], count: int, timeout: float) -> bool:
        """Whether `count` of `members` are attached within `timeout` seconds.

        Raises:
            StreamsClosed: the process stops.
        """
        deadline = self._now() + timeout
        with self._changed:
            while True:
                self._refuse_closed()
                self._drop_silent()
                if sum(member_id in self._live for member_id in members) >= count:
                    return True
                left = deadline - self._now()
                if left <= 0:
                    return False
                self._changed.wait(min(left, 0.25))

    def idle(self, seconds: float) -> None:
        """Let time pass.

        Raises:
            StreamsClosed: the process stops.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed, seconds)
            self._refuse_closed()

    # The rest runs under the lock or touches one stream only.

    def _greet(self, attachment: Attachment, hello: Hello | None) -> None:
        if hello is None:
            raise HelloRefused("the first frame is not a Hello")
        if attachment.greeted:
            raise HelloRefused("a second Hello on one stream")
        if hello.member_id != attachment.member_id:
            raise HelloRefused("the Hello names another member than the certificate")
        if hello.protocol != PROTOCOL:
            raise HelloRefused(f"the node speaks protocol {hello.protocol}, we speak {PROTOCOL}")
        attachment.greeted = True
        welcome = Welcome(flower_node_id=attachment.flower_node_id, ledger=attachment.ledger)
        attachment.frames.put(CoordinatorFrame(welcome=welcome))
        member_id = attachment.member_id
        with self._changed:
            older = self._live.get(member_id)
            if older is not None:
                older.end(StreamReplaced(f"{member_id} opened a newer stream"))
            self._live[member_id] = attachment
            self._left_at.pop(member_id, None)
            for offer in self._offers.values():
                if member_id in offer.members:
                    attachment.frames.put(CoordinatorFrame(plan=offer.document))
            for message_id, due in self._due.items():
                if due.member_id == member_id and message_id not in self._replies:
                    self._send(attachment, message_id, due.data)
            self._changed.notify_all()
        log.info("federation.attached", member=member_id)

    def _answer(self, attachment: Attachment, answer: Acceptance) -> None:
        if len(answer.refusal) > REFUSAL_CHARS:
            raise Malformed("a refusal code is too long")
        with self._changed:
            offer = self._offers.get(answer.campaign_id)
            if offer is None or attachment.member_id not in offer.members:
                return  # late, or to a plan this member was not offered
            self._answers[(answer.campaign_id, attachment.member_id)] = answer
            self._changed.notify_all()

    def _reply(self, attachment: Attachment, message_id: str, data: bytes) -> None:
        with self._changed:
            due = self._due.get(message_id)
            if due is None or due.member_id != attachment.member_id or message_id in self._replies:
                log.info("federation.reply_unexpected", member=attachment.member_id)
                return
            self._replies[message_id] = data
            self._changed.notify_all()

    def _refuse_closed(self) -> None:
        if self._closed:
            raise StreamsClosed("the coordinator stops")

    def _is_awaited(self, message_id: str, grace: float) -> bool:
        due = self._due.get(message_id)
        if due is None or message_id in self._replies:
            return False
        left_at = self._left_at.get(due.member_id)
        if due.member_id in self._live or left_at is None:
            return True
        return self._now() - left_at < grace

    def _drop_silent(self) -> None:
        for member_id, attachment in list(self._live.items()):
            if self._now() - attachment.seen_at > self._silence_s:
                log.warning("federation.silent", member=member_id)
                attachment.end()
                del self._live[member_id]
                self._left_at[member_id] = self._now()

    def _send(self, attachment: Attachment, message_id: str, data: bytes) -> None:
        for part in cut(message_id, data, self._limits):
            attachment.frames.put(CoordinatorFrame(message=part))
