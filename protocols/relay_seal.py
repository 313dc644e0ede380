"""The seal of a relayed call: what the relay carries it can neither read nor change.

The flow and the formats stand in `protocols/v1/relay.proto`. In short: the callee signs a one-hour
X25519 key (its ticket), as X3DH's signed prekey; the caller draws a one-time key, signs the
transcript that names both members, the call and all keys, and both derive one AES-256-GCM key a
direction from X25519 of the one-time key with the ticket's and with the callee's directory key.

What holds against a relay that does what it likes (it is the coordinator, which also issues the
certificates, so TLS through it would not do):
  - it reads nothing: keys come from the members' own keys, pinned by the signed directory;
  - it forges nothing: no frame without the keys, no opening without the caller's signature, no
    ticket without the callee's;
  - dropped, doubled, reordered, swapped or changed frames do not open (the frame's number is its
    nonce, and every call has its own keys); a call that ends without its sealed end has failed;
  - a call carried twice is refused: a ticket takes every call id once, and dies with its process;
  - what was recorded stays closed when a member's keys are stolen later, once the ticket is gone.
What it can still do is refuse service; and it sees who calls whom, when, and sizes in steps.
"""

import os
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import nacl.bindings
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from google.protobuf.message import DecodeError
from nacl.exceptions import CryptoError

from protocols.canonical import sha256
from protocols.directory import Directory, MemberEntry
from protocols.errors import Malformed, SignatureInvalid
from protocols.identifiers import is_member_id
from protocols.keys import KEY_BYTES, SealingKey, SigningKey
from protocols.relay import (
    RelayBusy,
    RelayFrameRefused,
    RelayReplayed,
    RelaySealBroken,
    RelayTicketRefused,
)
from protocols.v1.relay_pb2 import RelayMethod, RelayOpening, RelayTicket, RelayTicketBody

ID_BYTES: Final = 16
PIECE_BYTES: Final = 128 * 1024
TICKET_RENEW_MS: Final = 3_600_000
TICKET_LIFE_MS: Final = 2 * TICKET_RENEW_MS
TICKET_CALLS: Final = 100_000
CLOCK_SKEW_MS: Final = 60_000
SMALLEST_FRAME: Final = 256

_TICKET_DOMAIN: Final = "relay-ticket"
_OPENING_DOMAIN: Final = "relay-opening"
_LABEL: Final = b"credence/1|relay"
_MARK: Final = b"\x80"
_METHOD, _PIECE, _LAST_PIECE, _END = 1, 2, 3, 4


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


@dataclass(frozen=True, slots=True)
class SealedCall:
    """One side of an open call."""

    outgoing: Outgoing
    incoming: Incoming


@dataclass(frozen=True, slots=True)
class AcceptedCall:
    """What a callee knows once an opening holds.

    Attributes:
        caller: an active member, authenticated by its signature.
        method: what it calls, as it says.
        timeout_ms: how long it waits.
        directory_version: that the caller says it holds.
        sealed: the call's keys.
    """

    caller: str
    method: str
    timeout_ms: int
    directory_version: int
    sealed: SealedCall


@dataclass(slots=True)
class HeldTicket:
    """A ticket that the callee can still open calls of, and the calls it took."""

    body: bytes
    session_id: bytes
    session: SealingKey
    sealing: SealingKey
    calls: set[bytes] = field(default_factory=set)


class Tickets:
    """A callee's tickets: the newest and the one before it; thread-safe."""

    def __init__(self, member_id: str) -> None:
        self._member_id = member_id
        self._lock = threading.Lock()
        self._held: deque[HeldTicket] = deque(maxlen=2)
        self._issued_at_ms = 0

    def issue(self, signing: SigningKey, sealing: SealingKey, now_ms: int) -> RelayTicket:
        """A new ticket; the one before the last is forgotten."""
        session = SealingKey.generate()
        session_id = os.urandom(ID_BYTES)
        body = RelayTicketBody(
            member_id=self._member_id,
            session_id=session_id,
            session_key=session.public,
            sealing_key=sealing.public,
            issued_at_ms=now_ms,
        ).SerializeToString(deterministic=True)
        with self._lock:
            self._held.append(HeldTicket(body, session_id, session, sealing))
            self._issued_at_ms = now_ms
        return RelayTicket(body=body, signature=signing.sign(_TICKET_DOMAIN, body))

    def due(self, now_ms: int) -> bool:
        """Whether a new ticket is to be issued: age, or calls taken."""
        with self._lock:
            if not self._held:
                return True
            used = len(self._held[-1].calls)
            return now_ms - self._issued_at_ms >= TICKET_RENEW_MS or used > TICKET_CALLS // 2

    def find(self, session_id: bytes) -> HeldTicket:
        """The ticket by this id.

        Raises:
            RelayTicketRefused: it is forgotten, or never was.
        """
        with self._lock:
            for ticket in self._held:
                if ticket.session_id == session_id:
                    return ticket
        raise RelayTicketRefused("the call was sealed to a ticket that this member does not hold")

    def claim(self, ticket: HeldTicket, call_id: bytes) -> None:
        """Take a call once.

        Raises:
            RelayReplayed: it was taken before.
            RelayBusy: the ticket took as many as it may.
        """
        with self._lock:
            if call_id in ticket.calls:
                raise RelayReplayed("this call was carried before")
            if len(ticket.calls) >= TICKET_CALLS:
                raise RelayBusy("the ticket has taken as many calls as it may")
            ticket.calls.add(call_id)


def open_call(
    *,
    caller: str,
    key: SigningKey,
    callee: MemberEntry,
    ticket: RelayTicket,
    method: str,
    timeout_ms: int,
    directory_version: int,
    now_ms: int,
) -> tuple[RelayOpening, SealedCall]:
    """Open a call as its caller.

    Checks of the ticket: 1. signed by the callee, as the directory names it; 2. form; 3. it is of
    that member and for its sealing key in the directory; 4. not older than two hours and not from
    the future, within the clock skew.

    Args:
        caller: own member id.
        key: own signing key.
        callee: the directory's entry of the member to call.
        ticket: as the relay gave it.
        method: full name of the method.
        timeout_ms: how long the answer is waited for.
        directory_version: that is held here, for the callee to know.
        now_ms: UTC milliseconds.

    Raises:
        RelayTicketRefused: a check fails.
    """
    body = _checked_ticket(ticket, callee, now_ms)
    one_time = SealingKey.generate()
    call_id = os.urandom(ID_BYTES)
    transcript = _transcript(caller, callee.member_id, call_id, one_time.public, ticket.body)
    try:
        secret = _shared(one_time, body.session_key) + _shared(one_time, body.sealing_key)
    except CryptoError as error:
        raise RelayTicketRefused("a key of the ticket has low order") from error
    there, back = _keys(secret, transcript)
    outgoing = Outgoing(there, transcript)
    named = RelayMethod(method=method, timeout_ms=timeout_ms, directory_version=directory_version)
    opening = RelayOpening(
        caller=caller,
        call_id=call_id,
        session_id=body.session_id,
        one_time_key=one_time.public,
        signature=key.sign(_OPENING_DOMAIN, transcript),
        sealed=outgoing.seal(_METHOD, named.SerializeToString()),
    )
    return opening, SealedCall(outgoing, Incoming(back, transcript))


def accept_call(
    opening: RelayOpening, *, own_id: str, tickets: Tickets, directory: Directory, now_ms: int
) -> AcceptedCall:
    """Accept a call as its callee.

    Checks: 1. form; 2. the ticket is one of ours and still held; 3. the caller is an active member;
    4. its signature over the transcript; 5. the seal opens; 6. the call was not taken before.

    Raises:
        Malformed: check 1.
        RelayTicketRefused: check 2.
        UnknownMember, MemberNotActive: check 3.
        SignatureInvalid: check 4.
        RelaySealBroken, RelayFrameRefused: check 5.
        RelayReplayed, RelayBusy: check 6.
    """
    # 1. Form.
    if (
        not is_member_id(opening.caller)
        or len(opening.call_id) != ID_BYTES
        or len(opening.one_time_key) != KEY_BYTES
    ):
        raise Malformed("an opening with a field of the wrong form")
    # 2. Ticket.
    ticket = tickets.find(opening.session_id)
    # 3. Caller.
    caller = directory.active_member(opening.caller)
    # 4. Signature.
    transcript = _transcript(
        opening.caller, own_id, opening.call_id, opening.one_time_key, ticket.body
    )
    caller.verify(_OPENING_DOMAIN, transcript, opening.signature, now_ms)
    # 5. Seal.
    try:
        secret = _shared(ticket.session, opening.one_time_key)
        secret += _shared(ticket.sealing, opening.one_time_key)
    except CryptoError as error:
        raise RelaySealBroken("the opening's one-time key has low order") from error
    there, back = _keys(secret, transcript)
    incoming = Incoming(there, transcript)
    kind, data = incoming.open(opening.sealed)
    if kind != _METHOD:
        raise RelayFrameRefused("a call opens with the name of its method")
    try:
        named = RelayMethod.FromString(data)
    except DecodeError as error:
        raise RelayFrameRefused("a call opens with the name of its method") from error
    # 6. Replay.
    tickets.claim(ticket, opening.call_id)
    sealed = SealedCall(Outgoing(back, transcript), incoming)
    return AcceptedCall(
        opening.caller, named.method, named.timeout_ms, named.directory_version, sealed
    )


def _checked_ticket(ticket: RelayTicket, callee: MemberEntry, now_ms: int) -> RelayTicketBody:
    # 1. Signature.
    try:
        callee.verify(_TICKET_DOMAIN, ticket.body, ticket.signature, now_ms)
    except SignatureInvalid as error:
        raise RelayTicketRefused("the ticket is not signed by the member to call") from error
    # 2. Form.
    try:
        body = RelayTicketBody.FromString(ticket.body)
    except DecodeError as error:
        raise RelayTicketRefused("the ticket has no body") from error
    if len(body.session_id) != ID_BYTES or len(body.session_key) != KEY_BYTES:
        raise RelayTicketRefused("a ticket with a field of the wrong form")
    # 3. Member.
    if body.member_id != callee.member_id or body.sealing_key not in callee.sealing_keys(now_ms):
        raise RelayTicketRefused("the ticket is for another member or another sealing key")
    # 4. Time.
    age_ms = now_ms - body.issued_at_ms
    if not -CLOCK_SKEW_MS <= age_ms <= TICKET_LIFE_MS + CLOCK_SKEW_MS:
        raise RelayTicketRefused("the ticket is too old, or from the future")
    return body


def _transcript(caller: str, callee: str, call_id: bytes, one_time: bytes, ticket: bytes) -> bytes:
    parts = (_LABEL, caller.encode(), callee.encode(), call_id, one_time, ticket)
    return sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts))


def _shared(own: SealingKey, peer: bytes) -> bytes:
    return nacl.bindings.crypto_scalarmult(own.private, bytes(peer))


def _keys(secret: bytes, transcript: bytes) -> tuple[bytes, bytes]:
    info = _LABEL + b"|keys"
    both = HKDF(hashes.SHA256(), 2 * KEY_BYTES, salt=transcript, info=info).derive(secret)
    return both[:KEY_BYTES], both[KEY_BYTES:]


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
