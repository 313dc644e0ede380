"""The catalogue keeps its rules and refuses what breaks them."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.catalogue import Catalogue, CatalogueInvalid, SignalStatus, load_default
from models.reasons import LANGUAGES, reason_text
from protocols.errors import InvalidInput
from protocols.v1 import exchange_pb2

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


def test_the_default_catalogue_has_signals_of_three_blocks(catalogue):
    assert catalogue.blocks == ("bank", "payments", "public")
    assert len(catalogue.signals) >= 12


def test_a_catalogue_survives_its_own_body(catalogue):
    assert Catalogue.from_body(catalogue.to_body()) == catalogue
    assert Catalogue.from_body(json.loads(catalogue.to_body())).sha256 == catalogue.sha256


def test_statuses_carry_the_numbers_of_the_wire():
    for status in SignalStatus:
        assert exchange_pb2.SignalStatus.Value(f"SIGNAL_STATUS_{status.name}") == status
    assert len(exchange_pb2.SignalStatus.keys()) == len(SignalStatus)


def test_every_signal_has_a_reason_text_in_every_language(catalogue):
    for spec in catalogue.signals:
        texts = {reason_text(spec.id, language) for language in LANGUAGES}
        assert len(texts) == len(LANGUAGES)
    with pytest.raises(InvalidInput):
        reason_text("no_such_signal", "en")


def test_holders_are_asked_for_no_derived_signal(catalogue):
    ids = {spec.id for spec in catalogue.held_by("payment")}
    assert "statement_balance" in ids
    assert "revolving_utilisation" not in ids


@pytest.mark.parametrize(
    "change",
    [
        {"edges": [2, 1]},
        {"edges": []},
        {"edges": [1, 1]},
        {"monotone": 2},
        {"id": "Not A Name"},
        {"block": "x y"},
        {"derived": {"numerator": "nowhere", "denominator": "credit_limit"}},
        {"derived": {"numerator": "revolving_utilisation", "denominator": "credit_limit"}},
        {"reference": "high"},
        {"surprise": 1},
        {"id": "current_status"},
    ],
)
def test_a_signal_that_breaks_a_rule_is_refused(catalogue, change):
    body = json.loads(catalogue.to_body())
    body["signals"][0] |= change
    with pytest.raises(CatalogueInvalid):
        Catalogue.from_body(body)


def test_an_unknown_signal_id_is_an_error(catalogue):
    with pytest.raises(CatalogueInvalid):
        catalogue.signal("shoe_size")


@given(JSON)
def test_any_other_json_is_invalid_input(value):
    with pytest.raises(InvalidInput):
        Catalogue.from_body(value)


@settings(deadline=None)
@given(st.sampled_from(["version", "signals"]), JSON)
def test_any_other_field_value_is_invalid_input_or_a_catalogue(field, value):
    body = json.loads(load_default().to_body()) | {field: value}
    with contextlib.suppress(InvalidInput):
        Catalogue.from_body(body)
