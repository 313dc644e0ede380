"""A passkey's signature as evidence: the check that any holder makes, long after the ceremony.

WebAuthn level 3, section 7.2, as far as it concerns what was signed. What needs the session that
asked (the signature counter, which credentials were allowed) belongs to `protocols.passkeys`.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from protocols.canonical import b64url_encode, parse_json, sha256
from protocols.cose_keys import MAX_SIGNATURE_BYTES, parse_cose_key
from protocols.errors import Malformed, SignatureInvalid

MAX_CLIENT_DATA_BYTES: Final = 2048
MAX_AUTHENTICATOR_DATA_BYTES: Final = 1024
MAX_DEPTH: Final = 3

_FIXED_BYTES: Final = 37  # SHA-256 of the rp id, flags, signature counter
_USER_PRESENT: Final = 0x01
_USER_VERIFIED: Final = 0x04
_ATTESTED_DATA: Final = 0x40
_EXTENSIONS: Final = 0x80


class AssertionInvalid(SignatureInvalid):
    """A passkey's signature is not one that confirms this."""

    code = "assertion_invalid"
    next_step = "Ask the person to confirm again with their passkey, on the institution's own page."


@dataclass(frozen=True, slots=True)
class Assertion:
    """What a passkey returns when it signs.

    Attributes:
        authenticator_data: 37 bytes or, with extensions, up to 1024.
        client_data: JSON as the browser wrote it, up to 2048 bytes; it holds challenge and origin.
        signature: over authenticator data and SHA-256 of the client data.
    """

    authenticator_data: bytes
    client_data: bytes
    signature: bytes

    @property
    def sign_count(self) -> int:
        """The authenticator's counter; only an authenticator data of full length has one."""
        return int.from_bytes(self.authenticator_data[33:37], "big")


def check_assertion(
    assertion: Assertion,
    *,
    public_key: bytes,
    challenge: bytes,
    rp_id: str,
    origins: Sequence[str],
) -> None:
    """Check that a person, verified and present, signed `challenge` on a page of `rp_id`.

    1. sizes, before anything is parsed;
    2. the client data is JSON of type `webauthn.get`, not from a frame of another origin;
    3. its challenge is the expected one;
    4. its origin is one of `origins`;
    5. the authenticator data is of `rp_id`, has the flags for presence and verification, and is as
       long as its flags say;
    6. the signature verifies under the passkey's key.

    Args:
        assertion: as received.
        public_key: COSE key, see `protocols.cose_keys`.
        challenge: the bytes that had to be signed.
        rp_id: the relying party's domain.
        origins: pages of it that may ask, such as `https://my.bank.example`.

    Raises:
        Malformed: check 1, or the client data is no JSON, or `public_key` no COSE key.
        AssertionInvalid: checks 2 to 5.
        SignatureInvalid: check 6.
    """
    # 1
    if len(assertion.client_data) > MAX_CLIENT_DATA_BYTES:
        raise Malformed("a passkey's client data is larger than accepted")
    if not _FIXED_BYTES <= len(assertion.authenticator_data) <= MAX_AUTHENTICATOR_DATA_BYTES:
        raise Malformed("a passkey's authenticator data has not its size")
    if len(assertion.signature) > MAX_SIGNATURE_BYTES:
        raise Malformed("a passkey's signature is larger than accepted")
    # 2, 3, 4
    _check_client_data(assertion.client_data, challenge, origins)
    # 5
    _check_authenticator_data(assertion.authenticator_data, rp_id)
    # 6
    signed = assertion.authenticator_data + sha256(assertion.client_data)
    parse_cose_key(public_key).verify(signed, assertion.signature)


def _check_client_data(data: bytes, challenge: bytes, origins: Sequence[str]) -> None:
    client: Any = parse_json(data, max_bytes=MAX_CLIENT_DATA_BYTES, max_depth=MAX_DEPTH)
    # 2
    if not isinstance(client, dict) or client.get("type") != "webauthn.get":
        raise AssertionInvalid("the passkey's client data is not of a signature")
    if client.get("crossOrigin", False) is not False or "topOrigin" in client:
        raise AssertionInvalid("the passkey was asked from within another site")
    # 3
    stated = client.get("challenge")
    expected = b64url_encode(challenge)
    if not isinstance(stated, str) or not hmac.compare_digest(stated.encode(), expected.encode()):
        raise AssertionInvalid("the passkey signed another challenge")
    # 4
    if client.get("origin") not in origins:
        raise AssertionInvalid("the passkey was asked by another site")


def _check_authenticator_data(data: bytes, rp_id: str) -> None:
    # 5
    if not hmac.compare_digest(data[:32], sha256(rp_id.encode())):
        raise AssertionInvalid("the passkey belongs to another relying party")
    flags = data[32]
    if not flags & _USER_PRESENT or not flags & _USER_VERIFIED:
        raise AssertionInvalid("the passkey signed without the person's presence or verification")
    longer = len(data) > _FIXED_BYTES
    if flags & _ATTESTED_DATA or longer != bool(flags & _EXTENSIONS):
        raise AssertionInvalid("the passkey's data is not as long as its flags say")
