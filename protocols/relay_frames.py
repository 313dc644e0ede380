"""The sealed frames of a relayed call, one direction at a time; `relay_seal` has the keys.

A frame's number is its nonce, so what was dropped, doubled, reordered or changed does not open. A
message travels in pieces, and a direction ends with a sealed end. Frames are padded: their sizes
tell little.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protocols.relay import RelayFrameRefused, RelaySealBroken

PIECE_BYTES: Final = 128 * 1024
SMALLEST_FRAME: Final = 256
METHOD: Final = 1  # a frame's kind; what a call opens with

_PIECE, _LAST_PIECE, _END = 2, 3, 4
_MARK: Final = b"\x80"


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message of the other side."""

    data: bytes


@dataclass(frozen=True, slots=True)
class End:
    """No more messages; from a callee `status` is a serialized RelayStatus."""

    status: bytes


class Outgoing:
    """Seals one direction's frames, in order; one thread at a time."""

    def __init__(self, key: bytes, transcript: bytes) -> None:
        self._cipher = AESGCM(key)
        self._transcript = transcript
        self._number = 0

    def message(self, data: bytes) -> Iterator[bytes]:
        """The sealed frames of one message."""
        last = max(0, (len(data) - 1) // PIECE_BYTES)
        for index in range(last + 1):
            piece = data[index * PIECE_BYTES : (index + 1) * PIECE_BYTES]
            yield self.seal(_LAST_PIECE if index == last else _PIECE, piece)

    def end(self, status: bytes = b"") -> bytes:
        """The last frame of the direction."""
        return self.seal(_END, status)

    def seal(self, kind: int, data: bytes) -> bytes:
        """One frame."""
        nonce = self._number.to_bytes(12, "big")
        self._number += 1
        return self._cipher.encrypt(nonce, _padded(bytes((kind,)) + data), self._transcript)


class Incoming:
    """Opens one direction's frames, in order; one thread at a time."""

    def __init__(self, key: bytes, transcript: bytes) -> None:
        self._cipher = AESGCM(key)
        self._transcript = transcript
        self._number = 0
        self._ended = False
        self._pieces: list[bytes] = []
        self._held = 0

    def take(self, frame: bytes, max_bytes: int) -> Message | End | None:
        """Open the next frame.

        Args:
            frame: as it came.
            max_bytes: longest message that is joined.

        Returns:
            A message or the end when this frame completes it.

        Raises:
            RelaySealBroken: it is not the next frame of this call, or comes after the end.
            RelayFrameRefused: its content breaks the grammar, or a message is too long.
        """
        kind, data = self.open(frame)
        if kind == _END and not self._pieces:
            self._ended = True
            return End(data)
        if kind not in {_PIECE, _LAST_PIECE}:
            raise RelayFrameRefused("a sealed frame of a kind that does not belong here")
        if kind == _PIECE and not data:  # or a message need never end
            raise RelayFrameRefused("a piece of a message is empty")
        self._held += len(data)
        if self._held > max_bytes:
            raise RelayFrameRefused(f"a relayed message has at most {max_bytes} bytes")
        self._pieces.append(data)
        if kind == _PIECE:
            return None
        whole = b"".join(self._pieces)
        self._pieces, self._held = [], 0
        return Message(whole)

    def open(self, frame: bytes) -> tuple[int, bytes]:
        """Kind and data of the next frame; see `take`."""
        nonce = self._number.to_bytes(12, "big")
        try:
            plain = self._cipher.decrypt(nonce, frame, self._transcript)
        except (InvalidTag, ValueError) as error:
            raise RelaySealBroken("a relayed frame is not the next one of its call") from error
        if self._ended:
            raise RelaySealBroken("a relayed frame after the end")
        self._number += 1
        return _unpadded(plain)


def _padded(data: bytes) -> bytes:
    # Padme (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files", 2019, section 4):
    # at most 12 % longer, and a length tells only its leading bits.
    length = len(data) + 1
    exponent = length.bit_length() - 1
    mask = (1 << max(0, exponent - exponent.bit_length())) - 1
    return (data + _MARK).ljust(max(SMALLEST_FRAME, (length + mask) & ~mask), b"\0")


def _unpadded(plain: bytes) -> tuple[int, bytes]:
    marked = plain.rstrip(b"\0")
    if len(marked) < 2 or not marked.endswith(_MARK):
        raise RelayFrameRefused("the padding is not whole")
    return marked[0], marked[1:-1]
