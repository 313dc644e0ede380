"""Names for people: what an institution may keep, and what may travel.

An identifier becomes a *pseudonym* (32 bytes) that stays inside an institution. On the wire only
pairwise values travel: a *handle* per pair and epoch inside a consent artefact, and a *token* per
pair, epoch and consent inside a request. To the outside a person is a *subject reference*, which
only the node that made it can connect.
"""

import hashlib
import hmac
import re
import unicodedata
from typing import Final

from protocols.errors import InvalidInput
from protocols.identifiers import base32_lower

PSEUDONYM_BYTES: Final = 32

_RESIDENT_ID: Final = re.compile(r"[0-9]{17}[0-9X]")
_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK: Final = "10X98765432"


def check_digit(first17: str) -> str:
    """The 18th character of a resident id (GB 11643-1999: ISO 7064 MOD 11-2).

    Raises:
        InvalidInput: not 17 ASCII digits.
    """
    if len(first17) != 17 or not (first17.isascii() and first17.isdigit()):
        raise InvalidInput("the body of a resident id is 17 digits")
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, first17, strict=True))
    return _CHECK[total % 11]


def normalise_identifier(identifier: str) -> str:
    """The one spelling of an 18-digit resident id: ASCII digits, capital X, no blanks.

    Full-width digits and blanks, as forms often carry them, are accepted.

    Raises:
        InvalidInput: not 18 places, or the check digit is wrong. The message never repeats it.
    """
    if len(identifier) > 64:
        raise InvalidInput("a resident id has 18 places")
    folded = "".join(unicodedata.normalize("NFKC", identifier).split()).upper()
    if _RESIDENT_ID.fullmatch(folded) is None:
        raise InvalidInput("a resident id has 17 digits and a check digit (0-9 or X)")
    if check_digit(folded[:17]) != folded[17]:
        raise InvalidInput("the check digit of the resident id is wrong")
    return folded


def pseudonym(network_key: bytes, identifier: str) -> bytes:
    """The network's name for a person, 32 bytes.

    HMAC-SHA256 under a key that members hold and the coordinator does not. This is the one
    function that the threshold VOPRF replaces; nothing else knows how a pseudonym is made.

    Raises:
        InvalidInput: the key is not 32 bytes, or the identifier is not a resident id.
    """
    message = b"credence/1|pseudonym|" + normalise_identifier(identifier).encode()
    return _mac(network_key, message)


def handle(pair_key: bytes, subject: bytes) -> bytes:
    """The name two members use for a person during one epoch, 32 bytes.

    Args:
        pair_key: `protocols.keys.pair_key` of the two members and the epoch.
        subject: the pseudonym, 32 bytes.
    """
    return _mac(pair_key, b"credence/1|handle|" + _checked(subject, "a pseudonym"))


def query_token(pair_key: bytes, subject: bytes, consent_hash: bytes) -> bytes:
    """The name of a person in a request under one consent, 32 bytes.

    HMAC-SHA256(pair key, pseudonym || consent hash): 64 bytes, a length no handle's input has.
    Compare tokens with `hmac.compare_digest`.
    """
    message = _checked(subject, "a pseudonym") + _checked(consent_hash, "a consent hash")
    return _mac(pair_key, message)


def subject_ref(local_key: bytes, subject: bytes) -> str:
    """The reference a node gives out for a person: `sub_` and 26 base32 characters (130 bits).

    Args:
        local_key: the node's own 32-byte key; another node's references do not match.
        subject: the pseudonym, 32 bytes.
    """
    digest = _mac(local_key, b"credence/1|subject-ref|" + _checked(subject, "a pseudonym"))
    return "sub_" + base32_lower(digest)[:26]


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(_checked(key, "a key"), message, hashlib.sha256)


def _checked(data: bytes, what: str) -> bytes:
    if len(data) != PSEUDONYM_BYTES:
        raise InvalidInput(f"{what} is 32 bytes")
    return data
