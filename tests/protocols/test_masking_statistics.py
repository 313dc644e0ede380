"""What travels is uniform, and independent from pair to pair and from round to round."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from protocols.errors import InvalidInput, Malformed
from protocols.masking.errors import MaskingMalformed
from protocols.masking.graph import degree, holders_needed, neighbourhoods
from protocols.masking.layout import Terms
from protocols.masking.ring import Ring
from protocols.masking.seeds import stream
from protocols.masking.wire import join, join_map, split, split_map
from tests.protocols.masking_cohort import Cohort, member_ids, terms

SIZE = 40_000


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return Cohort(terms(3, 2)).agree()


def test_a_masked_vector_is_uniform_whatever_it_hides(cohort):
    """Chi-square over the bytes of every position: zeros, once masked, look like anything else.

    A fair draw fails at one of the vectors' positions with a chance below 2e-7 in all.
    """
    zeros = {one: np.zeros(SIZE, np.int64) for one in cohort.layout.dealers}
    for masked in cohort.inputs(zeros).values():
        for column in masked.octets.T:
            counts = np.bincount(column, minlength=256)
            assert stats.chisquare(counts).pvalue > 1e-8


def test_masks_of_other_pairs_and_rounds_have_nothing_in_common(cohort):
    """Correlations between seeds' streams stay within chance: 6 standard errors of 1/sqrt(n)."""
    seeds = []
    for number in (11, 12):
        inputs = cohort.inputs(cohort.values(number), [member_ids(3)[2]], number)
        view = cohort.view(inputs, number)
        signatures = cohort.sign(view)
        for one in view.members:
            answer = cohort.parties[one].unmask(view.to_body(), signatures)
            seeds += [answer.seed, *answer.pairs]
    assert len(set(seeds)) == 8
    streams = np.stack([stream(seed, SIZE).astype(np.float64) for seed in seeds])
    correlation = np.corrcoef(streams) - np.eye(len(seeds))
    assert np.abs(correlation).max() < 6 / np.sqrt(SIZE)
    shifted = np.corrcoef(streams[:, 1:], streams[:, :-1])[: len(seeds), len(seeds) :]
    assert np.abs(shifted).max() < 6 / np.sqrt(SIZE)


def test_a_partial_sum_is_as_uniform_as_one_vector(cohort):
    """Without its masks opened, the sum of two of three tells nothing either."""
    zeros = {one: np.zeros(SIZE, np.int64) for one in cohort.layout.dealers}
    first, second, _ = cohort.inputs(zeros, number=21).values()
    ring = cohort.terms.ring
    octets = ring.pack(ring.unpack(first.octets) + ring.unpack(second.octets))
    for column in octets.T:
        assert stats.chisquare(np.bincount(column, minlength=256)).pvalue > 1e-8


@given(
    st.sampled_from(range(16, 65, 8)),
    st.data(),
)
def test_ring_elements_come_back_as_they_went_in(bits, data):
    ring = Ring(bits)
    bound = 2 ** (bits - 1) - 1
    values = data.draw(arrays(np.int64, st.integers(0, 20), elements=st.integers(-bound, bound)))
    octets = ring.pack(ring.encode(values, bound))
    assert octets.shape == (len(values), bits // 8)
    assert (ring.decode(ring.unpack(octets)) == values).all()


@given(st.sampled_from(range(16, 65, 8)), st.integers(2, 1000), st.data())
def test_a_sum_of_all_members_at_their_bound_fits_the_ring(bits, members, data):
    """The bound that `holds` proves: no sum wraps, at either end."""
    ring = Ring(bits)
    bound = data.draw(st.integers(1, 2 ** (bits - 2)))
    if ring.holds(members, bound):
        for sign in (1, -1):
            one = ring.encode(np.array([sign * bound]), bound)
            total = np.zeros(1, np.uint64)
            for _ in range(members):
                total += one
            assert ring.decode(total)[0] == sign * bound * members


@pytest.mark.parametrize("bits", [0, 8, 17, 72])
def test_other_rings_are_refused(bits):
    with pytest.raises(InvalidInput):
        Ring(bits)


@pytest.mark.parametrize("shape", [(5,), (5, 5), (5, 8)])
def test_a_masked_vector_of_another_shape_is_refused(shape):
    with pytest.raises(Malformed):
        Ring(48).unpack(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("threshold", [0, 1, 2, 6])
def test_terms_without_a_majority_are_refused(threshold):
    """Half of the members is not more than half; more than all is nobody."""
    with pytest.raises(MaskingMalformed):
        Terms("c", bytes(32), member_ids(4 if threshold == 2 else 5), threshold, 2, Ring(48), 1)


def test_terms_whose_sum_does_not_fit_are_refused():
    with pytest.raises(MaskingMalformed):
        Terms("c", bytes(32), member_ids(5), 3, 3, Ring(48), 2**45)


@given(st.integers(31, 300), st.binary(min_size=32, max_size=32))
def test_the_graph_is_regular_and_mutual(count, seed):
    ids = member_ids(count)
    graph = neighbourhoods(ids, seed)
    for one in ids:
        assert len(graph[one]) == degree(count)
        assert one not in graph[one]
        assert all(one in graph[peer] for peer in graph[one])


def test_another_seed_gives_another_graph():
    ids = member_ids(100)
    assert neighbourhoods(ids, bytes(32)) != neighbourhoods(ids, bytes([1] * 32))


@given(st.integers(2, 1000))
def test_shares_are_evaluated_by_more_than_half_of_their_holders(count):
    threshold = count // 2 + 1
    assert degree(count) + 1 >= holders_needed(count, threshold) > (degree(count) + 1) / 2


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_joined_parts_come_apart_again(parts):
    assert split(join(parts)) == parts


@given(st.binary(max_size=200))
def test_bytes_that_are_no_parts_are_refused(data):
    with contextlib.suppress(MaskingMalformed):
        assert join(split(data)) == data


def test_values_by_member_come_sorted_and_once():
    assert split_map(join_map({"b": b"2", "a": b"1"})) == {"a": b"1", "b": b"2"}
    for parts in ([b"b", b"1", b"a", b"2"], [b"a", b"1", b"a", b"2"], [b"a"], [b"\xff", b"1"]):
        with pytest.raises(MaskingMalformed):
            split_map(join(parts))
