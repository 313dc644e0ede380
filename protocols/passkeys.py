"""The two ceremonies of a passkey (WebAuthn level 3): register one, and sign in with it.

The `webauthn` package parses and verifies; here are the rules that this network adds: a challenge
of our own making, the person verified each time, no key that a holder could not check a consent
with (`protocols.cose_keys`), and size limits before anything is parsed. The package takes a moment
to load and is imported by the first ceremony. What a passkey signed as evidence is checked by
`protocols.assertions`, without the package.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from protocols.assertions import Assertion
from protocols.canonical import b64url_decode, parse_json
from protocols.cose_keys import ALGORITHMS, parse_cose_key
from protocols.errors import CredenceError, InvalidInput, Malformed

if TYPE_CHECKING:
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor

MIN_CHALLENGE_BYTES: Final = 16
MAX_RESPONSE_BYTES: Final = 32 * 1024
MAX_DEPTH: Final = 6
TIMEOUT_MS: Final = 120_000


class PasskeyRejected(CredenceError):
    """An answer of a passkey does not pass its checks."""

    code = "passkey_rejected"
    category = "unauthenticated"
    next_step = "Start again from the page that asked for the passkey."


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """The site that passkeys are bound to.

    Attributes:
        rp_id: its domain, without scheme or port.
        origins: its pages' origins, such as `https://my.bank.example`.
        name: what the authenticator shows the person.
    """

    rp_id: str
    origins: tuple[str, ...]
    name: str


@dataclass(frozen=True, slots=True)
class Passkey:
    """A registered passkey.

    Attributes:
        credential_id: by which the browser finds it, up to 1023 bytes.
        public_key: COSE key.
        sign_count: the authenticator's counter; 0: it does not count.
        aaguid: the authenticator's model, a UUID.
        backed_up: whether it is kept on more than one device.
    """

    credential_id: bytes
    public_key: bytes
    sign_count: int
    aaguid: str
    backed_up: bool


def registration_options(
    rp: RelyingParty,
    user_handle: bytes,
    user_name: str,
    challenge: bytes,
    exclude: Sequence[bytes],
) -> dict[str, Any]:
    """What `navigator.credentials.create` is to be given, as JSON for the browser.

    Args:
        rp: the site.
        user_handle: 1 to 64 random bytes that name the account and nobody.
        user_name: what the authenticator shows beside the passkey.
        challenge: at least 16 random bytes, used once.
        exclude: credential ids of the account's passkeys, which are not registered twice.

    Raises:
        InvalidInput: a handle or challenge of the wrong size.
    """
    from webauthn import generate_registration_options
    from webauthn.helpers import options_to_json_dict
    from webauthn.helpers.cose import COSEAlgorithmIdentifier
    from webauthn.helpers.structs import (
        AuthenticatorSelectionCriteria,
        ResidentKeyRequirement,
        UserVerificationRequirement,
    )

    _check_challenge(challenge)
    if not 1 <= len(user_handle) <= 64:
        raise InvalidInput("a passkey's user handle has 1 to 64 bytes")
    options = generate_registration_options(
        rp_id=rp.rp_id,
        rp_name=rp.name,
        user_id=user_handle,
        user_name=user_name,
        challenge=challenge,
        timeout=TIMEOUT_MS,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=_descriptors(exclude),
        supported_pub_key_algs=[COSEAlgorithmIdentifier(one) for one in ALGORITHMS],
    )
    return options_to_json_dict(options)


def verify_registration(rp: RelyingParty, challenge: bytes, response: bytes) -> Passkey:
    """Check what `navigator.credentials.create` returned.

    1. size, depth and grammar of the JSON;
    2. type, challenge, origin, relying party and flags (the person present and verified), and the
       attestation statement, by the `webauthn` package;
    3. the key is one whose signatures every holder can check.

    Args:
        rp: the site.
        challenge: the one of the options, not used before.
        response: the credential as JSON (`PublicKeyCredential.toJSON()`).

    Raises:
        Malformed: checks 1 or 3.
        PasskeyRejected: check 2.
    """
    from webauthn import verify_registration_response
    from webauthn.helpers.cose import COSEAlgorithmIdentifier

    credential = _credential(response)  # 1
    try:
        found = verify_registration_response(  # 2
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=rp.rp_id,
            expected_origin=list(rp.origins),
            require_user_verification=True,
            supported_pub_key_algs=[COSEAlgorithmIdentifier(one) for one in ALGORITHMS],
        )
    except Exception as error:  # a stranger's bytes fail in many ways; all refuse
        raise PasskeyRejected("the new passkey does not pass its checks") from error
    parse_cose_key(found.credential_public_key)  # 3
    return Passkey(
        credential_id=found.credential_id,
        public_key=found.credential_public_key,
        sign_count=found.sign_count,
        aaguid=found.aaguid,
        backed_up=found.credential_backed_up,
    )


def authentication_options(
    rp: RelyingParty, challenge: bytes, allow: Sequence[bytes]
) -> dict[str, Any]:
    """What `navigator.credentials.get` is to be given, as JSON for the browser.

    Args:
        rp: the site.
        challenge: at least 16 bytes, used once; of a consent the challenge of its signing input.
        allow: credential ids that may sign; none: the person picks a passkey of this site.

    Raises:
        InvalidInput: a challenge of the wrong size.
    """
    from webauthn import generate_authentication_options
    from webauthn.helpers import options_to_json_dict
    from webauthn.helpers.structs import UserVerificationRequirement

    _check_challenge(challenge)
    options = generate_authentication_options(
        rp_id=rp.rp_id,
        challenge=challenge,
        timeout=TIMEOUT_MS,
        allow_credentials=_descriptors(allow),
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return options_to_json_dict(options)


def verify_assertion(
    rp: RelyingParty,
    challenge: bytes,
    passkey_public_key: bytes,
    sign_count: int,
    response: bytes,
) -> int:
    """Check what `navigator.credentials.get` returned; the authenticator's new counter.

    1. size, depth and grammar of the JSON;
    2. type, challenge, origin, relying party, flags (the person present and verified), signature,
       and a counter above the last one where there is one, by the `webauthn` package.

    Args:
        rp: the site.
        challenge: the one of the options, not used before.
        passkey_public_key: COSE key of the passkey that the response names.
        sign_count: its counter so far; store the new one in the transaction that lets it in.
        response: the credential as JSON (`PublicKeyCredential.toJSON()`).

    Raises:
        Malformed: check 1.
        PasskeyRejected: check 2.
    """
    from webauthn import verify_authentication_response

    credential = _credential(response)  # 1
    try:
        found = verify_authentication_response(  # 2
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=rp.rp_id,
            expected_origin=list(rp.origins),
            credential_public_key=passkey_public_key,
            credential_current_sign_count=sign_count,
            require_user_verification=True,
        )
    except Exception as error:  # a stranger's bytes fail in many ways; all refuse
        raise PasskeyRejected("the passkey's answer does not pass its checks") from error
    return found.new_sign_count


def assertion_of(response: bytes) -> Assertion:
    """What a browser's answer brings as evidence, nothing of it verified.

    Raises:
        Malformed: it is not the JSON of a credential that signed.
    """
    inner = _credential(response).get("response")
    fields = inner if isinstance(inner, dict) else {}
    parts = [fields.get(one) for one in ("authenticatorData", "clientDataJSON", "signature")]
    texts = [one for one in parts if isinstance(one, str)]
    if len(texts) != len(parts):
        raise Malformed("a passkey's answer without authenticator data, client data or signature")
    data, client, signature = map(b64url_decode, texts)
    return Assertion(data, client, signature)


def credential_id_of(response: bytes) -> bytes:
    """The credential id that a browser's answer names, nothing of it verified: to look it up.

    Raises:
        Malformed: it is not the JSON of a credential.
    """
    named = _credential(response).get("id")
    if not isinstance(named, str) or not 1 <= len(named) <= 1364:
        raise Malformed("a passkey's answer without the id of its credential")
    return b64url_decode(named)


def challenge_of(response: bytes) -> bytes:
    """The challenge that a browser's answer names, nothing of it verified: to see whose it is.

    Raises:
        Malformed: it is not the JSON of a credential.
    """
    client_data = parse_json(
        _part(response, "clientDataJSON"), max_bytes=MAX_RESPONSE_BYTES, max_depth=MAX_DEPTH
    )
    challenge = client_data.get("challenge") if isinstance(client_data, dict) else None
    if not isinstance(challenge, str):
        raise Malformed("a passkey's answer without a challenge")
    return b64url_decode(challenge)


def user_handle_of(response: bytes) -> bytes:
    """The account that a browser's answer names, empty when it names none; nothing verified.

    Raises:
        Malformed: it is not the JSON of a credential.
    """
    return _part(response, "userHandle")


def _part(response: bytes, name: str) -> bytes:
    inner = _credential(response).get("response")
    text = inner.get(name) if isinstance(inner, dict) else None
    if text is None:
        return b""
    if not isinstance(text, str):
        raise Malformed(f"a passkey's answer whose {name} is no text")
    return b64url_decode(text)


def _credential(response: bytes) -> dict[str, Any]:
    credential = parse_json(response, max_bytes=MAX_RESPONSE_BYTES, max_depth=MAX_DEPTH)
    if not isinstance(credential, dict):
        raise Malformed("a passkey's answer is a JSON object")
    return credential


def _descriptors(ids: Sequence[bytes]) -> "list[PublicKeyCredentialDescriptor]":
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor

    return [PublicKeyCredentialDescriptor(id=one) for one in ids]


def _check_challenge(challenge: bytes) -> None:
    if len(challenge) < MIN_CHALLENGE_BYTES:
        raise InvalidInput("a passkey's challenge has at least 16 bytes")
