"""Batches of the threshold VOPRF: right whoever takes part, never combined unverified."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import ristretto
from protocols.enrolment import (
    blind_batch,
    evaluate_batch,
    finish_batch,
    joined,
    split_elements,
)
from protocols.errors import InvalidInput, Malformed
from protocols.secret_sharing import evaluate_polynomial, random_polynomial

INPUTS = [b"one", b"two"]
POLYNOMIAL = random_polynomial(3)
SHARES = {index: evaluate_polynomial(POLYNOMIAL, index) for index in range(1, 6)}
PUBLICS = {index: ristretto.multiply_base(share) for index, share in SHARES.items()}


def ask(blinded, indices):
    elements = split_elements(joined(blinded))
    return [evaluate_batch(SHARES[index], index, elements) for index in indices]


@settings(max_examples=10, deadline=None)
@given(st.sets(st.integers(1, 5), min_size=3, max_size=5))
def test_any_three_or_more_give_the_same_and_fewer_something_else(indices):
    blinded = blind_batch(INPUTS)
    one = finish_batch(blinded, PUBLICS, ask(blinded, sorted(indices)))
    other = blind_batch(INPUTS)
    assert one == finish_batch(other, PUBLICS, ask(other, [1, 2, 3]))
    two = finish_batch(other, PUBLICS, ask(other, [1, 2]))
    assert not set(two.pseudonyms) & set(one.pseudonyms)


def test_wrong_evaluations_are_named_and_nothing_is_combined():
    blinded = blind_batch(INPUTS)
    good = ask(blinded, [1, 2, 3])
    bad = replace(good[1], elements=good[1].elements[32:] + good[1].elements[:32])
    done = finish_batch(blinded, PUBLICS, [good[0], bad, replace(good[2], proof=b"")])
    assert done.wrong == (2, 3)
    assert done.pseudonyms == ()


def test_a_trustee_counts_once_and_a_stranger_not_at_all():
    blinded = blind_batch(INPUTS)
    good = ask(blinded, [1, 2, 3])
    for answers in ([good[0], good[0], good[1]], [*good[:2], replace(good[2], index=9)]):
        with pytest.raises(InvalidInput):
            finish_batch(blinded, PUBLICS, answers)


@given(st.binary(max_size=100))
def test_no_bytes_but_elements_pass_as_a_batch(data):
    try:
        elements = split_elements(data)
    except Malformed:
        return
    assert b"".join(elements) == data


def test_inverses_are_made_all_at_once():
    scalars = [ristretto.random_scalar() for _ in range(5)]
    one = ristretto.scalar_of(1)
    for a, b in zip(scalars, ristretto.invert_all(scalars), strict=True):
        assert ristretto.multiply_scalars(a, b) == one
    with pytest.raises(InvalidInput):
        ristretto.invert_all([scalars[0], ristretto.scalar_of(0)])
