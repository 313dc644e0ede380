"""Padding to buckets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import InvalidInput, Malformed
from protocols.padding import pad, unpad

BUCKETS = {"smallest": 512, "largest": 4096}


@given(st.binary(max_size=4095))
def test_what_is_padded_comes_back_and_has_the_size_of_a_bucket(data):
    padded = pad(data, **BUCKETS)
    assert len(padded) in {512, 1024, 2048, 4096}
    assert unpad(padded, **BUCKETS) == data


@pytest.mark.parametrize(
    ("length", "bucket"),
    [(0, 512), (511, 512), (512, 1024), (1023, 1024), (1024, 2048), (4095, 4096)],
)
def test_a_bucket_always_leaves_room_for_the_mark(length, bucket):
    assert len(pad(bytes(length), **BUCKETS)) == bucket


@pytest.mark.parametrize("tail", [b"\x80", b"\x80\0\0", b"\0\0", b"\x80\x80"])
def test_data_that_ends_like_padding_comes_back_whole(tail):
    assert unpad(pad(b"x" + tail, **BUCKETS), **BUCKETS) == b"x" + tail


def test_what_does_not_fit_the_largest_bucket_is_refused():
    with pytest.raises(InvalidInput):
        pad(bytes(4096), **BUCKETS)


@pytest.mark.parametrize(
    "padded",
    [
        b"",
        bytes(512),
        b"data",
        b"data\x80",
        b"\x80" + bytes(1023),
        b"\x80" + bytes(512),
        b"x" * 512,
        pad(bytes(5000), smallest=512, largest=8192),
    ],
)
def test_padding_that_nobody_makes_is_refused(padded):
    with pytest.raises(Malformed):
        unpad(padded, **BUCKETS)


@given(st.binary(max_size=600))
def test_random_bytes_unpad_only_when_they_are_padded(data):
    try:
        plain = unpad(data, **BUCKETS)
    except Malformed:
        return
    assert pad(plain, **BUCKETS) == data
