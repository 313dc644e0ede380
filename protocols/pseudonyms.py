"""Names for people: what an institution may keep, and what may travel.

An identifier becomes a *pseudonym* (32 bytes) through the members' threshold VOPRF
(`protocols/oprf.py`, `docs/pseudonyms.md`); it stays inside an institution. On the wire only
pairwise values travel: a *handle* per pair and epoch inside a consent artefact, and a *token* per
pair, epoch and consent inside a request. To the outside a person is a *subject reference*, which
only the node that made it can connect.
"""

import hashlib
import hmac
from typing import Final

from protocols.errors import InvalidInput
from protocols.identifiers import base32_lower

PSEUDONYM_BYTES: Final = 32
OUTPUT_BYTES: Final = 64


def pseudonym_of(output: bytes) -> bytes:
    """The network's name for a person during one key epoch, 32 bytes.

    Args:
        output: of the threshold VOPRF (`protocols.oprf.combine`), 64 bytes.
    """
    if len(output) != OUTPUT_BYTES:
        raise InvalidInput(f"an output of the OPRF is {OUTPUT_BYTES} bytes")
    return hashlib.sha256(b"credence/1|pseudonym|" + output).digest()


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


def cache_key(local_key: bytes, data: bytes) -> bytes:
    """What a node finds the pseudonym of an identifier under, 32 bytes, without keeping the latter.

    Args:
        local_key: the node's own 32-byte key.
        data: the OPRF's input, `protocols.legal_ids.oprf_input`.
    """
    return _mac(local_key, b"credence/1|enrolled|" + data)


def subject_ref(local_key: bytes, subject: bytes) -> str:
    """The reference a node gives out for a person: `sub_` and 26 base32 characters (130 bits).

    Args:
        local_key: the node's own 32-byte key; another node's references do not match.
        subject: the pseudonym, 32 bytes.
    """
    digest = _mac(local_key, b"credence/1|subject-ref|" + _checked(subject, "a pseudonym"))
    return "sub_" + base32_lower(digest)[:26]


def _mac(key: bytes, message: bytes) -> bytes:
    # Not hmac.digest: it gives up the interpreter's lock, which costs a busy node more than this.
    return hmac.new(_checked(key, "a key"), message, hashlib.sha256).digest()


def _checked(data: bytes, what: str) -> bytes:
    if len(data) != PSEUDONYM_BYTES:
        raise InvalidInput(f"{what} is 32 bytes")
    return data
