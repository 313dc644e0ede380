"""The bits of a status list and its head: what is written is read, and nothing else is."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.status_list import (
    CLOCK_SKEW_MS,
    LIFE_MS,
    Listed,
    StatusHead,
    StatusListConflict,
    StatusListOutdated,
    StatusListRollback,
    bytes_of,
    changed,
    check_follows,
    compress,
    decompress,
    listed,
    set_listed,
    sign_head,
    verify_head,
)
from protocols.canonical import sha256
from protocols.errors import CredenceError, Malformed, SignatureInvalid
from tests.consent.samples import BANK, NOW_MS

NONCE = bytes(range(16))
ENTRIES = st.dictionaries(st.integers(0, 300), st.sampled_from(Listed), max_size=40)


def head(bits: bytes = b"", entries: int = 0, **changes: object) -> StatusHead:
    made: dict[str, object] = {
        "controller": "bank-a",
        "version": 7,
        "nonce": NONCE,
        "issued_at_ms": NOW_MS,
        "expires_at_ms": NOW_MS + LIFE_MS,
        "entries": entries,
        "bits_sha256": sha256(bits),
    }
    return StatusHead(**(made | changes))  # type: ignore[arg-type]


def written(entries: dict[int, Listed]) -> bytes:
    bits = bytearray()
    for index, status in entries.items():
        set_listed(bits, index, status)
    return bytes(bits)


def check(jws: bytes, now_ms: int = NOW_MS, nonce: bytes = NONCE) -> StatusHead:
    return verify_head(jws, "bank-a", [BANK.verify_key], nonce, now_ms)


@given(ENTRIES)
def test_what_is_written_is_read_and_the_rest_is_valid(entries):
    bits = written(entries)
    for index in range(4 * len(bits)):
        assert listed(bits, 4 * len(bits), index) is entries.get(index, Listed.VALID)
    assert listed(bits, 4 * len(bits), 4 * len(bits)) is None
    assert listed(bits, 4 * len(bits), -1) is None


@given(ENTRIES, ENTRIES)
def test_what_changed_is_found_and_nothing_else(before, after):
    differing = {
        index
        for index in {*before, *after}
        if before.get(index, Listed.VALID) is not after.get(index, Listed.VALID)
    }
    assert changed(written(before), written(after)) == sorted(differing)


@given(ENTRIES)
def test_bits_travel_and_come_back(entries):
    bits = written(entries)
    assert decompress(compress(bits), head(bits, 4 * len(bits))) == bits


@given(st.binary(max_size=200), st.integers(0, 400))
def test_other_bytes_are_refused_and_never_crash(data, entries):
    with pytest.raises(CredenceError):
        decompress(data, head(b"\1" * bytes_of(entries), entries, bits_sha256=bytes(32)))


def test_a_stream_that_is_longer_than_stated_is_refused():
    bits = b"\1\2\3"
    with pytest.raises(Malformed):
        decompress(compress(bits + b"\0"), head(bits, 12))
    with pytest.raises(Malformed):
        decompress(compress(bits) + compress(bits), head(bits, 12))
    with pytest.raises(Malformed):
        decompress(zlib.compress(bits)[:-2], head(bits, 12))


def test_a_signed_head_is_read_back():
    made = head(b"\1", 3)
    assert check(sign_head(made, BANK)) == made


@given(st.binary(max_size=300))
def test_what_is_no_head_is_refused(data):
    with pytest.raises(CredenceError):
        check(data)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"controller": "bank-b"}, SignatureInvalid),
        ({"nonce": bytes(16)}, StatusListOutdated),
        ({"expires_at_ms": NOW_MS + LIFE_MS + 1}, StatusListOutdated),
        ({"expires_at_ms": NOW_MS}, StatusListOutdated),
        ({"expires_at_ms": NOW_MS - 1}, StatusListOutdated),
        ({"issued_at_ms": NOW_MS + CLOCK_SKEW_MS + 1,
          "expires_at_ms": NOW_MS + CLOCK_SKEW_MS + 2}, StatusListOutdated),
        ({"issued_at_ms": NOW_MS - LIFE_MS - CLOCK_SKEW_MS,
          "expires_at_ms": NOW_MS - CLOCK_SKEW_MS}, StatusListOutdated),
        ({"entries": -1}, Malformed),
        ({"version": -1}, Malformed),
    ],
)  # fmt: skip
def test_a_head_of_another_kind_is_refused(changes, error):
    with pytest.raises(error):
        check(sign_head(head(**changes), BANK))


def test_a_head_signed_by_nobody_known_is_refused():
    with pytest.raises(SignatureInvalid):
        verify_head(sign_head(head(), BANK), "bank-a", [], NONCE, NOW_MS)


def test_a_list_follows_the_one_before():
    check_follows(head(version=3, entries=5), None)
    check_follows(head(version=3, entries=5), (2, 5, bytes(32)))
    check_follows(head(version=3, entries=5), (3, 5, sha256(b"")))
    for older in ((4, 5, bytes(32)), (2, 6, bytes(32))):
        with pytest.raises(StatusListRollback):
            check_follows(head(version=3, entries=5), older)
    for other in ((3, 5, bytes(32)), (3, 4, sha256(b""))):
        with pytest.raises(StatusListConflict):
            check_follows(head(version=3, entries=5), other)
