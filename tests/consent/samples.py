"""Consents to test with: one that holds, from which a test changes what it is about."""

import json
from dataclasses import replace
from typing import Any

from consent.artefact import Artefact, Recipient, TrainingTerms
from consent.attestation import SubjectAttestation, hash_of_handles, sign_attestation
from consent.authority import device_key, passkey
from consent.events import ConsentEvent
from consent.lifecycle import Event, State
from consent.policy import ReleaseFacts, Terms
from consent.signatures import challenge, confirmed
from consent.succession import Held
from consent.templates import DAY_MS, Templates
from protocols.canonical import canonical_json
from protocols.keys import SigningKey, VerifyKey
from tests.passkey_device import PasskeyDevice

NOW_MS = 1_780_000_000_000
TEMPLATES = Templates.load_default()
TEMPLATE = TEMPLATES.get("credit-assessment")
SUBJECT = SigningKey.from_seed(b"s" * 32)
STRANGER = SigningKey.from_seed(b"x" * 32)
BANK = SigningKey.from_seed(b"b" * 32)
PERSON = b"p" * 32


def artefact(**changes: Any) -> Artefact:
    """A consent of bank-a's customer to score and train, within its template."""
    made = Artefact(
        consent_id="con_" + "a" * 26,
        version=1,
        prev_hash=None,
        template_id=TEMPLATE.template_id,
        template_sha256=TEMPLATE.sha256,
        jurisdiction="CN",
        controller="bank-a",
        recipients=(Recipient("bank-a", "Bank A", "privacy@bank-a.example"),),
        holders=("payments", "public-records"),
        handles={"payments": b"1" * 32, "public-records": b"2" * 32},
        handle_epoch=1,
        purposes=("score", "train"),
        data_categories=("payment", "public_record"),
        valid_from_ms=NOW_MS - DAY_MS,
        valid_until_ms=NOW_MS + 30 * DAY_MS,
        data_life_s=86_400,
        max_uses=10,
        notice=TEMPLATE.notice("en"),
        adverse_notice_sha256=None,
        automated_decision=True,
        training=TrainingTerms("8", "0.00001"),
        authority=device_key(SUBJECT.verify_key.bytes),
    )
    return replace(made, **changes)


def body_with(**changes: Any) -> bytes:
    """The sample's body with JSON fields replaced; `...` removes one."""
    value = json.loads(artefact().body())
    value.update(changes)
    return canonical_json({name: item for name, item in value.items() if item is not ...})


def event(kind: Event = Event.WITHDRAW, **changes: Any) -> ConsentEvent:
    """A word of the sample's subject about the sample."""
    made = ConsentEvent(
        event=kind,
        consent_id=artefact().consent_id,
        consent_hash=artefact().consent_hash,
        controller="bank-a",
        authority=device_key(SUBJECT.verify_key.bytes),
        at_ms=NOW_MS,
    )
    return replace(made, **changes)


def held(**changes: Any) -> Held:
    """The sample as a node holds it."""
    made = Held(
        consent_hash=artefact().consent_hash,
        version=1,
        controller="bank-a",
        authority=device_key(SUBJECT.verify_key.bytes),
        state=State.ACTIVE,
        event_at_ms=0,
    )
    return replace(made, **changes)


def terms(**changes: Any) -> Terms:
    """The sample's terms as a holder decides on them."""
    sample = artefact()
    made = Terms(
        consent_id=sample.consent_id,
        consent_hash=sample.consent_hash,
        pseudonym=PERSON,
        controller="bank-a",
        state=State.ACTIVE,
        purposes=frozenset(sample.purposes),
        recipients=frozenset(sample.recipient_ids),
        holders=frozenset(sample.holders),
        data_categories=frozenset(sample.data_categories),
        valid_from_ms=sample.valid_from_ms,
        valid_until_ms=sample.valid_until_ms,
        data_life_s=sample.data_life_s,
        max_epsilon=sample.max_epsilon,
        max_uses=sample.max_uses,
        uses=0,
    )
    return replace(made, **changes)


def facts(changed: Terms | str | None = "", **changes: Any) -> ReleaseFacts:
    """A release of the payments processor to bank-a that the sample allows."""
    made = ReleaseFacts(
        terms=terms() if isinstance(changed, str) else changed,
        requester="bank-a",
        requester_active=True,
        holder="payments",
        purpose="score",
        categories=frozenset({"payment"}),
        subject_matches=True,
        status_proof_until_ms=NOW_MS + 1,
    )
    return replace(made, **changes)


def bank_key(member_id: str) -> VerifyKey:
    """The directory of these samples."""
    assert member_id == "bank-a"
    return BANK.verify_key


DEVICE = PasskeyDevice(rp_id="bank-a.example", origin="https://my.bank-a.example")


def attestation(sample: Artefact, device: PasskeyDevice = DEVICE, **changes: Any) -> Any:
    """Bank-a's word that a passkey is the sample's subject's."""
    made = SubjectAttestation(
        controller="bank-a",
        key=device.public_key,
        handles_sha256=hash_of_handles(sample.handles),
        handle_epoch=sample.handle_epoch,
        rp_id=device.rp_id,
        origins=(device.origin,),
        identified_by="customer_sign_in",
        identified_at_ms=NOW_MS,
    )
    return replace(made, **changes)


def by_passkey(
    device: PasskeyDevice = DEVICE, attested: dict[str, Any] | None = None, **changes: Any
) -> tuple[Artefact, SubjectAttestation]:
    """The sample granted by passkey, and the attestation that it names."""
    stated = attestation(artefact(**changes), device, **(attested or {}))
    authority = passkey(device.public_key, stated.sha256)
    return artefact(**{"authority": authority, **changes}), stated


def confirm(
    made: Artefact | ConsentEvent,
    stated: SubjectAttestation,
    device: PasskeyDevice = DEVICE,
    attester: SigningKey = BANK,
) -> bytes:
    """What the person's passkey signed, with the attestation."""
    asked = challenge(made.body(), made.authority)
    jws = sign_attestation(stated, attester)
    return confirmed(made.body(), made.authority, device.confirm(asked), jws)
