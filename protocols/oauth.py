"""What a client shows to be given an access token, and what it shows with one (bytes and rules).

The client's assertion (RFC 7523 section 3, as FAPI 2.0 narrows it):

  A1. `typ`, if there, says that it is one; `alg` fits the key, and the signature holds;
  A2. `iss` and `sub` are the client;
  A3. `aud` is this server's issuer or token endpoint, and nobody else;
  A4. `exp` is ahead, by no more than five minutes; `iat` and `nbf`, if there, are not ahead;
  A5. `jti` names it. That it is shown once, the caller sees to.

A proof of possession (RFC 9449 section 4.3):

  P1. `typ` is `dpop+jwt`; the header's `jwk` is a public key whose `alg` it is, and it signed;
  P2. `htm` and `htu` are the method and the address of this very call;
  P3. `iat` is of this minute;
  P4. with a token: `ath` is the token's hash;
  P5. `jti` names it. That it is shown once, the caller sees to.
"""

import hmac
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from protocols.canonical import b64url_encode, sha256
from protocols.errors import CredenceError, InvalidInput, Malformed, SignatureInvalid
from protocols.jose import Compact, KeySetInvalid, PublicJwk, parse_jwk

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
MAX_TOKEN_BYTES: Final = 4096
ASSERTION_LIFE_S: Final = 300
PROOF_AGE_S: Final = 60
AHEAD_S: Final = 10  # how far another's clock may be ahead of ours

_ASSERTION_TYPES: Final = (None, "JWT", "client-authentication+jwt")
_JTI: Final = re.compile(r"[!-~]{8,128}")
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9._~-]")
_PORTS: Final = {"http": 80, "https": 443}


class AssertionRefused(CredenceError):
    """A client's assertion does not pass a check, or its client or key is not in force."""

    code = "client_assertion_refused"
    category = "unauthenticated"
    next_step = (
        "Sign a fresh assertion with a registered key, `aud` the issuer; see docs/access.md."
    )
    oauth: ClassVar[str] = "invalid_client"


class ProofRefused(CredenceError):
    """A DPoP proof is missing, was shown before, or does not pass a check."""

    code = "dpop_proof_refused"
    category = "unauthenticated"
    next_step = "Sign a fresh DPoP proof for every call; see docs/access.md."
    oauth: ClassVar[str] = "invalid_dpop_proof"


@dataclass(frozen=True, slots=True)
class Shown:
    """Something that may be shown once.

    Attributes:
        digest: SHA-256 over whose it is and its `jti`.
        until_s: after this UTC second it is refused anyway.
    """

    digest: bytes
    until_s: int


def asserted_client(assertion: Compact) -> tuple[str, str]:
    """The client and the key that an assertion names, nothing verified.

    Raises:
        AssertionRefused: it names none.
    """
    try:
        header, claims = assertion.header(), assertion.claims(max_bytes=MAX_TOKEN_BYTES)
    except Malformed as error:
        raise AssertionRefused("the assertion is not a JWT") from error
    client, kid = claims.get("iss"), header.get("kid")
    if not isinstance(client, str) or not isinstance(kid, str):
        raise AssertionRefused("the assertion names no client (iss) or no key (kid)")
    return client, kid


def check_assertion(
    assertion: Compact, key: PublicJwk, client_id: str, audiences: Collection[str], now_s: float
) -> Shown:
    """Checks A1 to A5.

    Args:
        assertion: as sent.
        key: of the client, in force.
        client_id: whose key it is.
        audiences: this server's issuer and token endpoint.
        now_s: UTC seconds.

    Raises:
        AssertionRefused: a check fails; the message says which.
    """
    try:
        header = assertion.header()
        if header.get("typ") not in _ASSERTION_TYPES:  # A1
            raise AssertionRefused("the assertion's typ is of another kind of token")
        assertion.verify(key, header.get("alg"))
    except (SignatureInvalid, Malformed) as error:
        raise AssertionRefused("the assertion's signature does not hold") from error
    claims = assertion.claims(max_bytes=MAX_TOKEN_BYTES)
    if claims.get("iss") != client_id or claims.get("sub") != client_id:  # A2
        raise AssertionRefused("the assertion's iss and sub are not the client")
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if len(named) != 1 or not isinstance(named[0], str) or named[0] not in audiences:  # A3
        raise AssertionRefused("the assertion is not for this server alone")
    expires = _seconds(claims, "exp")
    if expires is None or not now_s < expires <= now_s + ASSERTION_LIFE_S + AHEAD_S:  # A4
        raise AssertionRefused("the assertion has expired, or lives longer than five minutes")
    for name in ("iat", "nbf"):
        if name in claims and not _is_past(_seconds(claims, name), now_s):
            raise AssertionRefused(f"the assertion's {name} is ahead")
    return Shown(_named(claims, client_id, AssertionRefused), int(expires) + 1)  # A5


def proof_key(proof: Compact) -> tuple[PublicJwk, str]:
    """Check P1 without the signature: the key of a proof and its algorithm.

    Raises:
        ProofRefused: the header is not that of a proof.
    """
    try:
        header = proof.header()
        if header.get("typ") != "dpop+jwt":
            raise ProofRefused("the DPoP proof's typ is not dpop+jwt")
        key = parse_jwk(header.get("jwk"))
    except (Malformed, KeySetInvalid) as error:
        raise ProofRefused("the DPoP proof's header holds no public key that is taken") from error
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in key.algorithms:
        raise ProofRefused("the DPoP proof's alg does not fit its key")
    return key, algorithm


def check_proof(
    proof: Compact,
    key: PublicJwk,
    algorithm: str,
    *,
    method: str,
    addresses: Collection[str],
    token: str | None,
    now_s: float,
) -> Shown:
    """Checks P1 to P5.

    Args:
        proof: as sent.
        key: of `proof_key`.
        algorithm: of `proof_key`.
        method: of the call.
        addresses: what the call's address may be called, each normalised.
        token: the access token it comes with; None: there is none yet.
        now_s: UTC seconds.

    Raises:
        ProofRefused: a check fails; the message says which.
    """
    try:
        proof.verify(key, algorithm)  # P1
        claims = proof.claims(max_bytes=MAX_TOKEN_BYTES)
    except (SignatureInvalid, Malformed) as error:
        raise ProofRefused("the DPoP proof's signature does not hold") from error
    address = claims.get("htu")
    if claims.get("htm") != method:  # P2
        raise ProofRefused("the DPoP proof is for another method")
    if not isinstance(address, str) or not _is_of(address, addresses):
        raise ProofRefused("the DPoP proof is for another address")
    made = _seconds(claims, "iat")
    if made is None or not now_s - PROOF_AGE_S <= made <= now_s + AHEAD_S:  # P3
        raise ProofRefused("the DPoP proof was not made just now; check the clock")
    if token is not None:  # P4
        given = claims.get("ath")
        expected = b64url_encode(sha256(token.encode()))
        if not isinstance(given, str) or not hmac.compare_digest(given.encode(), expected.encode()):
            raise ProofRefused("the DPoP proof is for another token")
    digest = _named(claims, key.thumbprint, ProofRefused)  # P5
    return Shown(digest, int(made) + PROOF_AGE_S + 1)


def normalised_address(address: str) -> str:
    """An address without query and fragment, in one spelling (RFC 3986 section 6.2.2, 6.2.3).

    Scheme and host in lower case, no default port, escapes in upper case and only where needed.
    Dots in a path stay: whoever sends them is not asking for what they resolve to.

    Raises:
        InvalidInput: not an http or https address.
    """
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise InvalidInput("not an address") from error
    if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None:
        raise InvalidInput("not an http or https address")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    where = host if port in {None, _PORTS[parts.scheme]} else f"{host}:{port}"
    return f"{parts.scheme}://{where}{_ESCAPE.sub(_escape, parts.path) or '/'}"


def _escape(match: re.Match[str]) -> str:
    letter = chr(int(match[1], 16))
    return letter if _UNRESERVED.fullmatch(letter) else match[0].upper()


def _is_of(address: str, addresses: Collection[str]) -> bool:
    if address in addresses:
        return True
    try:
        return normalised_address(address) in addresses
    except InvalidInput:
        return False


def _named(claims: Mapping[str, Any], whose: str, refused: type[CredenceError]) -> bytes:
    jti = claims.get("jti")
    if not isinstance(jti, str) or _JTI.fullmatch(jti) is None:
        raise refused("a jti is 8 to 128 printable characters without blanks")
    return sha256(f"{whose} {jti}".encode())


def _is_past(seconds: float | None, now_s: float) -> bool:
    return seconds is not None and seconds <= now_s + AHEAD_S


def _seconds(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    return None if isinstance(value, bool) or not isinstance(value, int | float) else float(value)
