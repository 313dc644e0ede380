"""Relayed calls: their limits and the ways they fail, the same for node and coordinator.

`protocols/v1/relay.proto` tells the flow, `protocols/relay_seal.py` the seal.
"""

from dataclasses import dataclass
from typing import Final

from protocols.errors import CredenceError, Malformed, StateConflict, Unavailable
from protocols.v1.relay_pb2 import RelayFrame

MAX_CODE_CHARS: Final = 40
MAX_TICKET_BYTES: Final = 1024
MAX_OPENING_BYTES: Final = 4096
MAX_CREDIT: Final = 64


class RelaySealBroken(CredenceError):
    """A frame does not open: changed, out of order, doubled, dropped before, or of another call."""

    code = "relay_seal_broken"
    category = "unauthenticated"
    next_step = "Report this to the operator: the relay, or the way to it, alters what it carries."


class RelayReplayed(CredenceError):
    """A whole call that was carried before."""

    code = "relay_replayed"
    category = "unauthenticated"
    next_step = "Report this to the operator: the relay, or the way to it, repeats calls."


class RelayTicketRefused(CredenceError):
    """A ticket is not the member's, is too old, or is no longer known to the member."""

    code = "relay_ticket_refused"
    category = "unauthenticated"
    retryable = True
    next_step = "Try again; if it stays, compare clocks and directory versions of both sides."


class RelayTruncated(Unavailable):
    """A call ended without the callee's sealed status."""

    code = "relay_truncated"
    next_step = "Try again; if it stays, report to the operator that the relay cuts calls short."


class RelayAbsent(Unavailable):
    """The member accepts no connection and keeps no stream to the relay now."""

    code = "relay_absent"
    next_step = "Check that the member's node runs and reaches the coordinator."


class RelayBusy(Unavailable):
    """The relay, or the member behind it, carries as many calls as it will."""

    code = "relay_busy"
    next_step = "Wait for the calls under way; ask for many subjects in one stream instead."


class RelayIdle(Unavailable):
    """A relayed call on which nothing moved for too long."""

    code = "relay_idle"
    next_step = "Try again."


class RelayOverrun(Malformed):
    """More frames than the other side gave credit for."""

    code = "relay_overrun"
    next_step = "Send no more frames than were credited, as protocols/v1/relay.proto says."


class RelayFrameRefused(Malformed):
    """A frame that does not belong where it came, or is too large."""

    code = "relay_frame_refused"
    next_step = "Follow the order and sizes of protocols/v1/relay.proto."


class RelayReplaced(StateConflict):
    """The member opened a newer stream; the older one is closed."""

    code = "relay_replaced"
    next_step = "Run one node for each member."


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """How much relayed calls may hold and how long they may rest.

    Attributes:
        frame_bytes: longest `sealed`.
        window: `sealed` frames of a direction that may be on their way without credit.
        window_bytes: and their bytes; the relay's buffer of a direction.
        calls_per_caller: calls of one member under way.
        calls_per_callee: calls to one member under way.
        calls: calls under way in all; each holds a thread of the relay.
        streams: members that keep a stream.
        first_frame_s: how long a stream may wait with its first frame.
        idle_s: a call on which nothing moves for so long is over.
        silence_s: a Serve stream without a frame for so long counts as broken.
    """

    frame_bytes: int = 1 << 20
    window: int = 8
    window_bytes: int = 9 << 17  # eight frames of 128 KiB, padded and sealed
    calls_per_caller: int = 32
    calls_per_callee: int = 64
    calls: int = 96
    streams: int = 64
    first_frame_s: float = 10.0
    idle_s: float = 120.0
    silence_s: float = 20.0


DEFAULT_RELAY_LIMITS: Final = RelayLimits()


def check_frame(frame: RelayFrame, limits: RelayLimits) -> str:
    """The kind of a frame, once its sizes are within bounds.

    Raises:
        RelayFrameRefused: it is empty or too large.
    """
    kind = frame.WhichOneof("frame")
    if kind is None:
        raise RelayFrameRefused("an empty frame")
    wrong = (
        (kind == "sealed" and not 0 < len(frame.sealed) <= limits.frame_bytes)
        or (kind == "ticket" and frame.ticket.ByteSize() > MAX_TICKET_BYTES)
        or (kind == "opening" and frame.opening.ByteSize() > MAX_OPENING_BYTES)
        or (kind == "credit" and not 0 < frame.credit <= MAX_CREDIT)
        or (kind == "close" and len(frame.close.code) > MAX_CODE_CHARS)
    )
    if wrong:
        raise RelayFrameRefused(f"a {kind} frame outside its size")
    return kind
