"""Signals become thermometer bins and flags, and absence is never a value."""

import numpy as np
import pytest

from models.catalogue import SignalStatus
from models.encoder import usable
from protocols.errors import InvalidInput


def one(catalogue, **signals):
    """A subject about whom only these signals are present."""
    status = np.full((1, len(catalogue.signals)), SignalStatus.NOT_HELD, np.uint8)
    value = np.zeros(status.shape)
    for name, number in signals.items():
        status[0, catalogue.index[name]] = SignalStatus.PRESENT
        value[0, catalogue.index[name]] = number
    return status, value


def part(catalogue, encoder, encoded, name):
    place = encoder.columns[catalogue.index[name]]
    return encoded[0, place.start : place.stop].tolist()


def test_a_value_lights_the_edges_below_it(catalogue, encoder):
    edges = catalogue.signal("inactive_months_6m").edges
    assert edges == (0.5, 2.5, 5.5)
    encoded = encoder.encode(*one(catalogue, inactive_months_6m=3))
    assert part(catalogue, encoder, encoded, "inactive_months_6m") == [1, 1, 0, 0, 0]


def test_none_on_record_and_missing_are_different_columns(catalogue, encoder):
    status, value = one(catalogue)
    position = catalogue.index["dishonest_debtor"]
    assert part(catalogue, encoder, encoder.encode(status, value), "dishonest_debtor") == [0, 0, 1]
    status[0, position] = SignalStatus.NONE_ON_RECORD
    assert part(catalogue, encoder, encoder.encode(status, value), "dishonest_debtor") == [0, 1, 0]


@pytest.mark.parametrize("status", [s for s in SignalStatus if s > 2 or s == 0])
def test_every_kind_of_absence_encodes_alike(catalogue, encoder, status):
    reference, value = one(catalogue, credit_limit=1e5)
    other = np.where(reference == SignalStatus.NOT_HELD, status, reference).astype(np.uint8)
    value[other != SignalStatus.PRESENT] = 7
    assert (encoder.encode(other, value) == encoder.encode(reference, value)).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_counts_as_missing(catalogue, encoder, value):
    encoded = encoder.encode(*one(catalogue, credit_limit=value))
    assert (encoded == encoder.encode(*one(catalogue))).all()


def test_utilisation_is_balance_over_limit(catalogue, encoder):
    status, value = encoder.complete(*one(catalogue, statement_balance=600, credit_limit=1000))
    position = catalogue.index["revolving_utilisation"]
    assert (status[0, position], value[0, position]) == (SignalStatus.PRESENT, 0.6)


def test_utilisation_is_missing_without_either_part(catalogue, encoder):
    position = catalogue.index["revolving_utilisation"]
    for part_given in ({"statement_balance": 600}, {"credit_limit": 1000}):
        status, _ = encoder.complete(*one(catalogue, **part_given))
        assert status[0, position] == SignalStatus.NOT_HELD


def test_utilisation_of_a_limit_of_zero_is_none_on_record(catalogue, encoder):
    status, value = encoder.complete(*one(catalogue, statement_balance=600, credit_limit=0))
    position = catalogue.index["revolving_utilisation"]
    assert status[0, position] == SignalStatus.NONE_ON_RECORD
    assert value[0, position] == 0


def test_what_a_caller_claims_of_a_derived_signal_is_ignored(catalogue, encoder):
    honest = one(catalogue, statement_balance=600, credit_limit=1000)
    claimed = one(catalogue, statement_balance=600, credit_limit=1000, revolving_utilisation=0)
    assert (encoder.encode(*honest) == encoder.encode(*claimed)).all()


def test_a_dropped_block_encodes_as_if_its_holder_had_not_answered(catalogue, encoder, people):
    encoded = encoder.encode(people.status, people.value)
    for position, block in enumerate(catalogue.blocks):
        status = people.status.copy()
        held = [s.block == block for s in catalogue.signals]
        status[:, held] = SignalStatus.NOT_HELD
        absent = np.zeros((len(status), len(catalogue.blocks)), bool)
        absent[:, position] = True
        away = encoder.encode(status, people.value)
        assert (encoder.drop_blocks(encoded, absent) == away).all()


def test_the_reference_of_a_missing_signal_is_missing(catalogue, encoder):
    status, value = encoder.complete(*one(catalogue, credit_limit=1e5))
    encoded = encoder.encode(status, value)
    reference = encoder.reference(status)
    changed = np.flatnonzero((encoded != reference).any(axis=0))
    place = encoder.columns[catalogue.index["credit_limit"]]
    assert changed.size > 0
    assert ((changed >= place.start) & (changed < place.stop)).all()


def test_inputs_are_not_changed(catalogue, encoder):
    status, value = one(catalogue, credit_limit=np.nan)
    before = status.copy(), value.copy()
    encoder.encode(status, value)
    np.testing.assert_array_equal(status, before[0])
    np.testing.assert_array_equal(value, before[1])


def test_matrices_of_another_shape_are_refused(encoder):
    with pytest.raises(InvalidInput):
        encoder.encode(np.zeros((2, 3), np.uint8), np.zeros((2, 3)))
    with pytest.raises(InvalidInput):
        encoder.encode(np.zeros(22, np.uint8), np.zeros(22))


def test_only_present_and_none_on_record_say_something():
    assert usable(np.arange(7, dtype=np.uint8)).tolist() == [False, True, True] + [False] * 4
