"""Access tokens (RFC 9068, RFC 9449 section 6, RFC 8705 section 3): signed here, believed here.

The key is made by the process that uses it, replaced daily, and never written down. A token lives
no longer than that process: so the memory of proofs that were shown, which ends with it too, covers
every token that there is (docs/adr/0018).
"""

import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from node.access.presented import TokenRefused
from protocols.canonical import b64url_encode, sha256
from protocols.errors import Malformed, SignatureInvalid
from protocols.jose import EDDSA, Compact, PublicJwk, ed25519_jwk, parse_jwk, sign_compact
from protocols.keys import SigningKey
from protocols.oauth import MAX_TOKEN_BYTES

LIFE_S: Final = 300
KEY_LIFE_S: Final = 86_400
KEPT: Final = 4096  # verified tokens that are remembered
_TYPE: Final = "at+jwt"

Confirmation = Literal["jkt", "x5t#S256"]


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What an access token says.

    Attributes:
        client_id: whose it is.
        scopes: what it may be used for.
        generation: of the client's tokens.
        binding: how its holder shows that it is theirs.
        bound_to: thumbprint of the key or certificate, base64url.
        audience: the API it is for.
        expires_s: UTC seconds.
    """

    client_id: str
    scopes: frozenset[str]
    generation: int
    binding: Confirmation
    bound_to: str
    audience: str
    expires_s: int


class AccessTokens:
    """Signs and verifies access tokens; thread-safe."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._keys: list[tuple[int, SigningKey, PublicJwk]] = []  # made at, newest first
        self._known: dict[bytes, AccessToken] = {}

    def issue(self, token: AccessToken) -> str:
        """Sign a token."""
        key = self._newest()
        issued_s = self._now_ms() // 1000
        header = {"alg": EDDSA[0], "typ": _TYPE, "kid": key.verify_key.key_id}
        claims = {
            "iss": token.audience,
            "aud": token.audience,
            "sub": token.client_id,
            "client_id": token.client_id,
            "scope": " ".join(sorted(token.scopes)),
            "iat": issued_s,
            "exp": token.expires_s,
            "jti": b64url_encode(secrets.token_bytes(16)),
            "cnf": {token.binding: token.bound_to},
            "generation": token.generation,
        }
        return sign_compact(header, claims, key)

    def read(self, text: str) -> AccessToken:
        """What a token says.

        1. Its signature is by a key of this process; one that was verified is remembered.
        2. It has not expired.

        Raises:
            TokenRefused: a check fails.
        """
        digest = sha256(text.encode())
        token = self._known.get(digest)
        if token is None:
            token = self._verified(text)  # 1
            with self._lock:
                while len(self._known) >= KEPT:
                    self._known.pop(next(iter(self._known)), None)
                self._known[digest] = token
        if token.expires_s * 1000 <= self._now_ms():  # 2
            self._known.pop(digest, None)
            raise TokenRefused("the access token is not valid here, or not any more")
        return token

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The public keys, as a JWK Set."""
        self._newest()
        with self._lock:
            keys = [key for _, key, _ in self._keys]
        return {"keys": [ed25519_jwk(key.verify_key) | {"alg": EDDSA[0]} for key in keys]}

    def _newest(self) -> SigningKey:
        now_s = self._now_ms() // 1000
        with self._lock:
            if not self._keys or abs(now_s - self._keys[0][0]) >= KEY_LIFE_S:
                key = SigningKey.generate()
                self._keys.insert(0, (now_s, key, parse_jwk(ed25519_jwk(key.verify_key))))
            # An older key is kept as long as its last token may live.
            newest = self._keys[0][0]
            if len(self._keys) > 1 and now_s - newest > LIFE_S:
                del self._keys[1:]
            return self._keys[0][1]

    def _verified(self, text: str) -> AccessToken:
        try:
            compact = Compact.parse(text, max_bytes=MAX_TOKEN_BYTES)
            header = compact.header()
            with self._lock:
                keys = {jwk.kid: jwk for _, _, jwk in self._keys}
            key = keys.get(str(header.get("kid")))
            if key is None or header.get("typ") != _TYPE:
                raise TokenRefused("the access token is not valid here, or not any more")
            compact.verify(key, header.get("alg"))
            return _token(compact.claims(max_bytes=MAX_TOKEN_BYTES))
        except (Malformed, SignatureInvalid) as error:
            raise TokenRefused("the access token is not valid here, or not any more") from error


def _token(claims: Mapping[str, Any]) -> AccessToken:
    # Of our own making: what is signed has this form.
    ((binding, bound_to),) = claims["cnf"].items()
    return AccessToken(
        client_id=claims["client_id"],
        scopes=frozenset(claims["scope"].split()),
        generation=claims["generation"],
        binding=binding,
        bound_to=bound_to,
        audience=claims["aud"],
        expires_s=claims["exp"],
    )
