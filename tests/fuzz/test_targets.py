"""The fuzz targets without their fuzzer: seeds are taken, and anything near them is no crash."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.canonical import canonical_json
from protocols.errors import CredenceError
from tests.fuzz.targets import TARGETS

NAMES = sorted(TARGETS)


@pytest.mark.parametrize("name", NAMES)
def test_every_seed_reaches_the_end(name):
    target = TARGETS[name]
    assert target.seeds()
    for seed in target.seeds():
        assert target.run(seed), f"{name}: a seed is refused at the door"


@pytest.mark.parametrize("name", NAMES)
@given(data=st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_taken_or_refused(name, data):
    TARGETS[name].run(data)


@pytest.mark.parametrize("name", NAMES)
@given(choices=st.data())
@settings(max_examples=60, deadline=None)
def test_a_seed_with_a_part_cut_out_or_put_in_is_taken_or_refused(name, choices):
    seed = choices.draw(st.sampled_from(TARGETS[name].seeds()))
    start = choices.draw(st.integers(0, len(seed)))
    stop = choices.draw(st.integers(start, min(len(seed), start + 40)))
    TARGETS[name].run(seed[:start] + choices.draw(st.binary(max_size=20)) + seed[stop:])


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**60) | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)


@pytest.mark.parametrize("name", ["directory", "artefact", "ceremony", "keys"])
@given(choices=st.data())
@settings(max_examples=80, deadline=None)
def test_a_seed_with_any_value_in_any_place_is_taken_or_refused(name, choices):
    seeds = [seed for seed in TARGETS[name].seeds() if seed.startswith(b"{")]
    value = json.loads(choices.draw(st.sampled_from(seeds)))
    holder = value
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = choices.draw(st.sampled_from(keys))
        inner = holder[key]
        if not inner or not isinstance(inner, dict | list) or choices.draw(st.booleans()):
            break
        holder = inner
    holder[key] = choices.draw(ANY)
    TARGETS[name].run(json.dumps(value).encode())
    with contextlib.suppress(CredenceError):
        TARGETS[name].run(canonical_json(value))
