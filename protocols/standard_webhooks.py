"""Signatures of webhooks: Standard Webhooks 1.0.0, the asymmetric scheme `v1a`.

Ed25519 over `<webhook-id>.<webhook-timestamp>.<body>`, in the header `webhook-signature` as
`v1a,<base64>`; several, parted by blanks, while a key is being replaced. A public key is written
`whpk_<base64>`. https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/
"""

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Final

from protocols.errors import InvalidInput, Malformed, SignatureInvalid
from protocols.keys import SigningKey, VerifyKey

ID_HEADER: Final = "webhook-id"
TIMESTAMP_HEADER: Final = "webhook-timestamp"
SIGNATURE_HEADER: Final = "webhook-signature"
TOLERANCE_S: Final = 300
MAX_SIGNATURES: Final = 8

_PREFIX: Final = "whpk_"
_VERSION: Final = "v1a"
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")  # no full stop: it parts what is signed
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}")


def public_key_text(key: VerifyKey) -> str:
    """A public key as it is shown: `whpk_` and base64."""
    return _PREFIX + base64.b64encode(key.bytes).decode()


def parse_public_key(text: str) -> VerifyKey:
    """The key of `public_key_text`.

    Raises:
        Malformed: it is none.
    """
    if not text.startswith(_PREFIX):
        raise Malformed(f"a public key of webhooks begins with {_PREFIX}")
    try:
        key = VerifyKey(base64.b64decode(text.removeprefix(_PREFIX), validate=True))
    except ValueError as error:
        raise Malformed("a public key of webhooks is base64") from error
    if public_key_text(key) != text:  # base64 has spare bits at its end
        raise Malformed("a public key of webhooks is written in one way")
    return key


def signed_headers(
    keys: Sequence[SigningKey], message_id: str, at_s: int, body: bytes
) -> dict[str, str]:
    """The three headers of one attempt.

    Args:
        keys: the key in force first, then those it replaced not long ago.
        message_id: the same in every attempt.
        at_s: when this attempt is made, UTC seconds.
        body: as it is sent.

    Raises:
        InvalidInput: the id has a character that could be taken for what parts the signed text.
    """
    if _ID.fullmatch(message_id) is None:
        raise InvalidInput("a message id is 1 to 64 letters, digits, - and _")
    content = _content(message_id, str(at_s), body)
    signatures = [base64.b64encode(key.sign_raw(content)).decode() for key in keys]
    return {
        ID_HEADER: message_id,
        TIMESTAMP_HEADER: str(at_s),
        SIGNATURE_HEADER: " ".join(f"{_VERSION},{one}" for one in signatures),
    }


def verify(keys: Sequence[VerifyKey], headers: Mapping[str, str], body: bytes, now_s: int) -> str:
    """Check a webhook that was received; its message id, to know a repetition by.

    1. All three headers are there and of their form.
    2. The attempt was made within five minutes of now.
    3. One of the signatures is of one of `keys`, which the receiver knew before.

    Args:
        keys: public keys of this endpoint, from `GET /v1/webhook-endpoints/{id}`.
        headers: of the request, by lower-case name.
        body: as it was received.
        now_s: UTC seconds.

    Raises:
        SignatureInvalid: one of these does not hold.
    """
    message_id, at, signatures = (
        headers.get(name, "") for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)
    )
    if _ID.fullmatch(message_id) is None or _TIMESTAMP.fullmatch(at) is None:  # 1
        raise SignatureInvalid("the headers are not those of a Standard Webhook")
    if abs(now_s - int(at)) > TOLERANCE_S:  # 2
        raise SignatureInvalid("the webhook was not made just now")
    content = _content(message_id, at, body)
    for one in signatures.split(" ")[:MAX_SIGNATURES]:  # 3
        version, _, text = one.partition(",")
        if version == _VERSION and any(_is_of(key, content, text) for key in keys):
            return message_id
    raise SignatureInvalid("no signature is of a known key")


def _is_of(key: VerifyKey, content: bytes, text: str) -> bool:
    try:
        key.verify_raw(content, base64.b64decode(text, validate=True))
    except (SignatureInvalid, ValueError):
        return False
    return True


def _content(message_id: str, at: str, body: bytes) -> bytes:
    return f"{message_id}.{at}.".encode() + body
