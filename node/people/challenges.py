"""The challenges of a node's accounts (`protocols.challenges`), each answered once."""

from collections.abc import Callable

from audit.database import Connection
from node.people.secrets import PeopleKeys
from node.storage import web_sessions
from protocols.canonical import sha256
from protocols.challenges import (
    LIFE_MS,
    ChallengeRefused,
    challenge_end_ms,
    check_challenge,
    make_challenge,
)

__all__ = ["LIFE_MS", "ChallengeRefused", "Challenges"]


class Challenges:
    """Makes challenges and knows them again."""

    def __init__(self, keys: PeopleKeys, clock: Callable[[], int]) -> None:
        self._key = keys.challenges
        self._clock = clock

    def make(self, use: str, holder: str) -> bytes:
        """A new challenge; see `make_challenge`."""
        return make_challenge(self._key, use, holder, self._clock())

    def check(self, use: str, holder: str, challenge: bytes) -> None:
        """Whether it is ours, for this use and holder, and not over.

        Raises:
            ChallengeRefused: it is not.
        """
        check_challenge(self._key, use, holder, challenge, self._clock())

    def spend(self, connection: Connection, challenge: bytes) -> None:
        """That it is answered for the first time, in the transaction that acts on the answer.

        Raises:
            ChallengeRefused: it was answered already.
        """
        if not web_sessions.spend(connection, sha256(challenge), challenge_end_ms(challenge)):
            raise ChallengeRefused("this challenge was answered already")
