"""What a leaf says, and what it hides."""

import json
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import leaf as leaf_module
from audit.leaf import (
    MAX_LEAF_BYTES,
    Entry,
    commitment,
    open_ciphertext,
    parse_leaf,
    parse_payload,
    seal_entries,
)
from audit.shredding import DataKey
from protocols.canonical import canonical_json, sha256
from protocols.errors import InvalidInput, SignatureInvalid
from tests.audit.world import entry

KEY = DataKey(key_id=bytes(16), key=bytes(range(32)))

NAMES = st.from_regex(r"[A-Za-z0-9._:@/=+-]{1,128}", fullmatch=True)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3)
    ),
    max_leaves=8,
)
ENTRIES = st.builds(
    Entry,
    kind=st.from_regex(r"[a-z][a-z0-9_.]{0,63}", fullmatch=True),
    actor=NAMES,
    purpose=st.from_regex(r"[a-z_]{0,32}", fullmatch=True),
    correlation=NAMES | st.just(""),
    payload=st.dictionaries(st.text(max_size=8), VALUES, max_size=4),
    subject=st.none() | st.binary(min_size=32, max_size=32),
    at_ms=st.integers(0, 2**53 - 1),
)


@given(ENTRIES)
def test_a_leaf_is_canonical_json_of_exactly_its_fields(given_entry: Entry) -> None:
    (sealed,) = seal_entries([given_entry], [KEY])
    fields = json.loads(sealed.leaf)
    assert canonical_json(fields) == sealed.leaf
    assert len(sealed.leaf) <= MAX_LEAF_BYTES
    assert fields == {
        "version": 1,
        "kind": given_entry.kind,
        "at_ms": given_entry.at_ms,
        "actor": given_entry.actor,
        "purpose": given_entry.purpose,
        "correlation": given_entry.correlation,
        "pc": fields["pc"],
        "ch": sha256(sealed.ciphertext).hex(),
    }


@given(ENTRIES)
def test_a_payload_comes_back_and_matches_its_commitment(given_entry: Entry) -> None:
    (sealed,) = seal_entries([given_entry], [KEY])
    opening = open_ciphertext(sealed.leaf, sealed.ciphertext, KEY)
    assert parse_payload(opening.payload) == given_entry.payload
    assert commitment(opening.salt, opening.payload).hex() == parse_leaf(sealed.leaf)["pc"]


def test_the_same_entry_twice_shares_no_commitment_and_no_ciphertext() -> None:
    first, second = seal_entries([entry(), entry()], [KEY, KEY])
    assert parse_leaf(first.leaf)["pc"] != parse_leaf(second.leaf)["pc"]
    assert first.ciphertext != second.ciphertext


def test_neither_leaf_nor_ciphertext_holds_subject_or_payload() -> None:
    subject = os.urandom(32)
    canary = "canary-6f1d3a"
    (sealed,) = seal_entries([entry(subject=subject, payload={"name": canary})], [KEY])
    for stored in (sealed.leaf, sealed.ciphertext):
        assert subject not in stored
        assert subject.hex().encode() not in stored
        assert canary.encode() not in stored


def test_a_ciphertext_moved_to_another_leaf_does_not_open() -> None:
    first, second = seal_entries([entry(), entry()], [KEY, KEY])
    with pytest.raises(SignatureInvalid):
        open_ciphertext(first.leaf, second.ciphertext, KEY)


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": ""},
        {"kind": "Granted"},
        {"kind": "k" * 65},
        {"actor": ""},
        {"actor": 'a","x":"y'},
        {"actor": "Zhang Wei"},
        {"actor": "张伟"},
        {"actor": "a\n"},
        {"purpose": "Score"},
        {"correlation": "line\nbreak"},
        {"correlation": "c" * 129},
        {"at_ms": -1},
        {"at_ms": 2**53},
        {"at_ms": 1.0},
        {"at_ms": True},
        {"payload": {"x": float("nan")}},
        {"payload": {"x": float("inf")}},
        {"payload": {"x": b"bytes"}},
        {"payload": {1: "number as key"}},
        {"payload": {"x": 2**53}},
        {"payload": {"x": "\ud800"}},
        {"payload": {"x": "y" * 65_536}},
    ],
)
def test_what_does_not_belong_into_a_leaf_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        seal_entries([entry(**changes)], [KEY])
    for value in changes.values():
        if isinstance(value, str) and len(value) > 4:
            assert value not in str(caught.value)


def test_a_payload_nested_deeper_than_can_be_read_back_is_refused() -> None:
    value: Any = 0
    for _ in range(leaf_module.MAX_PAYLOAD_DEPTH - 1):
        value = [value]
    seal_entries([entry(payload={"x": value})], [KEY])
    with pytest.raises(InvalidInput):
        seal_entries([entry(payload={"x": [value]})], [KEY])
    deep: Any = 0
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(InvalidInput):
        seal_entries([entry(payload={"x": deep})], [KEY])


def test_the_longest_leaf_fits_the_limit() -> None:
    longest = entry(
        kind="k" * 64, actor="a" * 128, purpose="p" * 32, correlation="c" * 128, at_ms=2**53 - 1
    )
    (sealed,) = seal_entries([longest], [KEY])
    assert len(sealed.leaf) <= MAX_LEAF_BYTES
