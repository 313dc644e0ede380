"""The receipt a person keeps: what they granted, what happened to it, and who confirmed.

The fields follow ISO/IEC TS 27560:2023 (consent record information structure); `dpv` says the same
in the terms of the W3C Data Privacy Vocabulary, as JSON-LD (`consent.receipt_terms`). `evidence`
goes further than the standard: hashes that tie the receipt to the signed artefact and to the audit
log, and every party's signed acknowledgement.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from consent.artefact import Artefact, Recipient
from consent.deletion import parse_signed
from consent.lifecycle import Event, State
from consent.receipt_terms import PURPOSES, dpv_terms

SCHEMA = "iso-ts-27560:2023"

_COLLECTED = {
    "device_key": "signed with a key of the person's own",
    "passkey": "signed with the person's passkey",
    "account": "confirmed in a signed-in session with a second factor",
    "branch": "signed on paper in a branch",
    "controller": "asked for by the institution; not granted",
}

# What the person may do about it, and where: `/portal` of the consent node, or its branches.
PRIVACY_RIGHTS = (
    "withdraw",
    "pause",
    "access_and_export",
    "correct",
    "delete",
    "dispute",
    "freeze",
    "explanation_and_human_review",
    "two_free_reports_a_year",
)
PURPOSE_TEXTS = {
    "score": "Decide on a credit application",
    "train": "Improve the shared credit model under differential privacy",
    "monitor": "Follow a credit that exists",
}


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What one party acknowledged about one event.

    Attributes:
        member_id: the party.
        refusal: empty: in effect there; otherwise its stable code.
        effective_at_ms: since when, by the party's clock.
        signature: 64 bytes by the party's signing key.
        received_at_ms: when it came, by this node's clock; None: not noted.
        deletion: the party's signed attestation of what it deleted; empty: none.
    """

    member_id: str
    refusal: str
    effective_at_ms: int
    signature: bytes
    received_at_ms: int | None = None
    deletion: bytes = b""


@dataclass(frozen=True, slots=True)
class Happening:
    """One event in a consent's life, with where the audit log has it.

    Attributes:
        event: what happened.
        actor: `subject`, or the member id that caused it.
        at_ms: when it took effect at the consent node.
        leaf_seq: sequence number of its audit leaf.
        confirmations: of the parties it was delivered to.
        pending: parties that have not answered yet.
    """

    event: Event
    actor: str
    at_ms: int
    leaf_seq: int
    confirmations: Sequence[Confirmation]
    pending: Sequence[str]


def receipt(
    artefact: Artefact, state: State, subject_ref: str, happenings: Sequence[Happening]
) -> dict[str, Any]:
    """The receipt as a JSON object.

    Args:
        artefact: the version in force.
        state: where its lifecycle stands.
        subject_ref: the consent node's own reference for the person.
        happenings: all events in order.
    """
    return {
        "schema_version": SCHEMA,
        "record_id": artefact.consent_id,
        "record_version": artefact.version,
        "pii_principal_id": subject_ref,
        "state": state.value,
        "privacy_notice": {
            "notice_version": artefact.notice.version,
            "language": artefact.notice.language,
            "sha256": artefact.notice.sha256.hex(),
        },
        "jurisdiction": artefact.jurisdiction,
        "pii_controllers": [{"party_id": artefact.controller, "party_role": "consent node"}],
        "recipients": [_recipient(one) for one in artefact.recipients],
        "sources": list(artefact.holders),
        "purposes": [_purpose(purpose, artefact) for purpose in artefact.purposes],
        "collection_method": _COLLECTED[artefact.auth_method],
        "processing_method": "Sealed signals on request; raw records stay with their holder",
        "storage_locations": list(artefact.recipient_ids),
        "privacy_rights": list(PRIVACY_RIGHTS),
        "adverse_consequence_notice_sha256": artefact.adverse_notice_sha256.hex()
        if artefact.adverse_notice_sha256
        else None,
        "automated_decision": artefact.automated_decision,
        "validity": {
            "from": _iso(artefact.valid_from_ms),
            "until": _iso(artefact.valid_until_ms),
        },
        "withdrawal_method": "At the consent node, as easily as it was granted",
        "events": [_event(one) for one in happenings],
        "evidence": {
            "consent_hash": artefact.consent_hash.hex(),
            "subject_key": artefact.subject_key.hex(),
            "auth_method": artefact.auth_method,
            "authority": artefact.authority.to_json(),
            "template": {
                "template_id": artefact.template_id,
                "sha256": artefact.template_sha256.hex(),
            },
            "previous_version": artefact.prev_hash.hex() if artefact.prev_hash else None,
        },
        "dpv": dpv_terms(artefact, state, subject_ref),
    }


def _recipient(recipient: Recipient) -> dict[str, str]:
    return {
        "party_id": recipient.member_id,
        "name": recipient.name,
        "contact": recipient.contact,
    }


def _purpose(purpose: str, artefact: Artefact) -> dict[str, Any]:
    found: dict[str, Any] = {
        "purpose": purpose,
        "purpose_type": PURPOSES[purpose],
        "description": PURPOSE_TEXTS[purpose],
        "lawful_basis": "https://w3id.org/dpv#Consent",
        "pii_categories": sorted(
            set().union(*(artefact.granted(one, purpose) for one in artefact.recipient_ids))
        ),
        "recipients": {
            one: sorted(artefact.granted(one, purpose))
            for one in artefact.recipient_ids
            if artefact.granted(one, purpose)
        },
        "retention_period_s": artefact.data_life_s,
        "max_uses_per_source": artefact.max_uses,
    }
    if purpose == "train" and artefact.training is not None:
        found["max_epsilon"] = artefact.training.epsilon
        found["delta"] = artefact.training.delta
    return found


def _event(happening: Happening) -> dict[str, Any]:
    return {
        "event": happening.event.value,
        "actor": happening.actor,
        "event_time": _iso(happening.at_ms),
        "audit_leaf": happening.leaf_seq,
        "confirmed_by": [_confirmation(one) for one in happening.confirmations],
        "not_yet_confirmed": list(happening.pending),
    }


def _confirmation(one: Confirmation) -> dict[str, Any]:
    found: dict[str, Any] = {
        "party_id": one.member_id,
        "outcome": one.refusal or "in_effect",
        "time": _iso(one.effective_at_ms),
        "signature": one.signature.hex(),
    }
    if one.received_at_ms is not None:
        found["received"] = _iso(one.received_at_ms)
    if one.deletion:
        deleted = parse_signed(one.deletion)
        found["deleted"] = {
            "signals": deleted.signals,
            "scores": deleted.scores,
            "answers": deleted.answers,
            "time": _iso(deleted.at_ms),
            "signed": one.deletion.decode("ascii"),
        }
    return found


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
