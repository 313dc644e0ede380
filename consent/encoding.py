"""The JSON of an artefact: what stands under which name in the bytes that are signed."""

from typing import TYPE_CHECKING, Any, Final

from consent.clauses import grant_json

if TYPE_CHECKING:
    from consent.artefact import Artefact

TYPE: Final = "credence.consent/1"
REQUEST_TYPE: Final = "credence.consent-request/1"
CRYPTO_SUITE: Final = 1  # Ed25519, SHA-256; the exchange's suite 1


def to_json(artefact: "Artefact") -> dict[str, Any]:
    """The body of an artefact as a JSON value."""
    training = artefact.training
    return {
        "type": REQUEST_TYPE if artefact.is_request else TYPE,
        "crypto_suite": CRYPTO_SUITE,
        "consent_id": artefact.consent_id,
        "version": artefact.version,
        "prev_hash": _hex(artefact.prev_hash),
        "template": {
            "template_id": artefact.template_id,
            "sha256": artefact.template_sha256.hex(),
        },
        "jurisdiction": artefact.jurisdiction,
        "controller": artefact.controller,
        "recipients": [
            {"member_id": one.member_id, "name": one.name, "contact": one.contact}
            for one in artefact.recipients
        ],
        "holders": list(artefact.holders),
        "handles": {member: handle.hex() for member, handle in artefact.handles.items()},
        "handle_epoch": artefact.handle_epoch,
        "purposes": list(artefact.purposes),
        "data_categories": list(artefact.data_categories),
        "valid_from_ms": artefact.valid_from_ms,
        "valid_until_ms": artefact.valid_until_ms,
        "data_life_s": artefact.data_life_s,
        "max_uses": artefact.max_uses,
        "notice": {
            "version": artefact.notice.version,
            "language": artefact.notice.language,
            "sha256": artefact.notice.sha256.hex(),
        },
        "adverse_notice_sha256": _hex(artefact.adverse_notice_sha256),
        "automated_decision": artefact.automated_decision,
        "training": None
        if training is None
        else {"epsilon": training.epsilon, "delta": training.delta, "unit": "subject"},
        "authority": artefact.authority.to_json(),
        "grants": [grant_json(one) for one in artefact.grants] or None,
    }


def _hex(digest: bytes | None) -> str | None:
    return None if digest is None else digest.hex()
