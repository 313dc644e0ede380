"""Consents outlive the keys of the node that countersigned them."""

from dataclasses import replace

import pytest

from consent.lifecycle import State
from protocols.keys import SigningKey
from protocols.member_keys import EarlierKeys
from tests.node.consent_world import ConsentWorld


@pytest.fixture
def world(tmp_path):
    made = ConsentWorld(tmp_path)
    for member in made.members.values():
        member.enrol(1, 2)
    yield made
    made.close()


def rotate_signing(world, monkeypatch, *, ended):
    """bank-a signs with a new key; the directory lists the old one."""
    bank = world.member("bank-a")
    old, new = bank.signing, SigningKey.generate()
    entry_of = world._entry

    def entry(member):
        made = entry_of(member)
        if member.member_id != "bank-a":
            return made
        until = world.now_ms if ended else world.now_ms + 60_000
        earlier = EarlierKeys(old.verify_key.bytes, made.sealing_key, world.now_ms - 1, until)
        return replace(made, signing_key=new.verify_key.bytes, earlier_keys=(earlier,))

    monkeypatch.setattr(world, "_entry", entry)
    world.publish()
    bank.consents._desk._key = lambda: new
    bank.consents._inbox._key = lambda: new


@pytest.mark.parametrize("ended", [False, True], ids=["in the overlap", "after it"])
def test_a_consent_countersigned_under_an_earlier_key_is_accepted(world, monkeypatch, ended):
    world.grant("bank-a", 1, push=False)
    rotate_signing(world, monkeypatch, ended=ended)
    world.grant("bank-a", 2, push=False)
    report = world.member("bank-a").consents.push_pending()
    assert (report.accepted, report.refused) == (4, {})
    assert world.member("payments").consents.counts() == {State.ACTIVE: 2}


def test_a_consent_countersigned_by_a_stranger_is_refused(world, monkeypatch):
    world.member("bank-a").consents._desk._key = SigningKey.generate
    world.grant("bank-a", 1, push=False)
    report = world.member("bank-a").consents.push_pending()
    assert report.refused == {"signature_invalid": 2}


def test_an_acknowledgement_under_an_ended_key_is_not_believed(world, monkeypatch):
    holder = world.member("payments")
    rotated = SigningKey.generate()
    entry_of = world._entry

    def entry(member):
        made = entry_of(member)
        if member.member_id != "payments":
            return made
        earlier = EarlierKeys(made.signing_key, made.sealing_key, 0, world.now_ms)
        return replace(made, signing_key=rotated.verify_key.bytes, earlier_keys=(earlier,))

    monkeypatch.setattr(world, "_entry", entry)
    world.publish()
    assert holder.signing != rotated
    world.grant("bank-a", 1, push=False)
    report = world.member("bank-a").consents.push_pending()
    assert report.unreachable == {"payments": "signature_invalid"}
