"""What comes through a relay: frames, tickets, openings, and what is under the seal."""

from functools import cache

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError

from protocols.relay import DEFAULT_RELAY_LIMITS, check_frame
from protocols.relay_frames import Incoming
from protocols.relay_seal import SealedCall, accept_call, open_call
from protocols.relay_tickets import Tickets
from protocols.v1.relay_pb2 import RelayFrame, RelayOpening, RelayTicket
from scripts.vectors.seeds import NOW_MS, sealing, seed, seeded, signing
from tests.fuzz.trying import attempt, network

KEY, TRANSCRIPT = seed("relay key"), seed("relay transcript")


def run(data: bytes) -> bool:
    """The bytes as each of them."""
    taken = [attempt(one, data) for one in (_frame, _ticket, _opening, _under_the_seal)]
    return any(taken)


def _frame(data: bytes) -> None:
    """A frame off the wire."""
    try:
        frame = RelayFrame.FromString(data)
    except DecodeError:
        return  # gRPC refuses it before we see it
    check_frame(frame, DEFAULT_RELAY_LIMITS)


def _ticket(data: bytes) -> None:
    """A ticket that the callee signed."""
    _opened(RelayTicket(body=data, signature=_signed(data)))


def _signed(data: bytes) -> bytes:
    return signing("payments").sign("relay-ticket", data)


def _opened(ticket: RelayTicket) -> tuple[RelayOpening, SealedCall]:
    return open_call(
        caller="bank-a",
        key=signing("bank-a"),
        callee=network().member("payments"),
        ticket=ticket,
        method="/credence.v1.Exchange/Fetch",
        timeout_ms=1000,
        directory_version=3,
        now_ms=NOW_MS,
    )


def _opening(data: bytes) -> None:
    """An opening, at a callee that takes every call anew."""
    try:
        opening = RelayOpening.FromString(data)
    except DecodeError:
        return
    tickets, _ = _tickets()
    accept_call(opening, own_id="payments", tickets=tickets, directory=network(), now_ms=NOW_MS)


def _under_the_seal(data: bytes) -> None:
    """Two frames of a member that holds the key and means harm."""
    incoming = Incoming(KEY, TRANSCRIPT)
    for number in range(2):
        nonce = number.to_bytes(12, "big")
        incoming.take(AESGCM(KEY).encrypt(nonce, data, TRANSCRIPT), 4096)


def _tickets() -> tuple[Tickets, RelayTicket]:
    tickets = Tickets("payments")
    with seeded("relay session"):
        ticket = tickets.issue(signing("payments"), sealing("payments"), NOW_MS)
    return tickets, ticket


@cache
def seeds() -> tuple[bytes, ...]:
    """A frame, a ticket, an opening, a piece of a message."""
    _, ticket = _tickets()
    with seeded("relay call"):
        opening, _ = _opened(ticket)
    frame = RelayFrame(call=7, opening=opening)
    piece = bytes([2]) + b"a piece" + b"\x80" + bytes(247)
    return frame.SerializeToString(), ticket.body, opening.SerializeToString(), piece
