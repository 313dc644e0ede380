"""A receipt's terms in the W3C Data Privacy Vocabulary (DPV 2), as JSON-LD.

ISO/IEC TS 27560 names the parts of a consent record and leaves their vocabulary open; the DPV's
guide for it fills them with terms that a machine reads. Sources: w3id.org/dpv, w3id.org/dpv/pd,
w3id.org/dpv/guides/consent-27560.
"""

from typing import Any, Final

from consent.artefact import Artefact
from consent.lifecycle import State

CONTEXT: Final = {
    "dpv": "https://w3id.org/dpv#",
    "pd": "https://w3id.org/dpv/pd#",
    "dct": "http://purl.org/dc/terms/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
CONFORMS_TO: Final = "https://w3id.org/dpv/schema/dpv-27560#record"

PURPOSES: Final = {
    "score": "https://w3id.org/dpv#CreditChecking",
    "train": "https://w3id.org/dpv#ResearchAndDevelopment",
    "monitor": "https://w3id.org/dpv#CustomerSolvencyMonitoring",
}
STATUSES: Final = {
    State.REQUESTED: "dpv:ConsentRequested",
    State.ACTIVE: "dpv:ConsentGiven",
    State.PAUSED: "dpv:ConsentStatusInvalidForProcessing",
    State.REFUSED: "dpv:ConsentRefused",
    State.LAPSED: "dpv:ConsentRequestDeferred",
    State.WITHDRAWN: "dpv:ConsentWithdrawn",
    State.EXPIRED: "dpv:ConsentExpired",
    State.SUPERSEDED: "dpv:ConsentStatusInvalidForProcessing",
    State.INVALIDATED: "dpv:ConsentInvalidated",
}

# Source classes as personal data categories; a class without one is financial data.
_CATEGORIES: Final = {
    "credit_account": "pd:CreditRecord",
    "cash_flow": "pd:Transactional",
    "deposits": "pd:FinancialAccount",
    "income": "pd:Income",
    "insurance": "pd:Insurance",
    "payment": "pd:Transaction",
    "behaviour": "pd:Behavioral",
    "real_estate": "pd:HouseOwned",
    "securities": "pd:Ownership",
    "tax": "pd:Tax",
}
_FINANCIAL: Final = "pd:Financial"


def category(data_category: str) -> str:
    """The DPV term of a source class."""
    return _CATEGORIES.get(data_category, _FINANCIAL)


def dpv_terms(artefact: Artefact, state: State, subject_ref: str) -> dict[str, Any]:
    """The consent as a `dpv:ConsentRecord`.

    Args:
        artefact: the version in force.
        state: where its lifecycle stands.
        subject_ref: the consent node's own reference for the person.
    """
    explicit = artefact.authority.own_signature
    return {
        "@context": dict(CONTEXT),
        "@type": "dpv:ConsentRecord",
        "dct:identifier": artefact.consent_id,
        "dct:conformsTo": CONFORMS_TO,
        "dct:hasVersion": artefact.version,
        "dpv:hasConsentStatus": STATUSES[state],
        "dpv:hasDataSubject": {"@type": "dpv:Customer", "dct:identifier": subject_ref},
        "dpv:hasDataController": {"dct:identifier": artefact.controller},
        "dpv:hasJurisdiction": artefact.jurisdiction,
        "dpv:hasLegalBasis": "dpv:ExplicitlyExpressedConsent" if explicit else "dpv:Consent",
        "dpv:hasNotice": {
            "@type": "dpv:ConsentNotice",
            "dct:hasVersion": artefact.notice.version,
            "dct:language": artefact.notice.language,
        },
        "dpv:hasProcess": [
            _process(artefact, recipient, purpose)
            for recipient in artefact.recipient_ids
            for purpose in artefact.purposes
            if artefact.granted(recipient, purpose)
        ],
    }


def _process(artefact: Artefact, recipient: str, purpose: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "@type": "dpv:Process",
        "dpv:hasPurpose": PURPOSES[purpose],
        "dpv:hasRecipient": {"dct:identifier": recipient},
        "dpv:hasPersonalData": [
            {
                "@type": category(one),
                "dct:identifier": one,
                "dpv:hasNecessity": "dpv:Optional",
            }
            for one in sorted(artefact.granted(recipient, purpose))
        ],
        "dpv:hasDataSource": [{"dct:identifier": one} for one in artefact.holders],
        "dpv:hasStorageCondition": {
            "@type": "dpv:StorageDuration",
            "dpv:hasDuration": {"@type": "xsd:duration", "@value": f"PT{artefact.data_life_s}S"},
        },
    }
    if purpose == "train":
        found["dpv:hasTechnicalMeasure"] = "dpv:DifferentialPrivacy"
    elif artefact.automated_decision:
        found["dpv:hasContext"] = "dpv:AutomatedDecisionMaking"
    return found
