"""Identifiers of people and enterprises: one spelling, checked, and never joined across schemes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import InvalidInput
from protocols.legal_ids import check_digit, credit_code_check, normalise_identifier, oprf_input

ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
KNOWN = "91350100M000100Y43"  # the worked example in circulation for GB 32100-2015
BODY = st.builds(
    "{}{}{}".format,
    st.sampled_from(["91", "92", "93", "11", "51", "N2", "Y1"]),
    st.text("0123456789", min_size=6, max_size=6),
    st.text(ALPHABET, min_size=9, max_size=9),
)


def test_the_known_credit_code_has_the_right_check_character():
    assert credit_code_check(KNOWN[:17]) == KNOWN[17]
    assert normalise_identifier(f"uscc:{KNOWN}") == f"uscc:{KNOWN}"


@given(BODY, st.integers(8, 16), st.integers(1, 30))
def test_every_single_wrong_character_of_a_credit_code_is_caught(body, place, step):
    whole = body + credit_code_check(body)
    other = ALPHABET[(ALPHABET.index(body[place]) + step) % 31]
    assert normalise_identifier(f"USCC: {whole.lower()}") == f"uscc:{whole}"
    with pytest.raises(InvalidInput):
        normalise_identifier(f"uscc:{whole[:place]}{other}{whole[place + 1 :]}")


@pytest.mark.parametrize(
    "spelling",
    ["passport:CHN-E12345678", "Passport: chn e12345678", "PASSPORT:CHN:E12345678",
     "passport：ＣＨＮＥ１２３４５６７８"],  # noqa: RUF001 - full-width, as forms carry it
)  # fmt: skip
def test_a_passport_has_one_spelling(spelling):
    assert normalise_identifier(spelling) == "passport:CHN-E12345678"


@pytest.mark.parametrize(
    "wrong",
    ["passport:CH-E12345678", "passport:CHN-E1", "passport:CHN-E123456789", "passport:CHN-É12345",
     "uscc:91350100M000100Y44", "uscc:91350100I000100Y43", "uscc:", "resident:1", "other:123",
     ":110105194912310021", "uscc:uscc:91350100M000100Y43", "passport:" + "A" * 60],
)  # fmt: skip
def test_what_has_a_wrong_form_or_check_character_is_refused_without_being_repeated(wrong):
    with pytest.raises(InvalidInput) as caught:
        normalise_identifier(wrong)
    value = wrong.partition(":")[2]
    if len(value) > 5:
        assert value not in str(caught.value)


def test_one_number_in_two_schemes_is_two_owners():
    digits = "91110000100000000"
    number = next(
        body + check_digit(body)
        for body in (str(int(digits) + step) for step in range(1000))
        if check_digit(body) == credit_code_check(body)
    )
    assert oprf_input(number) == oprf_input(f"resident:{number}")
    assert oprf_input(number) != oprf_input(f"uscc:{number}")
    assert oprf_input(f"uscc:{number}") == f"credence/1|uscc|{number}".encode()


@given(st.text(max_size=70))
def test_no_text_crashes_and_what_passes_stays_as_it_is(text):
    try:
        normal = normalise_identifier(text)
    except InvalidInput:
        return
    assert normalise_identifier(normal) == normal
