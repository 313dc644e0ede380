"""Tickets of relayed calls: a callee's signed one-hour keys, and the calls that each has taken."""

import os
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from google.protobuf.message import DecodeError

from protocols.directory import MemberEntry
from protocols.errors import SignatureInvalid
from protocols.keys import KEY_BYTES, SealingKey, SigningKey
from protocols.relay import RelayBusy, RelayReplayed, RelayTicketRefused
from protocols.v1.relay_pb2 import RelayTicket, RelayTicketBody

ID_BYTES: Final = 16
TICKET_RENEW_MS: Final = 3_600_000
TICKET_LIFE_MS: Final = 2 * TICKET_RENEW_MS
TICKET_CALLS: Final = 100_000
CLOCK_SKEW_MS: Final = 60_000

_TICKET_DOMAIN: Final = "relay-ticket"


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


def checked_ticket(ticket: RelayTicket, callee: MemberEntry, now_ms: int) -> RelayTicketBody:
    """What a ticket says, once it holds.

    Checks: 1. signed by the callee, as the directory names it; 2. form; 3. it is of that member and
    for its sealing key in the directory; 4. not older than two hours and not from the future,
    within the clock skew.

    Raises:
        RelayTicketRefused: a check fails.
    """
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
