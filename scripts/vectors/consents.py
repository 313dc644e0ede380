"""Vectors of a consent artefact, its withdrawal and an acknowledgement."""

from typing import Any

from consent.artefact import Artefact, Notice, Recipient, TrainingTerms, grant
from consent.authority import device_key
from consent.delivery import Delivery, Kind, acknowledge
from consent.events import ConsentEvent, countersign_event, sign_event
from consent.lifecycle import Event
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
    """Artefact, withdrawal, acknowledgement."""
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
            _acknowledgement(withdrawn, "a withdrawal acknowledged", ""),
            _acknowledgement(withdrawn, "a delivery refused", "not_a_party"),
        ]
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
