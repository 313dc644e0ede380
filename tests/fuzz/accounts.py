"""What strangers send to sign in: answers of passkeys, and what an OpenID provider returns."""

import json
from functools import cache

from joserfc import jws
from joserfc.jwk import ECKey

from node.people.challenges import ChallengeRefused, Challenges
from node.people.codes import read_code
from node.people.secrets import PeopleKeys
from node.people.tickets import Tickets
from protocols.id_token import verify_id_token
from protocols.passkeys import (
    RelyingParty,
    challenge_of,
    credential_id_of,
    user_handle_of,
    verify_assertion,
    verify_registration,
)
from tests.fuzz.trying import attempt
from tests.support.authenticator import Authenticator, b64url

ORIGIN = "http://localhost:7501"
PARTY = RelyingParty("localhost", (ORIGIN,), "Harbour Bank")
CHALLENGE = bytes(32)
NOW_S = 1_780_000_000
CLAIMS = {
    "iss": "https://id.bank.example",
    "sub": "p-1",
    "aud": "node",
    "exp": NOW_S + 300,
    "iat": NOW_S,
    "auth_time": NOW_S,
    "nonce": "n",
}


def run(data: bytes) -> bool:
    """As an answer of a passkey, as claims that the provider signed, as a token, as its keys."""
    keys = PeopleKeys.derive(bytes(32))
    text = data.decode("latin-1")
    read_code(text)
    attempt(Tickets(keys, lambda: NOW_S * 1000).open, "totp", "ses_1", text)
    attempt(Challenges(keys, lambda: NOW_S * 1000).check, "sign-in portal", "x", data)
    taken = [
        attempt(answered, data),
        attempt(made, data),
        attempt(claimed, data),
        attempt(claimed_by, text, published()),
        attempt(claimed_by, signed(json.dumps(CLAIMS).encode()), data),
    ]
    return any(taken)


def answered(data: bytes) -> None:
    """As the portal does with an assertion."""
    credential_id_of(data)
    user_handle_of(data)
    if challenge_of(data) != CHALLENGE:
        raise ChallengeRefused("another challenge")
    verify_assertion(PARTY, CHALLENGE, passkey().cose_key, 0, data)


def made(data: bytes) -> None:
    """As the portal does with a new passkey."""
    verify_registration(PARTY, CHALLENGE, data)


def claimed(data: bytes) -> None:
    """Claims that the institution's provider put its name to."""
    claimed_by(signed(data), published())


def claimed_by(token: str, keys: bytes) -> None:
    """A token, and what should be the provider's keys."""
    verify_id_token(
        token,
        keys,
        issuer="https://id.bank.example",
        client_id="node",
        nonce="n",
        now_s=NOW_S,
        authenticated_since_s=NOW_S,
    )


@cache  # signatures differ each time
def seeds() -> list[bytes]:
    """An assertion, a registration, claims, a token and a key set that are taken whole."""
    key = passkey()
    options = {"challenge": b64url(CHALLENGE), "user": {"id": b64url(b"u" * 32)}}
    claims = json.dumps(CLAIMS).encode()
    return [
        key.register(options),
        key.clone().sign(options),
        claims,
        signed(claims).encode(),
        published(),
    ]


@cache
def passkey() -> Authenticator:
    """The one that assertions are checked against."""
    return Authenticator("localhost", ORIGIN)


@cache
def provider() -> ECKey:
    """The institution's provider."""
    return ECKey.generate_key("P-256", {"kid": "one"})


def published() -> bytes:
    """Its key set."""
    return json.dumps({"keys": [provider().as_dict(private=False)]}).encode()


def signed(payload: bytes) -> str:
    """Any bytes as a token of the provider."""
    return jws.serialize_compact({"alg": "ES256", "kid": "one"}, payload, provider())
