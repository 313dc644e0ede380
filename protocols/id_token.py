"""ID tokens of an OpenID provider (OpenID Connect Core 1.0, section 3.1.3.7).

The checks:

1. it is a compact JWS of at most `MAX_TOKEN_BYTES`, signed with an asymmetric algorithm of
   `ALGORITHMS`; never `none`, never a shared secret;
2. its `kid` names a key of the provider, whose type fits the algorithm, and the signature holds;
3. `iss` is the issuer that was asked;
4. `aud` is this client, alone or with `azp` naming it;
5. `exp` is ahead and `iat` not far behind, with a little leave for clocks;
6. `nonce` is the one this sign-in was begun with;
7. `sub` is there; `auth_time` is recent where a recent sign-in was asked for.
"""

import hmac
from collections.abc import Mapping
from typing import Any, Final

from protocols.canonical import parse_json
from protocols.errors import CredenceError, Malformed

ALGORITHMS: Final = ("ES256", "ES384", "Ed25519", "PS256", "RS256")
MAX_TOKEN_BYTES: Final = 16 * 1024
MAX_JWKS_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 8
LEEWAY_S: Final = 60
MAX_AGE_S: Final = 600  # an ID token of this flow has just been made


class IdTokenRejected(CredenceError):
    """An ID token does not pass its checks."""

    code = "id_token_rejected"
    category = "unauthenticated"
    next_step = "Sign in again; if it stays, the institution's sign-in service is set up wrongly."


def verify_id_token(
    token: str,
    jwks: bytes,
    *,
    issuer: str,
    client_id: str,
    nonce: str,
    now_s: int,
    authenticated_since_s: int | None = None,
) -> Mapping[str, Any]:
    """The claims of an ID token that passes checks 1 to 7.

    Args:
        token: compact JWS.
        jwks: the provider's key set, JSON.
        issuer: as pinned.
        client_id: ours.
        nonce: of this sign-in.
        now_s: UTC seconds.
        authenticated_since_s: the person must have signed in there since then; None: whenever.

    Raises:
        IdTokenRejected: a check fails; the message says which and quotes nothing.
        Malformed: the key set is no JSON of a sane size.
    """
    claims = _signed_claims(token, jwks)
    if claims.get("iss") != issuer:  # 3
        raise IdTokenRejected("the ID token is of another issuer")
    audience = claims.get("aud")
    named = [audience] if isinstance(audience, str) else audience
    alone = named == [client_id] and claims.get("azp", client_id) == client_id
    if not isinstance(named, list) or client_id not in named:  # 4
        raise IdTokenRejected("the ID token is for another client")
    if not alone and claims.get("azp") != client_id:
        raise IdTokenRejected("the ID token was issued to another client")
    if _time(claims, "exp") + LEEWAY_S <= now_s:  # 5
        raise IdTokenRejected("the ID token has expired")
    if not now_s - MAX_AGE_S <= _time(claims, "iat") <= now_s + LEEWAY_S:
        raise IdTokenRejected("the ID token was not made just now")
    given = claims.get("nonce")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), nonce.encode()):  # 6
        raise IdTokenRejected("the ID token belongs to another sign-in")
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:  # 7
        raise IdTokenRejected("the ID token names nobody")
    since_s = authenticated_since_s
    if since_s is not None and _time(claims, "auth_time") + LEEWAY_S < since_s:
        raise IdTokenRejected("the person did not sign in again")
    return claims


def _signed_claims(token: str, jwks: bytes) -> Mapping[str, Any]:
    from joserfc import jws
    from joserfc.errors import JoseError
    from joserfc.jwk import KeySet

    keys = parse_json(jwks, max_bytes=MAX_JWKS_BYTES, max_depth=MAX_DEPTH)
    if not isinstance(keys, dict) or not isinstance(keys.get("keys"), list):
        raise Malformed("the provider's keys are not a key set")
    if len(token) > MAX_TOKEN_BYTES or not token.isascii():  # 1
        raise IdTokenRejected("the ID token is too long")
    # Symmetric keys in a published set would make everybody an issuer.
    usable = [key for key in keys["keys"] if isinstance(key, dict) and key.get("kty") != "oct"]
    try:
        signed = jws.deserialize_compact(
            token, KeySet.import_key_set({"keys": usable}), algorithms=list(ALGORITHMS)
        )  # 1, 2
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise IdTokenRejected("the ID token's signature does not hold") from error
    claims = parse_json(signed.payload, max_bytes=MAX_TOKEN_BYTES, max_depth=MAX_DEPTH)
    if not isinstance(claims, dict):
        raise IdTokenRejected("the ID token holds no claims")
    return claims


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise IdTokenRejected(f"the ID token's {name} is no time")
    return value
