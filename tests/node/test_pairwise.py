"""Pairwise keys: the same on both sides, others for every other pair and epoch."""

from dataclasses import replace

import pytest

from node.network.pairwise import PairKeys
from protocols.directory import Directory, MemberEntry, UnknownMember
from protocols.errors import InvalidInput
from protocols.keys import SealingKey, SigningKey

SEALING = {name: SealingKey.generate() for name in ("bank-a", "bank-b", "payments")}


def entry(name, sealing):
    return MemberEntry(
        member_id=name,
        name=name,
        role="bank",
        licence="",
        contact="",
        holds=(),
        signing_key=SigningKey.generate().verify_key.bytes,
        sealing_key=sealing.public,
        certificate_sha256=bytes(32),
        endpoint=None,
        status="active",
        joined_at_ms=0,
    )


class Held:
    """A directory that changes."""

    def __init__(self):
        members = tuple(entry(name, SEALING[name]) for name in sorted(SEALING))
        self.directory = Directory(1, 0, 1, members, bytes(32))

    def __call__(self):
        return self.directory


@pytest.fixture
def held():
    return Held()


@pytest.fixture
def keys(held):
    return {name: PairKeys(name, lambda name=name: [SEALING[name]], held) for name in SEALING}


def test_both_sides_have_the_same_key(keys):
    assert keys["bank-a"].with_member("payments") == keys["payments"].with_member("bank-a")


def test_every_pair_and_epoch_has_its_own(keys, held):
    found = {keys[one].with_member(other) for one, other in
             [("bank-a", "bank-b"), ("bank-a", "payments"), ("bank-b", "payments")]}  # fmt: skip
    held.directory = replace(held.directory, version=2, epoch=2)
    found.add(keys["bank-a"].with_member("payments"))
    assert len(found) == 4


def test_an_earlier_epoch_can_be_named(keys, held):
    before = keys["bank-a"].with_member("payments")
    held.directory = replace(held.directory, version=2, epoch=2)
    assert keys["bank-a"].with_member("payments", 1) == before


def test_a_new_sealing_key_gives_a_new_pair_key(keys, held):
    before = keys["bank-a"].with_member("payments")
    members = tuple(
        replace(one, sealing_key=SealingKey.generate().public)
        if one.member_id == "payments"
        else one
        for one in held.directory.members
    )
    held.directory = replace(held.directory, version=2, members=members)
    assert keys["bank-a"].with_member("payments") != before


def test_there_is_none_with_a_stranger_or_with_oneself(keys):
    with pytest.raises(UnknownMember):
        keys["bank-a"].with_member("nobody")
    with pytest.raises(InvalidInput):
        keys["bank-a"].with_member("bank-a")
