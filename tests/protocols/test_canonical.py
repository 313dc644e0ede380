"""Canonical JSON and the parser of JSON from outside."""

import json
import struct
import time

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from protocols.canonical import (
    MAX_SAFE_INTEGER,
    b64url_decode,
    b64url_encode,
    canonical_json,
    parse_canonical,
    parse_json,
    sha256,
)
from protocols.errors import CredenceError, Malformed

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
INTEGERS = st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)

# RFC 8785 sections 3.2.2 and 3.2.4.
SAMPLE = r"""{
  "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
  "literals": [null, true, false]
}"""
SAMPLE_CANONICAL = bytes.fromhex(
    "7b226c69746572616c73223a5b6e756c6c2c747275652c66616c73655d2c226e756d62657273223a5b"
    "3333333333333333332e333333333333332c31652b33302c342e352c302e3030322c31652d32375d2c"
    "22737472696e67223a22e282ac245c75303030665c6e4127425c225c5c5c5c5c222f227d"
)

# RFC 8785 appendix B: IEEE 754 bits and their JSON text.
NUMBERS = [
    ("0000000000000000", "0"),
    ("8000000000000000", "0"),
    ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("ffefffffffffffff", "-1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"),
    ("c340000000000000", "-9007199254740992"),
    ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"),
    ("44b52d02c7e14af6", "1e+23"),
    ("44b52d02c7e14af7", "1.0000000000000001e+23"),
    ("444b1ae4d6e2ef4e", "999999999999999700000"),
    ("444b1ae4d6e2ef4f", "999999999999999900000"),
    ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("41b3de4355555553", "333333333.3333332"),
    ("41b3de4355555554", "333333333.33333325"),
    ("41b3de4355555555", "333333333.3333333"),
    ("41b3de4355555556", "333333333.3333334"),
    ("41b3de4355555557", "333333333.33333343"),
    ("becbf647612f3696", "-0.0000033333333333333333"),
    ("43143ff3c1cb0959", "1424953923781206.2"),
]


def test_the_sample_of_rfc_8785_comes_out_byte_for_byte():
    assert canonical_json(parse_json(SAMPLE.encode(), max_bytes=1000)) == SAMPLE_CANONICAL


@pytest.mark.parametrize(("bits", "text"), NUMBERS)
def test_numbers_are_written_as_rfc_8785_appendix_b_says(bits, text):
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical_json(number) == text.encode()


def test_keys_are_sorted_by_utf16_units_not_by_code_points():
    # RFC 8785 section 3.2.3: the emoji's surrogates sort before the Hebrew letter.
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\x80", "\xf6"]
    parsed = json.loads(canonical_json(dict.fromkeys(names, 0)))
    assert list(parsed) == ["\r", "1", "\x80", "\xf6", "\u20ac", "\U0001f600", "\ufb33"]


@given(VALUES)
def test_the_quick_path_writes_what_the_reference_encoder_writes(value):
    assert canonical_json(value) == rfc8785.dumps(value)


@given(VALUES)
def test_what_is_written_is_read_back_unless_a_float_becomes_an_unsafe_integer(value):
    data = canonical_json(value)
    try:
        parsed = parse_canonical(data, max_bytes=len(data))
    except Malformed:
        assert any(abs(number) > MAX_SAFE_INTEGER for number in _floats(value))
    else:
        assert parsed == value


def _floats(value):
    if isinstance(value, float):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _floats(item)


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        2**53,
        -(2**53),
        "\ud800",
        {"\udfff": 1},
        {1: 2},
        {None: 2},
        b"bytes",
        {"a": object()},
        {1, 2},
    ],
    ids=lambda value: f"{type(value).__name__}-{len(str(value))}",  # the same in every worker
)
def test_a_value_without_a_canonical_form_is_refused(value):
    with pytest.raises(Malformed):
        canonical_json(value)


def test_a_value_that_contains_itself_is_refused():
    loop: list = []
    loop.append(loop)
    with pytest.raises(Malformed):
        canonical_json(loop)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"a":1,"a":2}',
        b'[{"x":{"a":1,"\\u0061":2}}]',
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"1e999",
        b"-1e999",
        b"9007199254740992",
        b"-9007199254740992",
        b"1" * 5000,
        b'"\\ud800"',
        b'{"\\udc00":1}',
        b'["a\\ud83d"]',
        b"\xef\xbb\xbf{}",
        b"\xff",
        b'"\xed\xa0\x80"',
        b"'a'",
        b"[1,]",
        b"{}x",
        b'"\n"',
        b"01",
    ],
)
def test_json_that_two_parsers_could_read_differently_is_refused(data):
    with pytest.raises(Malformed):
        parse_json(data, max_bytes=10_000)


def test_a_surrogate_pair_is_a_character():
    assert parse_json(b'"\\ud83d\\ude00"', max_bytes=100) == "\U0001f600"


def test_the_size_limit_is_exact():
    assert parse_json(b"[1,2]", max_bytes=5) == [1, 2]
    with pytest.raises(Malformed):
        parse_json(b"[1,2]", max_bytes=4)


@pytest.mark.parametrize("depth", [1, 3, 16])
def test_the_depth_limit_is_exact(depth):
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        whole = opening * depth + b"1" + closing * depth
        parse_json(whole, max_bytes=1000, max_depth=depth)
        with pytest.raises(Malformed):
            parse_json(whole, max_bytes=1000, max_depth=depth - 1)


def test_many_siblings_and_brackets_inside_strings_are_not_depth():
    data = canonical_json([[1], [2], [3], {"a": '[[[[{{{{\\"[['}, "\\", "[[[["])
    assert parse_json(data, max_bytes=1000, max_depth=2) == json.loads(data)


@pytest.mark.parametrize("unit", [b"[", b'{"a":', b'"', b'\\"', b'"\\', b'[\\"', b'["\\"'])
def test_hostile_megabytes_are_refused_quickly(unit):
    data = unit * (1_000_000 // len(unit))
    start = time.process_time()
    with pytest.raises(Malformed):
        parse_json(data, max_bytes=len(data))
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    "data", [b' {"a":1}', b'{"b":1,"a":2}', b"1.0", b'"\\u0061"', b"-0", b"1E2"]
)
def test_another_spelling_of_a_value_is_not_canonical(data):
    parse_json(data, max_bytes=100)
    with pytest.raises(Malformed):
        parse_canonical(data, max_bytes=100)


@given(st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_our_own_error(data):
    try:
        value = parse_json(data, max_bytes=150)
    except CredenceError:
        return
    assert json.loads(data) == value


@given(st.text(alphabet='[]{}",:\\u0dD8123e.-+tnlra \n', max_size=60))
def test_nearly_json_raises_nothing_but_our_own_error(text):
    try:
        value = parse_json(text.encode(), max_bytes=150)
        canonical_json(value)
    except CredenceError:
        return


@given(st.binary(max_size=100))
def test_base64url_has_one_spelling(data):
    text = b64url_encode(data)
    assert b64url_decode(text) == data
    assert not set(text) & set("+/=")


@pytest.mark.parametrize(
    "text", ["A", "AA==", "AB", "A+", "A/", " AA", "AA\n", "ÄÄ", "AAA=", "A A"]
)
def test_another_spelling_of_base64url_is_refused(text):
    with pytest.raises(Malformed):
        b64url_decode(text)


@given(st.text(max_size=40))
def test_random_text_is_base64url_only_in_its_own_spelling(text):
    try:
        data = b64url_decode(text)
    except CredenceError:
        return
    assert b64url_encode(data) == text


def test_sha256_is_that_of_fips_180():
    assert sha256(b"abc").hex() == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
