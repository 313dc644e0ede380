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
from dataclasses import dataclass
from typing import Final

import nacl.bindings
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from google.protobuf.message import DecodeError
from nacl.exceptions import CryptoError

from protocols.canonical import sha256
from protocols.directory import Directory, MemberEntry
from protocols.errors import Malformed
from protocols.identifiers import is_member_id
from protocols.keys import KEY_BYTES, SealingKey, SigningKey
from protocols.relay import RelayFrameRefused, RelaySealBroken, RelayTicketRefused
from protocols.relay_frames import METHOD, Incoming, Outgoing
from protocols.relay_tickets import ID_BYTES, Tickets, checked_ticket
from protocols.v1.relay_pb2 import RelayMethod, RelayOpening, RelayTicket

_OPENING_DOMAIN: Final = "relay-opening"
_LABEL: Final = b"credence/1|relay"


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
        RelayTicketRefused: a check of `protocols.relay_tickets.checked_ticket` fails, or a key in
            the ticket has low order.
    """
    body = checked_ticket(ticket, callee, now_ms)
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
        sealed=outgoing.seal(METHOD, named.SerializeToString()),
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
    if kind != METHOD:
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


def _transcript(caller: str, callee: str, call_id: bytes, one_time: bytes, ticket: bytes) -> bytes:
    parts = (_LABEL, caller.encode(), callee.encode(), call_id, one_time, ticket)
    return sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts))


def _shared(own: SealingKey, peer: bytes) -> bytes:
    return nacl.bindings.crypto_scalarmult(own.private, bytes(peer))


def _keys(secret: bytes, transcript: bytes) -> tuple[bytes, bytes]:
    info = _LABEL + b"|keys"
    both = HKDF(hashes.SHA256(), 2 * KEY_BYTES, salt=transcript, info=info).derive(secret)
    return both[:KEY_BYTES], both[KEY_BYTES:]
