"""Identifiers, pseudonyms and what travels in their place."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import CredenceError, InvalidInput
from protocols.legal_ids import check_digit, normalise_identifier, oprf_input
from protocols.pseudonyms import cache_key, handle, pseudonym_of, query_token, subject_ref

KEY = bytes(range(32))
PAIR = bytes(range(32, 64))
CONSENT = bytes(range(64, 96))
RESIDENT = "11010519491231002X"  # the worked example of GB 11643-1999
SEVENTEEN = st.text("0123456789", min_size=17, max_size=17)


@pytest.mark.parametrize("known", [RESIDENT, "440524188001010014"])
def test_the_examples_of_the_standard_have_the_right_check_digit(known):
    assert check_digit(known[:17]) == known[17]


@given(SEVENTEEN, st.integers(0, 16), st.integers(1, 9))
def test_every_single_wrong_digit_is_caught(body, place, step):
    whole = body + check_digit(body)
    changed = f"{body[:place]}{(int(body[place]) + step) % 10}{whole[place + 1 :]}"
    assert normalise_identifier(whole) == whole
    with pytest.raises(InvalidInput):
        normalise_identifier(changed)


@given(SEVENTEEN, st.integers(0, 15))
def test_two_neighbouring_digits_exchanged_are_caught(body, place):
    whole = body + check_digit(body)
    changed = whole[:place] + whole[place + 1] + whole[place] + whole[place + 2 :]
    if changed == whole:
        return
    with pytest.raises(InvalidInput):
        normalise_identifier(changed)


@pytest.mark.parametrize(
    "spelling",
    [
        "11010519491231002x",
        " 110105 19491231 002X\n",
        "１１０１０５１９４９１２３１００２Ｘ",  # noqa: RUF001 - full-width, as forms carry it
        "110105\u300019491231002X",
    ],
)
def test_one_person_has_one_pseudonym_however_the_form_was_filled_in(spelling):
    assert normalise_identifier(spelling) == RESIDENT
    assert (
        oprf_input(spelling) == oprf_input(RESIDENT) == b"credence/1|resident|" + RESIDENT.encode()
    )


@given(st.text(max_size=30))
def test_other_texts_are_refused_without_being_repeated(text):
    with pytest.raises(InvalidInput) as caught:
        normalise_identifier(text)
    if len(text.strip()) > 5:
        assert text.strip() not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "1" * 65, "٣" * 18, "110105194912310021", "X" * 18, "1101051949123100-2X"]
)
def test_what_only_looks_like_an_identifier_is_refused(text):
    with pytest.raises(InvalidInput):
        normalise_identifier(text)


def test_the_documented_macs_are_what_is_computed():
    person = pseudonym_of(bytes(64))

    def mac(key, message):
        return hmac.new(key, message, hashlib.sha256).digest()

    assert person == hashlib.sha256(b"credence/1|pseudonym|" + bytes(64)).digest()
    data = oprf_input(RESIDENT)
    assert cache_key(KEY, data) == mac(KEY, b"credence/1|enrolled|" + data)
    assert query_token(PAIR, person, CONSENT) == mac(PAIR, person + CONSENT)
    assert handle(PAIR, person) == mac(PAIR, b"credence/1|handle|" + person)


def test_names_of_one_person_differ_by_key_pair_and_consent():
    person, other = pseudonym_of(bytes(64)), pseudonym_of(b"x" * 64)
    names = [
        person,
        other,
        handle(PAIR, person),
        handle(KEY, person),
        handle(PAIR, other),
        query_token(PAIR, person, CONSENT),
        query_token(PAIR, person, bytes(32)),
        query_token(KEY, person, CONSENT),
    ]
    assert len(set(names)) == len(names)
    assert {len(name) for name in names} == {32}


def test_a_subject_reference_is_readable_stable_and_local():
    person = pseudonym_of(bytes(64))
    reference = subject_ref(KEY, person)
    assert reference == subject_ref(KEY, person)
    assert reference != subject_ref(PAIR, person)
    assert reference.startswith("sub_")
    assert len(reference) == 30
    assert set(reference[4:]) <= set("abcdefghijklmnopqrstuvwxyz234567")


@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=40))
def test_keys_and_names_of_another_length_are_refused(key, person, consent):
    if {len(key), len(person), len(consent)} == {32}:
        return
    with pytest.raises(CredenceError):
        query_token(key, person, consent)
    if len(key) == len(person) == 32:
        return
    with pytest.raises(CredenceError):
        handle(key, person)
    with pytest.raises(CredenceError):
        subject_ref(key, person)
