"""The receipt says what was granted, what happened, and who confirmed."""

import json

from consent.authority import branch
from consent.clauses import Grant, Recipient
from consent.lifecycle import Event, State
from consent.receipt_terms import category
from consent.receipts import Confirmation, Happening, receipt
from tests.consent.samples import NOW_MS, STRANGER, TEMPLATE, artefact

WITHDRAWN = Happening(
    event=Event.WITHDRAW,
    actor="subject",
    at_ms=NOW_MS,
    leaf_seq=7,
    confirmations=[
        Confirmation("payments", "", NOW_MS + 5, b"\x01" * 64),
        Confirmation("bank-c", "subject_unknown", NOW_MS + 6, b"\x02" * 64),
    ],
    pending=["public-records"],
)


def made():
    return receipt(artefact(), State.WITHDRAWN, "sub_" + "a" * 26, [WITHDRAWN])


def test_a_receipt_is_json_with_the_fields_of_the_standard():
    found = json.loads(json.dumps(made()))
    assert {
        "schema_version",
        "record_id",
        "pii_principal_id",
        "privacy_notice",
        "purposes",
        "pii_controllers",
        "recipients",
        "events",
    } <= set(found)


def test_each_purpose_names_its_dpv_term_and_what_it_may_use():
    score, train = made()["purposes"]
    assert score["purpose_type"] == "https://w3id.org/dpv#CreditChecking"
    assert score["pii_categories"] == ["payment", "public_record"]
    assert "max_epsilon" not in score
    assert train["max_epsilon"] == "8"


def test_each_party_is_shown_as_confirmed_refused_or_pending():
    (event,) = made()["events"]
    assert [one["outcome"] for one in event["confirmed_by"]] == ["in_effect", "subject_unknown"]
    assert event["not_yet_confirmed"] == ["public-records"]
    assert event["audit_leaf"] == 7


def test_a_receipt_names_the_artefact_and_holds_no_handle_and_no_pseudonym():
    found = made()
    assert found["evidence"]["consent_hash"] == artefact().consent_hash.hex()
    assert (b"1" * 32).hex() not in json.dumps(found)


def test_every_state_and_class_has_a_term_of_the_vocabulary():
    """DPV terms for all nine states, and for every class of data that a template offers."""
    for state in State:
        found = receipt(artefact(), state, "sub_x", [])["dpv"]
        assert found["dpv:hasConsentStatus"].startswith("dpv:Consent")
    assert found["@type"] == "dpv:ConsentRecord"
    for name in TEMPLATE.data_categories:
        assert category(name).startswith("pd:")


def test_what_each_recipient_may_have_stands_in_the_receipt_for_each_purpose():
    """One process a recipient and purpose, with its own classes; the rest is nowhere."""
    grants = (
        Grant("bank-a", "score", ("payment", "public_record")),
        Grant("bank-b", "monitor", ("payment",)),
    )
    split = artefact(
        recipients=(Recipient("bank-a", "A", ""), Recipient("bank-b", "B", "")),
        purposes=("monitor", "score"),
        training=None,
        grants=grants,
    )
    found = receipt(split, State.ACTIVE, "sub_x", [])
    monitor, score = found["purposes"]
    assert monitor["recipients"] == {"bank-b": ["payment"]}
    assert score["recipients"] == {"bank-a": ["payment", "public_record"]}
    assert len(found["dpv"]["dpv:hasProcess"]) == 2


def test_a_receipt_says_how_the_consent_was_given():
    """Marked kinds are marked here too, with the paper's hash where there is one."""
    paper = artefact(authority=branch(STRANGER.verify_key.bytes, b"p" * 32))
    found = receipt(paper, State.ACTIVE, "sub_x", [])
    assert found["evidence"]["authority"]["paper_sha256"] == (b"p" * 32).hex()
    assert found["dpv"]["dpv:hasLegalBasis"] == "dpv:Consent"
    assert made()["dpv"]["dpv:hasLegalBasis"] == "dpv:ExplicitlyExpressedConsent"
    assert "branch" in found["collection_method"]
