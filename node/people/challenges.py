"""Challenges that are ours without being stored: nothing is written for a stranger who asks.

A challenge is

    16 random bytes || time it ends, 8 bytes || HMAC-SHA256 over use, holder and those, 32 bytes

1. The tag shows that this node made it for this use and for the holder (the browser's cookie).
2. Its time has not ended.
3. It is answered once: the answer's transaction writes it down (`spend`).
"""

import hmac
import os
from collections.abc import Callable
from typing import Final

from audit.database import Connection
from node.people.secrets import PeopleKeys
from node.storage import web_sessions
from protocols.canonical import sha256
from protocols.errors import CredenceError

LIFE_MS: Final = 5 * 60_000
_RANDOM: Final = 16
_SIZE: Final = _RANDOM + 8 + 32


class ChallengeRefused(CredenceError):
    """A challenge that is not of this node and browser, is too old or was answered already."""

    code = "challenge_refused"
    category = "unauthenticated"
    next_step = "Start again from the page that asked for it."


class Challenges:
    """Makes challenges and knows them again."""

    def __init__(self, keys: PeopleKeys, clock: Callable[[], int]) -> None:
        self._key = keys.challenges
        self._clock = clock

    def make(self, use: str, holder: str) -> bytes:
        """A new challenge.

        Args:
            use: what answering it does.
            holder: who may answer: a token of the browser's cookie, or a session id.
        """
        head = os.urandom(_RANDOM) + (self._clock() + LIFE_MS).to_bytes(8, "big")
        return head + self._tag(use, holder, head)

    def check(self, use: str, holder: str, challenge: bytes) -> None:
        """Checks 1 and 2.

        Raises:
            ChallengeRefused: one fails.
        """
        head, tag = challenge[: _RANDOM + 8], challenge[_RANDOM + 8 :]
        ours = hmac.compare_digest(tag, self._tag(use, holder, head))  # 1
        if len(challenge) != _SIZE or not ours:
            raise ChallengeRefused("this challenge was not made for this use and this browser")
        if self._clock() >= _end_ms(challenge):  # 2
            raise ChallengeRefused("the time of this challenge is over")

    def spend(self, connection: Connection, challenge: bytes) -> None:
        """Check 3, in the transaction that acts on the answer.

        Raises:
            ChallengeRefused: it was answered already.
        """
        if not web_sessions.spend(connection, sha256(challenge), _end_ms(challenge)):
            raise ChallengeRefused("this challenge was answered already")

    def _tag(self, use: str, holder: str, head: bytes) -> bytes:
        mac = hmac.new(self._key, digestmod="sha256")
        for part in (use.encode(), holder.encode(), head):
            mac.update(sha256(part))
        return mac.digest()


def _end_ms(challenge: bytes) -> int:
    return int.from_bytes(challenge[_RANDOM : _RANDOM + 8], "big")
