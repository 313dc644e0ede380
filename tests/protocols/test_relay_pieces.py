"""A relayed message is bounded in bytes and in pieces."""

import pytest

from protocols.relay import RelayFrameRefused
from protocols.relay_frames import Incoming, Message, Outgoing

KEY, TRANSCRIPT = b"k" * 32, b"t" * 32
PIECE, LAST = 2, 3


def test_an_empty_piece_is_refused_or_a_message_need_never_end() -> None:
    outgoing, incoming = Outgoing(KEY, TRANSCRIPT), Incoming(KEY, TRANSCRIPT)
    assert incoming.take(outgoing.seal(PIECE, b"one"), 16) is None
    with pytest.raises(RelayFrameRefused, match="empty"):
        incoming.take(outgoing.seal(PIECE, b""), 16)


def test_an_empty_message_is_one_empty_last_piece() -> None:
    outgoing, incoming = Outgoing(KEY, TRANSCRIPT), Incoming(KEY, TRANSCRIPT)
    frames = list(outgoing.message(b""))
    assert [incoming.take(frame, 16) for frame in frames] == [Message(b"")]


def test_a_message_longer_than_is_taken_is_refused() -> None:
    outgoing, incoming = Outgoing(KEY, TRANSCRIPT), Incoming(KEY, TRANSCRIPT)
    incoming.take(outgoing.seal(PIECE, bytes(16)), 16)
    with pytest.raises(RelayFrameRefused, match="at most 16"):
        incoming.take(outgoing.seal(LAST, b"x"), 16)
