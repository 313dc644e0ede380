"""Identifiers of people and enterprises: one spelling each, checked before it goes anywhere.

An identifier is written `resident:...`, `uscc:...` or `passport:CCC-...`; without a scheme it is a
resident id. The scheme is part of what becomes a pseudonym, so that a number that is valid in two
schemes never joins two owners.

    resident  18 places, GB 11643-1999: 17 digits and a check digit (ISO 7064 MOD 11-2)
    uscc      18 places, GB 32100-2015: unified social credit code of an enterprise
    passport  ICAO 9303: issuing state, three letters, and 5 to 9 letters or digits. A passport
              number has no check digit outside its machine-readable zone: only its form is checked

No error repeats the identifier.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import Final

from protocols.errors import InvalidInput

MAX_CHARACTERS: Final = 64
RESIDENT, USCC, PASSPORT = "resident", "uscc", "passport"

_RESIDENT_ID: Final = re.compile(r"[0-9]{17}[0-9X]")
_RESIDENT_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_RESIDENT_CHECK: Final = "10X98765432"

_CREDIT_ALPHABET: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # no I, O, S, V, Z
_CREDIT_CODE: Final = re.compile(
    f"[1-9A-HJ-NP-RTUW-Y][1-9A-HJ-NP-RTUW-Y][0-9]{{6}}[{_CREDIT_ALPHABET}]{{10}}"
)
_CREDIT_WEIGHTS: Final = tuple(pow(3, place, 31) for place in range(17))

_PASSPORT: Final = re.compile(r"([A-Z]{3})[-: ]?([A-Z0-9]{5,9})")


def check_digit(first17: str) -> str:
    """The 18th character of a resident id (GB 11643-1999: ISO 7064 MOD 11-2).

    Raises:
        InvalidInput: not 17 ASCII digits.
    """
    if len(first17) != 17 or not (first17.isascii() and first17.isdigit()):
        raise InvalidInput("the body of a resident id is 17 digits")
    total = sum(weight * int(d) for weight, d in zip(_RESIDENT_WEIGHTS, first17, strict=True))
    return _RESIDENT_CHECK[total % 11]


def credit_code_check(first17: str) -> str:
    """The 18th character of a unified social credit code (GB 32100-2015, MOD 31).

    Raises:
        InvalidInput: not 17 characters of the code's alphabet.
    """
    if len(first17) != 17 or not set(first17) <= set(_CREDIT_ALPHABET):
        raise InvalidInput("the body of a unified social credit code is 17 digits or letters")
    total = sum(
        weight * _CREDIT_ALPHABET.index(character)
        for weight, character in zip(_CREDIT_WEIGHTS, first17, strict=True)
    )
    return _CREDIT_ALPHABET[-total % 31]


def normalise_identifier(identifier: str) -> str:
    """The one spelling of an identifier: ASCII, capitals, no blanks; a scheme unless resident.

    Full-width characters and blanks, as forms often carry them, are accepted.

    Raises:
        InvalidInput: an unknown scheme, a wrong form or check character. The message never
            repeats the identifier.
    """
    scheme, value = _split(identifier)
    return value if scheme == RESIDENT else f"{scheme}:{value}"


def oprf_input(identifier: str) -> bytes:
    """What of an identifier goes into the pseudonym's function: its scheme and one spelling.

    Raises:
        InvalidInput: as `normalise_identifier`.
    """
    scheme, value = _split(identifier)
    return f"credence/1|{scheme}|{value}".encode()


def _split(identifier: str) -> tuple[str, str]:
    if len(identifier) > MAX_CHARACTERS:
        raise InvalidInput(f"an identifier has at most {MAX_CHARACTERS} characters")
    folded = "".join(unicodedata.normalize("NFKC", identifier).split())
    scheme, separator, rest = folded.partition(":")
    if not separator:
        scheme, rest = RESIDENT, folded
    read = _SCHEMES.get(scheme.lower())
    if read is None:
        raise InvalidInput(f"the scheme of an identifier is one of {', '.join(_SCHEMES)}")
    return scheme.lower(), read(rest.upper())


def _resident(text: str) -> str:
    if _RESIDENT_ID.fullmatch(text) is None:
        raise InvalidInput("a resident id has 17 digits and a check digit (0-9 or X)")
    if check_digit(text[:17]) != text[17]:
        raise InvalidInput("the check digit of the resident id is wrong")
    return text


def _credit_code(text: str) -> str:
    if _CREDIT_CODE.fullmatch(text) is None:
        raise InvalidInput("a unified social credit code has 18 digits or letters in its form")
    if credit_code_check(text[:17]) != text[17]:
        raise InvalidInput("the check character of the unified social credit code is wrong")
    return text


def _passport(text: str) -> str:
    match = _PASSPORT.fullmatch(text)
    if match is None:
        raise InvalidInput("a passport is three letters of its state, then 5 to 9 places")
    return f"{match[1]}-{match[2]}"


_SCHEMES: Final[dict[str, Callable[[str], str]]] = {
    RESIDENT: _resident,
    USCC: _credit_code,
    PASSPORT: _passport,
}
