"""A process's private keys, sealed under its key-encryption key.

The blob is a header line, then AES-256-GCM over canonical JSON `{name: base64url}` with the
header as associated data, so that a blob of another format never opens as this one.
"""

import re
from collections.abc import Mapping
from typing import Final

from protocols.aead import decrypt, encrypt
from protocols.canonical import b64url_decode, b64url_encode, canonical_json, parse_canonical
from protocols.errors import InvalidInput, Malformed

MAX_KEYSTORE_BYTES: Final = 64 * 1024

_HEADER: Final = b"credence-keystore/1\n"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


def seal_keys(kek: bytes, keys: Mapping[str, bytes]) -> bytes:
    """Seal named secrets.

    Args:
        kek: the 32-byte key-encryption key.
        keys: secrets by name (lower snake case).

    Raises:
        InvalidInput: a name or the key-encryption key has the wrong form, or it is too much.
    """
    for name in keys:
        if _NAME.fullmatch(name) is None:
            raise InvalidInput("the name of a kept key is lower snake case")
    body = canonical_json({name: b64url_encode(secret) for name, secret in keys.items()})
    blob = _HEADER + encrypt(kek, body, _HEADER)
    if len(blob) > MAX_KEYSTORE_BYTES:
        raise InvalidInput(f"a keystore holds at most {MAX_KEYSTORE_BYTES} bytes")
    return blob


def open_keys(kek: bytes, blob: bytes) -> dict[str, bytes]:
    """Open what `seal_keys` made.

    Raises:
        InvalidInput: the key-encryption key is not 32 bytes.
        Malformed: not a keystore of this format.
        SignatureInvalid: another key-encryption key, or changed bytes.
    """
    if len(blob) > MAX_KEYSTORE_BYTES or not blob.startswith(_HEADER):
        raise Malformed("not a keystore of this version")
    body = decrypt(kek, blob[len(_HEADER) :], _HEADER)
    parsed = parse_canonical(body, max_bytes=MAX_KEYSTORE_BYTES, max_depth=1)
    if not isinstance(parsed, dict) or not all(isinstance(text, str) for text in parsed.values()):
        raise Malformed("a keystore holds one text per name")
    return {name: b64url_decode(text) for name, text in parsed.items()}
