"""A passkey authenticator in software: ES256, attestation "none" (WebAuthn level 3).

    key = Authenticator("localhost", "http://localhost:7501")
    response = key.register(registration_options)   # what navigator.credentials.create gives
    response = key.sign(authentication_options)     # what navigator.credentials.get gives

It holds one credential. What an attacker would change is a keyword argument of `sign`.
"""

import base64
import copy
import hashlib
import json
import os
from typing import Any, Self

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

USER_PRESENT, USER_VERIFIED = 0x01, 0x04
BACKUP_ELIGIBLE, BACKED_UP, ATTESTED = 0x08, 0x10, 0x40


def b64url(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unb64url(text: str) -> bytes:
    """The bytes of `b64url`."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Authenticator:
    """One credential, its key and its signature counter.

    Attributes:
        credential_id: 32 random bytes.
        user_handle: given at registration; None before.
        sign_count: raised by every signature; stays 0 when `counts` is False, as synced ones do.
    """

    def __init__(
        self, rp_id: str, origin: str, *, counts: bool = True, backed_up: bool = False
    ) -> None:
        self.rp_id = rp_id
        self.origin = origin
        self.counts = counts
        self.backed_up = backed_up
        self.credential_id = os.urandom(32)
        self.user_handle: bytes | None = None
        self.sign_count = 0
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def cose_key(self) -> bytes:
        """The public key as COSE (RFC 9053 section 2.1)."""
        point = self._key.public_key().public_numbers()
        x, y = point.x.to_bytes(32, "big"), point.y.to_bytes(32, "big")
        return cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y})

    def clone(self) -> Self:
        """A copy with the same key and counter, as a thief of the key has it."""
        twin = copy.copy(self)
        twin.sign_count = self.sign_count
        return twin

    def register(
        self,
        options: dict[str, Any] | str,
        *,
        origin: str | None = None,
        challenge: bytes | None = None,
        user_verified: bool = True,
    ) -> bytes:
        """Answer registration options; JSON as the browser sends it."""
        asked = _parsed(options)
        self.user_handle = unb64url(asked["user"]["id"])
        client_data = self._client_data(
            "webauthn.create", challenge or unb64url(asked["challenge"]), origin
        )
        attested = (
            bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id
        ) + self.cose_key
        flags = self._flags(user_verified) | ATTESTED
        attestation = {
            "fmt": "none",
            "attStmt": {},
            "authData": self._authenticator_data(flags, self.rp_id) + attested,
        }
        return self._credential(
            {
                "clientDataJSON": b64url(client_data),
                "attestationObject": b64url(cbor2.dumps(attestation)),
                "transports": ["internal"],
            }
        )

    def sign(
        self,
        options: dict[str, Any] | str,
        *,
        origin: str | None = None,
        challenge: bytes | None = None,
        rp_id: str | None = None,
        user_verified: bool = True,
        user_handle: bytes | None = None,
        cross_origin: bool = False,
        damage: bool = False,
    ) -> bytes:
        """Answer authentication options; JSON as the browser sends it.

        Args:
            options: of the relying party.
            origin: None: the one the authenticator was made for.
            challenge: None: that of `options`.
            rp_id: whose hash the authenticator data carries; None: its own.
            user_verified: whether the person was verified (PIN, finger), not just there.
            user_handle: None: that of the registration.
            cross_origin: as in a frame of another site.
            damage: change one bit of the signature's content.
        """
        asked = _parsed(options)
        if self.counts:
            self.sign_count += 1
        client_data = self._client_data(
            "webauthn.get", challenge or unb64url(asked["challenge"]), origin, cross_origin
        )
        data = self._authenticator_data(self._flags(user_verified), rp_id or self.rp_id)
        signed = data + hashlib.sha256(client_data).digest()
        if damage:
            signed = bytes([signed[0] ^ 1]) + signed[1:]
        handle = self.user_handle if user_handle is None else user_handle
        return self._credential(
            {
                "clientDataJSON": b64url(client_data),
                "authenticatorData": b64url(data),
                "signature": b64url(self._key.sign(signed, ec.ECDSA(hashes.SHA256()))),
                "userHandle": b64url(handle) if handle is not None else None,
            }
        )

    def _flags(self, user_verified: bool) -> int:
        flags = USER_PRESENT | (USER_VERIFIED if user_verified else 0)
        return flags | (BACKUP_ELIGIBLE | BACKED_UP if self.backed_up else 0)

    def _authenticator_data(self, flags: int, rp_id: str) -> bytes:
        return (
            hashlib.sha256(rp_id.encode()).digest()
            + bytes([flags])
            + self.sign_count.to_bytes(4, "big")
        )

    def _client_data(
        self, kind: str, challenge: bytes, origin: str | None, cross_origin: bool = False
    ) -> bytes:
        return json.dumps(
            {
                "type": kind,
                "challenge": b64url(challenge),
                "origin": origin or self.origin,
                "crossOrigin": cross_origin,
            },
            separators=(",", ":"),
        ).encode()

    def _credential(self, response: dict[str, Any]) -> bytes:
        return json.dumps(
            {
                "id": b64url(self.credential_id),
                "rawId": b64url(self.credential_id),
                "type": "public-key",
                "authenticatorAttachment": "platform",
                "clientExtensionResults": {},
                "response": response,
            }
        ).encode()


def _parsed(options: dict[str, Any] | str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(options) if isinstance(options, str) else options
    return parsed
