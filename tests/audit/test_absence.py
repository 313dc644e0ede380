"""That something is not in a sorted set is shown by its neighbours, and only then believed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.sorted_set import MemberPresent, SortedSet
from audit.verifier.absence import check_absent
from audit.verifier.receipt import ReceiptInvalid
from protocols.errors import Malformed

HASHES = st.binary(min_size=32, max_size=32)
SETS = st.sets(HASHES, max_size=70).map(sorted)


@given(SETS, HASHES)
def test_every_absent_member_is_shown_and_no_present_one(members: list[bytes], wanted: bytes):
    proven = SortedSet(members)
    if wanted in members:
        with pytest.raises(MemberPresent):
            proven.prove_absent(wanted)
        return
    check_absent(wanted, proven.root, len(members), proven.prove_absent(wanted).to_json())


@given(SETS.filter(lambda one: len(one) > 0), st.data())
def test_a_member_cannot_be_shown_absent(members: list[bytes], data: st.DataObject):
    wanted = data.draw(st.sampled_from(members))
    others = SortedSet([one for one in members if one != wanted])
    shown = others.prove_absent(wanted).to_json()
    with pytest.raises(ReceiptInvalid):
        check_absent(wanted, SortedSet(members).root, len(members), shown)


def number(value: int) -> bytes:
    return value.to_bytes(32, "big")


MEMBERS = [number(10 * one) for one in range(1, 9)]
SET = SortedSet(MEMBERS)


def shown(wanted: int) -> dict[str, Any]:
    return SET.prove_absent(number(wanted)).to_json()


def test_neighbours_that_are_not_adjacent_show_nothing():
    gap = {"below": shown(15)["below"], "above": shown(35)["above"]}
    with pytest.raises(ReceiptInvalid):
        check_absent(number(25), SET.root, 8, gap)


@pytest.mark.parametrize("side", ["below", "above"])
def test_one_neighbour_in_the_middle_is_not_enough(side: str):
    with pytest.raises(ReceiptInvalid):
        check_absent(number(15), SET.root, 8, shown(15) | {side: None})


def test_an_end_is_only_an_end():
    with pytest.raises(ReceiptInvalid):
        check_absent(number(85), SET.root, 9, shown(85))
    with pytest.raises(ReceiptInvalid):
        check_absent(number(5), SET.root, 8, {"below": None, "above": None})
    with pytest.raises(ReceiptInvalid):
        check_absent(number(5), SET.root, 0, {"below": None, "above": None})


@pytest.mark.parametrize("broken", [None, 7, {}, {"below": 1, "above": None}, {"below": None}])
def test_what_is_no_absence_is_refused(broken: Any):
    with pytest.raises(Malformed):
        check_absent(number(5), SET.root, 8, broken)
