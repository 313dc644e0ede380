"""The client's key, and what it signs: assertions (RFC 7523) and DPoP proofs (RFC 9449).

Ed25519 throughout. A file may hold a private JWK (RFC 8037) or PKCS #8 PEM (RFC 8410).
"""

import base64
import binascii
import json
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from protocols.canonical import b64url_decode, b64url_encode, canonical_json, sha256
from protocols.errors import CredenceError, InvalidInput
from protocols.jose import sign_compact
from protocols.keys import KEY_BYTES, SigningKey

ALGORITHM: Final = "EdDSA"
ASSERTION_LIFE_S: Final = 60
MAX_KEY_FILE: Final = 8 * 1024
# RFC 8410 section 7: everything of a PKCS #8 Ed25519 key that stands before its 32 bytes.
_PKCS8: Final = bytes.fromhex("302e020100300506032b657004220420")


class ClientKey:
    """A private key of an API client; its seed never appears in a repr."""

    def __init__(self, key: SigningKey, kid: str | None = None) -> None:
        """Hold a key.

        Args:
            key: signs.
            kid: how the node knows it; None: by its thumbprint (RFC 7638).
        """
        self._key = key
        self.kid = kid or self.thumbprint

    @classmethod
    def generate(cls) -> Self:
        """A new key."""
        return cls(SigningKey.generate())

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """The key in a file: a private JWK, or PKCS #8 PEM.

        Raises:
            InvalidInput: it cannot be read, or holds no Ed25519 private key.
        """
        try:
            with Path(path).open("rb") as file:
                text = file.read(MAX_KEY_FILE).decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"the key file {path} cannot be read") from error
        try:
            return cls._of_pem(text) if text.startswith("-----BEGIN") else cls._of_jwk(text)
        except (ValueError, KeyError, TypeError, binascii.Error, CredenceError) as error:
            raise InvalidInput(f"{path} holds no Ed25519 private key") from error

    @classmethod
    def _of_jwk(cls, text: str) -> Self:
        fields: dict[str, Any] = json.loads(text)
        if fields["kty"] != "OKP" or fields["crv"] != "Ed25519":
            raise ValueError("another kind of key")
        kid = fields.get("kid")
        return cls(SigningKey(b64url_decode(fields["d"])), kid if isinstance(kid, str) else None)

    @classmethod
    def _of_pem(cls, text: str) -> Self:
        lines = text.splitlines()
        if lines[0] != "-----BEGIN PRIVATE KEY-----":
            raise ValueError("another kind of file")
        der = base64.b64decode("".join(lines[1:-1]), validate=True)
        if len(der) != len(_PKCS8) + KEY_BYTES or not der.startswith(_PKCS8):
            raise ValueError("another kind of key")
        return cls(SigningKey(der[len(_PKCS8) :]))

    @property
    def public_jwk(self) -> dict[str, str]:
        """What the node is given: the public half (RFC 8037)."""
        public = b64url_encode(self._key.verify_key.bytes)
        return {"kty": "OKP", "crv": "Ed25519", "x": public}

    @property
    def private_jwk(self) -> dict[str, str]:
        """What a file keeps, readable by its owner only."""
        return {**self.public_jwk, "kid": self.kid, "d": b64url_encode(self._key.seed)}

    @property
    def thumbprint(self) -> str:
        """Of the public half (RFC 7638 with SHA-256): what a token is bound to."""
        return b64url_encode(sha256(canonical_json(self.public_jwk)))

    def jwt(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
        """A compact JWS over these claims."""
        return sign_compact({"alg": ALGORITHM, **header}, claims, self._key)

    def __repr__(self) -> str:
        return f"ClientKey({self.kid})"


def client_assertion(key: ClientKey, client_id: str, audience: str, now_s: float) -> str:
    """Says to the token endpoint who calls (RFC 7523 section 3, private_key_jwt)."""
    now = int(now_s)
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "jti": secrets.token_urlsafe(16),
        "iat": now,
        "exp": now + ASSERTION_LIFE_S,
    }
    return key.jwt({"typ": "JWT", "kid": key.kid}, claims)


def dpop_proof(
    key: ClientKey,
    method: str,
    url: str,
    now_s: float,
    *,
    token: str | None = None,
    nonce: str | None = None,
) -> str:
    """Shows that who sends a token holds its key (RFC 9449 section 4.2).

    Args:
        key: the one the token is bound to.
        method: of the request.
        url: of the request; its query and fragment are left out.
        now_s: UTC seconds.
        token: the access token that goes with it; None at the token endpoint.
        nonce: the server's, where it gave one.
    """
    claims: dict[str, Any] = {
        "jti": secrets.token_urlsafe(16),
        "htm": method,
        "htu": url.split("?", 1)[0].split("#", 1)[0],
        "iat": int(now_s),
    }
    if token is not None:
        claims["ath"] = b64url_encode(sha256(token.encode()))
    if nonce is not None:
        claims["nonce"] = nonce
    return key.jwt({"typ": "dpop+jwt", "jwk": key.public_jwk}, claims)


def now_s() -> float:
    """UTC seconds."""
    return time.time()
