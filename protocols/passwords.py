"""Passwords at rest: argon2id (RFC 9106), its parameters and salt in the text of the hash.

A password is compared in Unicode form NFKC (NIST SP 800-63B, 3.1.1.2): the same keys pressed on
another system give the same bytes.
"""

import secrets
import threading
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from argon2 import PasswordHasher

AT_ONCE: Final = 4  # each takes its memory; a crowd of guesses waits instead of taking all of it


@dataclass(frozen=True, slots=True)
class PasswordCost:
    """What one guess costs.

    Attributes:
        memory_kib: memory, KiB. The default is the second recommendation of RFC 9106 section 4.
        passes: over that memory.
        lanes: computed side by side.
    """

    memory_kib: int = 64 * 1024
    passes: int = 3
    lanes: int = 4


class Passwords:
    """Hashes and checks passwords at one cost; thread-safe."""

    def __init__(self, cost: PasswordCost | None = None) -> None:
        self._cost = cost or PasswordCost()
        self._turns = threading.BoundedSemaphore(AT_ONCE)

    def hash(self, password: str) -> str:
        """The text to keep."""
        with self._turns:
            return self._hasher.hash(_normal(password))

    def matches(self, kept: str | None, password: str) -> bool:
        """Whether `password` is the one of `kept`.

        None, for an account that has no password or does not exist, costs as much and never
        matches.
        """
        from argon2.exceptions import InvalidHashError, VerificationError

        with self._turns:
            try:
                self._hasher.verify(kept or self._nobodys, _normal(password))
            except (VerificationError, InvalidHashError):
                return False
        return bool(kept)

    def is_weaker(self, kept: str) -> bool:
        """Whether `kept` was hashed at another cost than today's."""
        return self._hasher.check_needs_rehash(kept)

    @cached_property
    def _hasher(self) -> "PasswordHasher":
        from argon2 import PasswordHasher, Type

        return PasswordHasher(
            time_cost=self._cost.passes,
            memory_cost=self._cost.memory_kib,
            parallelism=self._cost.lanes,
            type=Type.ID,
        )

    @cached_property
    def _nobodys(self) -> str:
        return self._hasher.hash(secrets.token_hex())


def _normal(password: str) -> str:
    return unicodedata.normalize("NFKC", password)
