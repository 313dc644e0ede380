"""Vectors of a consent artefact, its withdrawal and an acknowledgement."""

from dataclasses import replace
from typing import Any

from consent.artefact import Artefact, Notice, Recipient, TrainingTerms, countersign, grant
from consent.attestation import SubjectAttestation, hash_of_handles, sign_attestation
from consent.authority import account, device_key, passkey
from consent.delivery import Delivery, Kind, acknowledge
from consent.events import ConsentEvent, countersign_event, sign_event
from consent.lifecycle import Event
from consent.signatures import challenge, confirmed, sign_alone
from protocols.assertions import Assertion
from protocols.canonical import b64url_encode, canonical_json, sha256
from protocols.cose_keys import eddsa_key
from scripts.vectors.pairwise import PSEUDONYM, handle_for
from scripts.vectors.seeds import DAY_MS, NOW_MS, seed, signing

SUBJECT = signing("subject")


def artefact() -> Artefact:
    """A person's consent at bank-a: payments may release to it, for scoring and training."""
    return Artefact(
        consent_id="con_" + "a" * 26,
        version=1,
        prev_hash=None,
        template_id="credit-assessment",
        template_sha256=seed("template"),
        jurisdiction="CN",
        controller="bank-a",
        recipients=(Recipient("bank-a", "bank-a Ltd", "privacy@bank-a.example"),),
        holders=("payments",),
        handles={"payments": handle_for("payments", PSEUDONYM)},
        handle_epoch=1,
        purposes=("score", "train"),
        data_categories=("payment",),
        valid_from_ms=NOW_MS - DAY_MS,
        valid_until_ms=NOW_MS + 90 * DAY_MS,
        data_life_s=86_400,
        max_uses=10,
        notice=Notice(1, "en", seed("notice")),
        adverse_notice_sha256=None,
        automated_decision=True,
        training=TrainingTerms("8", "0.00001"),
        authority=device_key(SUBJECT.verify_key.bytes),
    )


def page() -> dict[str, Any]:
    """Artefacts of three authorities, withdrawal, acknowledgement."""
    given = artefact()
    granted = grant(given, SUBJECT, signing("bank-a"))
    event = ConsentEvent(
        event=Event.WITHDRAW,
        consent_id=given.consent_id,
        consent_hash=given.consent_hash,
        controller=given.controller,
        authority=given.authority,
        at_ms=NOW_MS,
    )
    withdrawn = countersign_event(sign_event(event, SUBJECT), signing("bank-a"))
    return {
        "vectors": [
            {
                "check": "artefact",
                "name": "a consent, signed by the person and the consent node",
                "body": given.body().decode(),
                "consent_hash": given.consent_hash.hex(),
                **_signers(),
                "jws": granted.decode(),
            },
            {
                "check": "event",
                "name": "its withdrawal",
                "body": event.body().decode(),
                **_signers(),
                "jws": withdrawn.decode(),
            },
            _by_passkey(given),
            _by_account(given),
            _acknowledgement(withdrawn, "a withdrawal acknowledged", ""),
            _acknowledgement(withdrawn, "a delivery refused", "not_a_party"),
        ]
    }


def _by_passkey(given: Artefact) -> dict[str, Any]:
    """An EdDSA passkey, whose signatures are the same each time they are made."""
    public_key = eddsa_key(SUBJECT.verify_key.bytes)
    attestation = SubjectAttestation(
        controller=given.controller,
        key=public_key,
        handles_sha256=hash_of_handles(given.handles),
        handle_epoch=given.handle_epoch,
        rp_id="bank-a.example",
        origins=("https://my.bank-a.example",),
        identified_by="customer_sign_in",
        identified_at_ms=NOW_MS - DAY_MS,
    )
    made = replace(given, authority=passkey(public_key, attestation.sha256))
    asked = challenge(made.body(), made.authority)
    client = canonical_json({
        "challenge": b64url_encode(asked),
        "crossOrigin": False,
        "origin": attestation.origins[0],
        "type": "webauthn.get",
    })  # fmt: skip
    data = sha256(attestation.rp_id.encode()) + b"\x05" + (7).to_bytes(4, "big")
    assertion = Assertion(data, client, SUBJECT.sign_raw(data + sha256(client)))
    attested = sign_attestation(attestation, signing("bank-a"))
    jws = countersign(
        confirmed(made.body(), made.authority, assertion, attested), signing("bank-a")
    )
    return {
        "check": "passkey_artefact",
        "name": "a consent confirmed by passkey, with the attestation of whose it is",
        "body": made.body().decode(),
        "consent_hash": made.consent_hash.hex(),
        "kid": made.authority.kid,
        "challenge": asked.hex(),
        "client_data": client.decode(),
        "authenticator_data": data.hex(),
        "attestation": attested.decode(),
        "attestation_sha256": attestation.sha256.hex(),
        "controller_key": signing("bank-a").verify_key.bytes.hex(),
        "jws": jws.decode(),
    }


def _by_account(given: Artefact) -> dict[str, Any]:
    made = replace(given, authority=account("password_totp"))
    return {
        "check": "account_artefact",
        "name": "a consent confirmed in an account, signed by the consent node alone",
        "body": made.body().decode(),
        "consent_hash": made.consent_hash.hex(),
        "controller_key": signing("bank-a").verify_key.bytes.hex(),
        "jws": sign_alone(made.body(), signing("bank-a")).decode(),
    }


def _signers() -> dict[str, str]:
    return {
        "subject_seed": SUBJECT.seed.hex(),
        "controller_seed": signing("bank-a").seed.hex(),
        "controller_key": signing("bank-a").verify_key.bytes.hex(),
    }


def _acknowledgement(data: bytes, name: str, refusal: str) -> dict[str, Any]:
    delivery = Delivery(Kind.EVENT, data)
    made = acknowledge(delivery, refusal, NOW_MS + 5, signing("payments"))
    return {
        "check": "acknowledgement",
        "name": name,
        "delivered": data.decode(),
        "delivery_id": delivery.delivery_id,
        "refusal": refusal,
        "effective_at_ms": made.effective_at_ms,
        "public_key": signing("payments").verify_key.bytes.hex(),
        "signature": made.signature.hex(),
    }
