"""What an API client sends to show who it is: key sets, assertions, proofs, token requests."""

from api.http.oauth import parse_form
from protocols.canonical import b64url_encode, canonical_json
from protocols.jose import Compact, ed25519_jwk, parse_jwk, parse_jwks, sign_compact
from protocols.oauth import (
    ASSERTION_TYPE,
    MAX_TOKEN_BYTES,
    asserted_client,
    check_assertion,
    check_proof,
    normalised_address,
    proof_key,
)
from scripts.vectors.seeds import NOW_MS, signing
from tests.fuzz.trying import attempt

NOW_S = NOW_MS // 1000
ISSUER = "https://scores.bank.example"
CALL = f"{ISSUER}/v1/scores"
ASSERTION = {"typ": "JWT", "alg": "EdDSA", "kid": "fuzz"}


def run(data: bytes) -> bool:
    """The bytes as each of them; claims and headers are signed by the client itself."""
    taken = [attempt(one, data) for one in (_keys, _sent, _asserted, _proved, _requested)]
    return any(taken)


def _keys(data: bytes) -> None:
    for key in parse_jwks(data):
        if parse_jwks(key.text.encode())[0].thumbprint != key.thumbprint:
            raise AssertionError("a key is not what it was read from")


def _sent(data: bytes) -> None:
    """A token as it stands in a header."""
    compact = Compact.parse(data.decode("latin-1"), max_bytes=MAX_TOKEN_BYTES)
    asserted_client(compact)


def _asserted(data: bytes) -> None:
    head = b64url_encode(canonical_json(ASSERTION))
    key = parse_jwk(ed25519_jwk(signing("client").verify_key))
    check_assertion(_signed(head, b64url_encode(data)), key, "cli_fuzz", {ISSUER}, NOW_S)


def _proved(data: bytes) -> None:
    jwk = ed25519_jwk(signing("client").verify_key)
    head = b64url_encode(canonical_json({"typ": "dpop+jwt", "alg": "EdDSA", "jwk": jwk}))
    _prove(_signed(head, b64url_encode(data)))


def _requested(data: bytes) -> None:
    """A token request's body, and any address in a proof."""
    normalised_address(data.decode("latin-1"))
    parse_form(data)


def _prove(proof: Compact) -> None:
    key, algorithm = proof_key(proof)
    check_proof(proof, key, algorithm, method="POST", addresses={CALL}, token=None, now_s=NOW_S)


def _signed(head: str, body: str) -> Compact:
    signature = signing("client").sign_raw(f"{head}.{body}".encode())
    return Compact(head, body, b64url_encode(signature))


def seeds() -> list[bytes]:
    """One of each that passes."""
    key = signing("client")
    jwk = ed25519_jwk(key.verify_key)
    claims = {
        "iss": "cli_fuzz", "sub": "cli_fuzz", "aud": ISSUER, "exp": NOW_S + 60, "jti": "j" * 16
    }  # fmt: skip
    proof = {"htm": "POST", "htu": CALL, "iat": NOW_S, "jti": "j" * 16}
    return [
        canonical_json({"keys": [jwk]}),
        sign_compact(ASSERTION, claims, key).encode(),
        canonical_json(claims),
        canonical_json(proof),
        f"{ISSUER}/?grant_type=client_credentials&client_assertion_type={ASSERTION_TYPE}".encode(),
    ]
