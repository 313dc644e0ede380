"""Codes that people copy by hand: activation codes and recovery codes.

Crockford's base32 without letters that look like digits; what people type instead is read as meant.
A code is written in groups, and read without regard to case, blanks and hyphens.
"""

import secrets
from typing import Final

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
ACTIVATION_CHARACTERS: Final = 8  # 40 bits; five tries
RECOVERY_CHARACTERS: Final = 16  # 80 bits
RECOVERY_CODES: Final = 10
_GROUP: Final = 4
_READ_AS: Final = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})


def new_code(characters: int) -> str:
    """A random code in groups of four."""
    drawn = "".join(secrets.choice(ALPHABET) for _ in range(characters))
    return "-".join(drawn[at : at + _GROUP] for at in range(0, characters, _GROUP))


def read_code(typed: str) -> str:
    """A code as it was made, without hyphens; of anything else, something that is no code."""
    return typed[:64].upper().translate(_READ_AS)
