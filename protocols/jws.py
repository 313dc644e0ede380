"""General JSON JWS (RFC 7515 section 7.2.1) with one or several signatures.

Only what a consent needs: `alg` is `Ed25519` (RFC 9864, which retires the older name `EdDSA`),
each protected header is exactly `{"alg", "kid"}`, there is no unprotected header, and the text is
canonical JSON, so one set of signatures has one spelling. Assembled here rather than by joserfc,
which takes about 90 us to sign and 200 us to verify one signature where Ed25519 itself takes a
third of that; tests hold the two to the same bytes.

A passkey signs no bytes of our choice but a challenge inside a structure of its own. Its `alg` is
`WebAuthn`, private to this format: the challenge is SHA-256 of the JWS signing input, and what the
passkey returned stands in the unprotected header, beside evidence about the key (an attestation of
who holds it, which the payload names by its hash).

`kid` names a signer by role or key id; which key it stands for, the caller says.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from protocols.assertions import Assertion, check_assertion
from protocols.canonical import b64url_decode, b64url_encode, sha256
from protocols.errors import InvalidInput, Malformed, SignatureInvalid
from protocols.keys import SigningKey, VerifyKey

ALGORITHM: Final = "Ed25519"
PASSKEY_ALGORITHM: Final = "WebAuthn"
MAX_SIGNATURES: Final = 8

# One JWS of this profile has one spelling, so its grammar is a regular expression: a tenth of the
# time that a JSON parser with the check of its canonical form takes.
_KID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,95}")
_HEADER: Final = re.compile(
    rb'\{"alg":"([A-Za-z0-9]{1,16})","kid":"(%s)"\}' % _KID.pattern.encode()
)
_PASSKEY: Final = (
    rb'"header":\{"authenticatorData":"([A-Za-z0-9_-]*+)","clientDataJSON":"([A-Za-z0-9_-]*+)",'
    rb'"evidence":"([A-Za-z0-9_-]*+)"\},'
)
_ENTRY: Final = re.compile(
    rb'\{(?:%s)?"protected":"([A-Za-z0-9_-]*+)","signature":"([A-Za-z0-9_-]*+)"\}' % _PASSKEY
)
_UNNAMED: Final = re.sub(rb"\((?!\?)", b"(?:", _ENTRY.pattern)
_GENERAL: Final = re.compile(
    rb'\{"payload":"([A-Za-z0-9_-]*+)","signatures":\[(%s(?:,%s){0,%d})\]\}'
    % (_UNNAMED, _UNNAMED, MAX_SIGNATURES - 1)
)


@dataclass(frozen=True, slots=True)
class PasskeyVerifier:
    """Whose passkey has to have signed, and where.

    Attributes:
        public_key: COSE key.
        rp_id: domain of the site it belongs to.
        origins: pages that may have asked it.
    """

    public_key: bytes
    rp_id: str
    origins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    """One signature as it stands in the text, base64url; `passkey` is its unprotected header."""

    protected: str
    signature: str
    passkey: tuple[str, str, str] | None = None

    def encoded(self) -> str:
        header = ""
        if self.passkey is not None:
            data, client, evidence = self.passkey
            header = (
                f'"header":{{"authenticatorData":"{data}","clientDataJSON":"{client}",'
                f'"evidence":"{evidence}"}},'
            )
        return f'{{{header}"protected":"{self.protected}","signature":"{self.signature}"}}'

    def kid(self) -> str:
        """Who signed, by the protected header."""
        match = _HEADER.fullmatch(b64url_decode(self.protected))
        expected = ALGORITHM if self.passkey is None else PASSKEY_ALGORITHM
        if match is None or match[1].decode() != expected:
            raise Malformed(f"a JWS header is exactly alg {expected} and a kid")
        return match[2].decode()


def sign_general(payload: bytes, signers: Sequence[tuple[str, SigningKey]]) -> bytes:
    """Sign `payload` with every key, in order.

    Args:
        payload: any bytes; by custom RFC 8785 canonical JSON.
        signers: `(kid, key)` pairs, 1 to 8, every kid once.

    Returns:
        The JWS as canonical JSON bytes.

    Raises:
        InvalidInput: no signer, too many, a kid twice or of the wrong form.
    """
    encoded = b64url_encode(payload)
    _check_kids([kid for kid, _key in signers])
    return _encode(encoded, [_signature(encoded, kid, key) for kid, key in signers])


def add_signature(jws: bytes, kid: str, key: SigningKey, *, max_bytes: int = 65536) -> bytes:
    """Countersign: append one more signature over the same payload.

    The signatures already there are kept as they are; verify them first when they matter.

    Raises:
        InvalidInput: the kid is taken or of the wrong form, or there are 8 signatures.
        Malformed: `jws` is not a JWS of this profile.
    """
    encoded, signatures = _decode(jws, max_bytes)
    _check_kids([*(entry.kid() for entry in signatures), kid])
    return _encode(encoded, [*signatures, _signature(encoded, kid, key)])


def passkey_challenge(payload: bytes, kid: str) -> bytes:
    """What a passkey has to sign: SHA-256 of the JWS signing input, 32 bytes.

    Raises:
        InvalidInput: `kid` is of the wrong form.
    """
    _check_kids([kid])
    protected = _protected(PASSKEY_ALGORITHM, kid)
    return sha256(f"{protected}.{b64url_encode(payload)}".encode())


def signed_by_passkey(payload: bytes, kid: str, assertion: Assertion, evidence: bytes) -> bytes:
    """The JWS of what a passkey signed; nothing of it is verified here.

    Args:
        payload: the bytes whose challenge was signed.
        kid: the one given to `passkey_challenge`.
        assertion: what the passkey returned.
        evidence: about the key; empty: none.
    """
    _check_kids([kid])
    returned = (
        b64url_encode(assertion.authenticator_data),
        b64url_encode(assertion.client_data),
        b64url_encode(evidence),
    )
    protected = _protected(PASSKEY_ALGORITHM, kid)
    entry = _Entry(protected, b64url_encode(assertion.signature), returned)
    return _encode(b64url_encode(payload), [entry])


def passkey_evidence(jws: bytes, *, max_bytes: int) -> bytes:
    """What the passkey's signature brings about its key, nothing verified; empty: nothing.

    Raises:
        Malformed: not a JWS of this profile, or with several passkeys.
    """
    _encoded, entries = _decode(jws, max_bytes)
    found = [entry.passkey[2] for entry in entries if entry.passkey is not None]
    if len(found) > 1:
        raise Malformed("a JWS with the signatures of several passkeys")
    return b64url_decode(found[0]) if found else b""


def verify_general(
    jws: bytes, keys: Mapping[str, VerifyKey | PasskeyVerifier], *, max_bytes: int
) -> bytes:
    """Verify all signatures and return the payload.

    Checks: 1. size and form; 2. every protected header is exactly `{"alg", "kid"}` with the
    algorithm of its form, no kid twice; 3. the signers are exactly those of `keys`, none missing
    and none more; 4. every signature verifies, a passkey's as `protocols.assertions` says.

    Args:
        jws: the bytes as received.
        keys: the required signers.
        max_bytes: largest accepted size.

    Raises:
        Malformed: checks 1 or 2.
        SignatureInvalid: checks 3 or 4.
    """
    # 1. Size and form.
    encoded, signatures = _decode(jws, max_bytes)
    # 2. Headers.
    by_kid = {entry.kid(): entry for entry in signatures}
    if len(by_kid) != len(signatures):
        raise Malformed("a JWS with two signatures by one kid")
    # 3. Signers.
    if not keys or by_kid.keys() != keys.keys():
        raise SignatureInvalid("the JWS is not signed by exactly the parties it needs")
    # 4. Signatures.
    for kid, entry in by_kid.items():
        _verify_entry(entry, f"{entry.protected}.{encoded}".encode(), keys[kid])
    return b64url_decode(encoded)


def signers(jws: bytes, *, max_bytes: int) -> tuple[str, ...]:
    """The kids that a JWS names, nothing of it verified: only to choose keys to verify with.

    Raises:
        Malformed: not a JWS of this profile.
    """
    _encoded, signatures = _decode(jws, max_bytes)
    return tuple(entry.kid() for entry in signatures)


def unverified_payload(jws: bytes, *, max_bytes: int) -> bytes:
    """The payload before any signature is checked: only to find out whose keys to check with.

    Raises:
        Malformed: not a JWS of this profile.
    """
    encoded, _signatures = _decode(jws, max_bytes)
    return b64url_decode(encoded)


def _verify_entry(entry: _Entry, signing_input: bytes, key: VerifyKey | PasskeyVerifier) -> None:
    signature = b64url_decode(entry.signature)
    if isinstance(key, VerifyKey):
        if entry.passkey is not None:
            raise SignatureInvalid("a passkey signed where another key has to")
        key.verify_raw(signing_input, signature)
        return
    if entry.passkey is None:
        raise SignatureInvalid("another key signed where a passkey has to")
    data, client, _evidence = entry.passkey
    check_assertion(
        Assertion(b64url_decode(data), b64url_decode(client), signature),
        public_key=key.public_key,
        challenge=sha256(signing_input),
        rp_id=key.rp_id,
        origins=key.origins,
    )


def _signature(encoded: str, kid: str, key: SigningKey) -> _Entry:
    protected = _protected(ALGORITHM, kid)
    return _Entry(protected, b64url_encode(key.sign_raw(f"{protected}.{encoded}".encode())))


def _protected(algorithm: str, kid: str) -> str:
    return b64url_encode(f'{{"alg":"{algorithm}","kid":"{kid}"}}'.encode())


def _encode(encoded: str, entries: list[_Entry]) -> bytes:
    signatures = ",".join(entry.encoded() for entry in entries)
    return f'{{"payload":"{encoded}","signatures":[{signatures}]}}'.encode()


def _decode(jws: bytes, max_bytes: int) -> tuple[str, list[_Entry]]:
    if len(jws) > max_bytes:
        raise Malformed(f"{len(jws)} bytes of JWS where {max_bytes} are allowed")
    match = _GENERAL.fullmatch(jws)
    if match is None:
        raise Malformed("not a general JWS: a payload and 1 to 8 signatures, in canonical form")
    return match[1].decode(), [_entry(one) for one in _ENTRY.finditer(match[2])]


def _entry(match: re.Match[bytes]) -> _Entry:
    data, client, evidence, protected, signature = match.groups()
    passkey = None if data is None else (data.decode(), client.decode(), evidence.decode())
    return _Entry(protected.decode(), signature.decode(), passkey)


def _check_kids(kids: Sequence[str]) -> None:
    if not 1 <= len(kids) <= MAX_SIGNATURES:
        raise InvalidInput(f"a JWS has 1 to {MAX_SIGNATURES} signatures")
    if len(set(kids)) != len(kids) or not all(_KID.fullmatch(kid) for kid in kids):
        raise InvalidInput("every signer of a JWS has a kid of its own")
