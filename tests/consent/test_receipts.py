"""The receipt says what was granted, what happened, and who confirmed."""

import json

from consent.lifecycle import Event, State
from consent.receipts import Confirmation, Happening, receipt
from tests.consent.samples import NOW_MS, artefact

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
