"""Compact JWS and public JWKs as API clients use them (RFC 7515, 7517, 7638, 8037).

Two kinds of keys, each with its own algorithms, and no others: Ed25519 (`EdDSA`, or `Ed25519` as
RFC 9864 calls it) and P-256 (`ES256`). A key says which algorithms it may verify; the header of a
token only has to agree, so a token cannot choose how it is checked: `none` and shared secrets
(`HS256` under a public key) have nobody to verify them.

joserfc reads and makes keys. Signatures are verified here with keys that were read once: joserfc
takes about 190 us for one of Ed25519, of which the signature itself is a third; tests hold the two
to the same answers.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from protocols.canonical import b64url_decode, b64url_encode, canonical_json, parse_json, sha256
from protocols.errors import InvalidInput, Malformed, SignatureInvalid
from protocols.keys import SigningKey, VerifyKey

EDDSA: Final = ("EdDSA", "Ed25519")
ES256: Final = ("ES256",)
ALGORITHMS: Final = (*EDDSA, *ES256)
MAX_KEYS: Final = 4
MAX_JWKS_BYTES: Final = 8 * 1024
MAX_DEPTH: Final = 4
_MAX_HEADER: Final = 2048

_KID: Final = re.compile(r"[!#-\[\]-~]{1,96}")  # printable ASCII without blank, " and \
_COMPACT: Final = re.compile(r"([A-Za-z0-9_-]++)\.([A-Za-z0-9_-]++)\.([A-Za-z0-9_-]++)")
_COORDINATE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
Verify = Callable[[bytes, bytes], None]


class KeySetInvalid(InvalidInput):
    """A JWK or a key set is not one that is taken here."""

    code = "key_set_invalid"
    next_step = "Give a JWK Set of 1 to 4 public keys: OKP with Ed25519, or EC with P-256."


@dataclass(frozen=True, slots=True)
class PublicJwk:
    """A public key that signatures are verified with.

    Attributes:
        kid: its name; its thumbprint when the JWK has none.
        algorithms: of `alg` that it may verify.
        thumbprint: RFC 7638, SHA-256, base64url.
        text: its JWK, canonical JSON, with nothing in it that is not needed.
    """

    kid: str
    algorithms: tuple[str, ...]
    thumbprint: str
    text: str
    _verify: Verify

    def verify(self, algorithm: object, signed: bytes, signature: bytes) -> None:
        """Check a signature over `signed`.

        Raises:
            SignatureInvalid: the algorithm is not one of this key's, or it does not verify.
        """
        if algorithm not in self.algorithms:
            raise SignatureInvalid("the algorithm is not one of this key's")
        self._verify(signed, signature)


@dataclass(frozen=True, slots=True)
class Compact:
    """A compact JWS, taken apart; nothing of it is verified.

    Attributes:
        head: the protected header as it stands in the token, base64url.
        body: the payload, base64url.
        signature: of `head.body`.
    """

    head: str
    body: str
    signature: str

    @classmethod
    def parse(cls, text: str, *, max_bytes: int) -> "Compact":
        """Take `text` apart.

        Raises:
            Malformed: too long, or not three parts of base64url.
        """
        if len(text) > max_bytes:
            raise Malformed(f"a token of more than {max_bytes} characters")
        match = _COMPACT.fullmatch(text)
        if match is None:
            raise Malformed("not a compact JWS: three parts of base64url")
        return cls(*match.groups())

    def header(self) -> dict[str, Any]:
        """The protected header, unverified.

        Raises:
            Malformed: not an object of a sane size, or with `crit`, of which nothing is known here.
        """
        header = _object(self.head, _MAX_HEADER)
        if "crit" in header or "b64" in header:
            raise Malformed("a JWS with extensions that are not known here")
        return header

    def claims(self, *, max_bytes: int) -> dict[str, Any]:
        """The payload as an object; verify the signature before it is believed.

        Raises:
            Malformed: not a JSON object within the limits.
        """
        return _object(self.body, max_bytes)

    def verify(self, key: PublicJwk, algorithm: object) -> None:
        """Check the signature.

        Raises:
            SignatureInvalid: it does not verify by `key` and `algorithm`.
            Malformed: it is not base64url in its only spelling.
        """
        key.verify(algorithm, f"{self.head}.{self.body}".encode(), b64url_decode(self.signature))


def parse_jwk(given: object) -> PublicJwk:
    """A public key of a JWK.

    Checks: 1. an object without private members; 2. `use` and `key_ops`, if there, are for
    signatures; 3. kind, curve and coordinates; 4. `alg`, if there, is one of the kind's; 5. `kid`.

    Raises:
        KeySetInvalid: a check fails.
    """
    if not isinstance(given, dict):  # 1
        raise KeySetInvalid("a JWK is a JSON object")
    if not _PRIVATE.isdisjoint(given):
        raise KeySetInvalid("this holds a private or shared key: give the public part alone")
    if given.get("use", "sig") != "sig" or "verify" not in given.get("key_ops", ("verify",)):  # 2
        raise KeySetInvalid("this key is not for signatures")
    public, algorithms, verify = _imported(given)  # 3
    thumbprint = b64url_encode(sha256(canonical_json(public)))
    alg = given.get("alg")
    if alg is not None:  # 4
        if alg not in algorithms:
            raise KeySetInvalid(f"a key of this kind verifies {' or '.join(algorithms)}")
        algorithms = EDDSA if alg in EDDSA else (alg,)
    kid = given.get("kid", thumbprint)
    if not isinstance(kid, str) or _KID.fullmatch(kid) is None:  # 5
        raise KeySetInvalid("a kid is 1 to 96 printable characters")
    text = canonical_json({**public, "kid": kid}).decode()
    return PublicJwk(kid, algorithms, thumbprint, text, verify)


def parse_jwks(data: bytes) -> tuple[PublicJwk, ...]:
    """The keys of a JWK Set, or of one JWK.

    Raises:
        KeySetInvalid: not 1 to `MAX_KEYS` different keys with different names.
    """
    try:
        value = parse_json(data, max_bytes=MAX_JWKS_BYTES, max_depth=MAX_DEPTH)
    except Malformed as error:
        raise KeySetInvalid(f"not a key set: {error.message}") from error
    if not isinstance(value, dict):
        raise KeySetInvalid("a key set is a JSON object")
    listed = value.get("keys", [value])
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_KEYS:
        raise KeySetInvalid(f"a key set holds 1 to {MAX_KEYS} keys")
    keys = tuple(parse_jwk(one) for one in listed)
    if len({key.kid for key in keys}) < len(keys) or len({k.thumbprint for k in keys}) < len(keys):
        raise KeySetInvalid("two keys of the set are the same, or have the same kid")
    return keys


def ed25519_jwk(key: VerifyKey) -> dict[str, str]:
    """The public JWK of an Ed25519 key (RFC 8037)."""
    x = b64url_encode(key.bytes)
    return {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": key.key_id, "use": "sig"}


def generate_private_jwk() -> dict[str, str]:
    """A fresh Ed25519 key pair for a client, as a private JWK whose `kid` is its thumbprint."""
    key = SigningKey.generate()
    public = {"kty": "OKP", "crv": "Ed25519", "x": b64url_encode(key.verify_key.bytes)}
    kid = b64url_encode(sha256(canonical_json(public)))
    return {**public, "alg": "EdDSA", "use": "sig", "kid": kid, "d": b64url_encode(key.seed)}


def public_part(private: Mapping[str, str]) -> dict[str, str]:
    """A private JWK without what is secret in it."""
    return {name: value for name, value in private.items() if name not in _PRIVATE}


def sign_compact(header: Mapping[str, Any], claims: Mapping[str, Any], key: SigningKey) -> str:
    """A compact JWS by an Ed25519 key; `header` says its `alg`, one of `EDDSA`."""
    if header.get("alg") not in EDDSA:
        raise InvalidInput("an Ed25519 key signs EdDSA")
    head, body = (b64url_encode(canonical_json(dict(one))) for one in (header, claims))
    return f"{head}.{body}.{b64url_encode(key.sign_raw(f'{head}.{body}'.encode()))}"


def _imported(given: Mapping[str, Any]) -> tuple[dict[str, str], tuple[str, ...], Verify]:
    kind = given.get("kty"), given.get("crv")
    x, y = _coordinate(given.get("x")), _coordinate(given.get("y"))
    if kind == ("OKP", "Ed25519") and x is not None:
        public = {"kty": "OKP", "crv": "Ed25519", "x": x}
        try:
            return public, EDDSA, VerifyKey(b64url_decode(x)).verify_raw
        except Malformed as error:
            raise KeySetInvalid("not an Ed25519 key") from error
    if kind == ("EC", "P-256") and x is not None and y is not None:
        public = {"kty": "EC", "crv": "P-256", "x": x, "y": y}
        return public, ES256, _p256(public)
    raise KeySetInvalid("a key is OKP with Ed25519, or EC with P-256")


def _p256(public: dict[str, str]) -> Verify:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey

    try:
        point = ECKey.import_key({**public}).public_key  # which has to be on the curve
    except (JoseError, ValueError, TypeError) as error:
        raise KeySetInvalid("not a point of P-256") from error
    ecdsa = ECDSA(hashes.SHA256())

    def verify(signed: bytes, signature: bytes) -> None:
        if len(signature) != 64:  # RFC 7518 section 3.4: r || s
            raise SignatureInvalid("an ES256 signature is 64 bytes")
        r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
        try:
            point.verify(encode_dss_signature(r, s), signed, ecdsa)
        except InvalidSignature as error:
            raise SignatureInvalid("the signature does not verify") from error

    return verify


def _coordinate(value: object) -> str | None:
    return value if isinstance(value, str) and _COORDINATE.fullmatch(value) else None


def _object(part: str, max_bytes: int) -> dict[str, Any]:
    value = parse_json(b64url_decode(part), max_bytes=max_bytes, max_depth=MAX_DEPTH)
    if not isinstance(value, dict):
        raise Malformed("a part of a token is not a JSON object")
    return value
