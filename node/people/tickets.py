"""Sealed notes that a browser keeps for us between two steps: it can neither read nor change them.

A ticket is bound to its use and its holder and ends by time. It can be shown more than once; where
that matters, what it stands for is spent (`node.people.challenges`).
"""

import json
from collections.abc import Callable, Mapping

from node.people.secrets import PeopleKeys
from protocols import aead
from protocols.canonical import b64url_decode, b64url_encode
from protocols.errors import CredenceError, Malformed, SignatureInvalid

MAX_CHARACTERS = 3000


class TicketRefused(CredenceError):
    """A step came too late, or in another session than the one before it."""

    code = "ticket_refused"
    category = "unauthenticated"
    next_step = "Start again from the first step."


class Tickets:
    """Seals and opens tickets."""

    def __init__(self, keys: PeopleKeys, clock: Callable[[], int]) -> None:
        self._key = keys.tickets
        self._clock = clock

    def seal(self, use: str, holder: str, content: Mapping[str, str], life_ms: int) -> str:
        """A ticket; `content` is short."""
        body = {"until": self._clock() + life_ms, **content}
        sealed = aead.encrypt(self._key, json.dumps(body).encode(), _bound(use, holder))
        return b64url_encode(sealed)

    def open(self, use: str, holder: str, ticket: str) -> dict[str, str]:
        """The content of a ticket.

        Raises:
            TicketRefused: not ours, of another use or holder, or its time is over.
        """
        try:
            blob = b64url_decode(ticket) if len(ticket) <= MAX_CHARACTERS else b""
            body = json.loads(aead.decrypt(self._key, blob, _bound(use, holder)))
        except (Malformed, SignatureInvalid) as error:
            raise TicketRefused("this step does not belong to this session") from error
        if self._clock() >= body.pop("until"):
            raise TicketRefused("too much time has passed since the step before")
        content: dict[str, str] = body
        return content


def _bound(use: str, holder: str) -> bytes:
    return json.dumps(["credence/1|ticket", use, holder]).encode()
