"""Who has to have signed what: one rule for artefacts and for events.

By the kind of a document's authority (`consent.authority`), its signers are exactly

  device_key  the person's key and the consent node;
  passkey     the person's passkey, on the site that the attestation beside it names, and the node;
  account     the consent node alone;
  branch      the officer and the consent node;
  controller  the consent node alone.
"""

from typing import Final

from consent.attestation import AttestationInvalid, SubjectAttestation, read_attestation
from consent.authority import BRANCH, DEVICE_KEY, PASSKEY, Authority
from protocols.assertions import Assertion
from protocols.errors import InvalidInput, SignatureInvalid
from protocols.jws import (
    PasskeyVerifier,
    add_signature,
    passkey_challenge,
    passkey_evidence,
    sign_general,
    signed_by_passkey,
    verify_general,
)
from protocols.keys import SigningKey, VerifyKey

MAX_JWS_BYTES: Final = 36 * 1024  # base64 of the body, signatures, a passkey's attestation


def sign(body: bytes, authority: Authority, key: SigningKey) -> bytes:
    """Sign with the person's device key or the officer's key.

    Raises:
        InvalidInput: the authority is of a kind without such a key.
    """
    if authority.method not in {DEVICE_KEY, BRANCH}:
        raise InvalidInput(f"a document by {authority.method} is not signed with such a key")
    return sign_general(body, [(key.verify_key.key_id, key)])


def sign_alone(body: bytes, node_key: SigningKey) -> bytes:
    """Sign as the consent node where nobody else signs."""
    return sign_general(body, [(node_key.verify_key.key_id, node_key)])


def countersign(jws: bytes, node_key: SigningKey) -> bytes:
    """Add the consent node's signature to what was signed (verify that first)."""
    return add_signature(jws, node_key.verify_key.key_id, node_key, max_bytes=MAX_JWS_BYTES)


def challenge(body: bytes, authority: Authority) -> bytes:
    """What the person's passkey has to sign, 32 bytes."""
    return passkey_challenge(body, authority.kid)


def confirmed(body: bytes, authority: Authority, assertion: Assertion, attestation: bytes) -> bytes:
    """The JWS of what a passkey signed, with the attestation of whose it is; not verified here."""
    return signed_by_passkey(body, authority.kid, assertion, attestation)


def attestation_in(jws: bytes) -> bytes:
    """The attestation that travels with a passkey's signature, a JWS; nothing verified.

    Raises:
        Malformed: not a JWS of this profile.
        AttestationInvalid: there is none.
    """
    found = passkey_evidence(jws, max_bytes=MAX_JWS_BYTES)
    if not found:
        raise AttestationInvalid("a passkey's consent comes without an attestation")
    return found


def verify_signers(
    jws: bytes,
    authority: Authority,
    controller: VerifyKey | None,
    stated: SubjectAttestation | None = None,
) -> None:
    """Check that those who have to, and nobody else, signed.

    1. the person's or officer's key is not the consent node's;
    2. a passkey comes with the attestation that the document names, which is about this key;
    3. all signatures verify, and there are no others.

    Args:
        jws: the bytes as received.
        authority: of the document that they hold.
        controller: the consent node's key; None: it has not signed yet.
        stated: what `attested` gave, where it has been asked already.

    Raises:
        Malformed: not a JWS of this profile.
        AttestationInvalid: 2.
        SignatureInvalid: 1, 3.
    """
    keys: dict[str, VerifyKey | PasskeyVerifier] = {}
    if authority.method == DEVICE_KEY:
        keys[authority.kid] = VerifyKey(authority.key)
    elif authority.method == BRANCH:
        keys[authority.kid] = VerifyKey(authority.officer_key)
    elif authority.method == PASSKEY:
        found = stated or attested(jws, authority)[0]  # 2
        keys[authority.kid] = PasskeyVerifier(authority.key, found.rp_id, found.origins)
    if controller is not None:
        # 1
        if controller in keys.values():
            raise SignatureInvalid("a controller cannot sign in a subject's place")
        keys[controller.key_id] = controller
    # 3
    verify_general(jws, keys, max_bytes=MAX_JWS_BYTES)


def attested(jws: bytes, authority: Authority) -> tuple[SubjectAttestation, bytes]:
    """The attestation beside a passkey's signature, which the document names by its hash.

    Returns:
        What it says, and the JWS, whose signature is not verified here.

    Raises:
        Malformed: it is not an attestation.
        AttestationInvalid: there is none, another one, or one of another key.
    """
    evidence = attestation_in(jws)
    found = read_attestation(evidence, authority.attestation_sha256)
    if found.key != authority.key:
        raise AttestationInvalid("the attestation is of another passkey")
    return found, evidence
