"""Challenges that are ours without being stored: nothing is written for a stranger who asks.

A challenge is

    16 random bytes || time it ends, 8 bytes || HMAC-SHA256 over use, holder and those, 32 bytes

1. The tag shows that this process made it for this use and for the holder (the browser's cookie).
2. Its time has not ended.
3. It is answered once: who acts on the answer writes it down in that transaction.
"""

import hmac
import os
from typing import Final

from protocols.canonical import sha256
from protocols.errors import CredenceError

LIFE_MS: Final = 5 * 60_000
_RANDOM: Final = 16
_SIZE: Final = _RANDOM + 8 + 32


class ChallengeRefused(CredenceError):
    """A challenge that is not of this process and browser, is too old or was answered already."""

    code = "challenge_refused"
    category = "unauthenticated"
    next_step = "Start again from the page that asked for it."


def make_challenge(key: bytes, use: str, holder: str, now_ms: int) -> bytes:
    """A new challenge.

    Args:
        key: of the tags, 32 bytes.
        use: what answering it does.
        holder: who may answer: a token of the browser's cookie, or a session id.
        now_ms: UTC milliseconds.
    """
    head = os.urandom(_RANDOM) + (now_ms + LIFE_MS).to_bytes(8, "big")
    return head + _tag(key, use, holder, head)


def check_challenge(key: bytes, use: str, holder: str, challenge: bytes, now_ms: int) -> None:
    """Checks 1 and 2.

    Raises:
        ChallengeRefused: one fails.
    """
    head, tag = challenge[: _RANDOM + 8], challenge[_RANDOM + 8 :]
    ours = hmac.compare_digest(tag, _tag(key, use, holder, head))  # 1
    if len(challenge) != _SIZE or not ours:
        raise ChallengeRefused("this challenge was not made for this use and this browser")
    if now_ms >= challenge_end_ms(challenge):  # 2
        raise ChallengeRefused("the time of this challenge is over")


def challenge_end_ms(challenge: bytes) -> int:
    """When a checked challenge ends."""
    return int.from_bytes(challenge[_RANDOM : _RANDOM + 8], "big")


def _tag(key: bytes, use: str, holder: str, head: bytes) -> bytes:
    mac = hmac.new(key, digestmod="sha256")
    for part in (use.encode(), holder.encode(), head):
        mac.update(sha256(part))
    return mac.digest()
