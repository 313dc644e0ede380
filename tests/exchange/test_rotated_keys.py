"""Exchanges go on while keys are replaced, whoever has heard of it already."""

from dataclasses import replace

import pytest

from node.keystore import SETTLING_MS
from protocols.member_keys import EarlierKeys
from tests.exchange.conftest import BALANCE
from tests.network import MEMBERS, now_ms, open_network, person

HOUR_MS = 3_600_000
PEOPLE = [person(number) for number in range(6)]


@pytest.fixture
def network(tmp_path):
    with open_network(tmp_path, MEMBERS[:3]) as opened:
        opened.enrol_many("payments", dict.fromkeys(PEOPLE, BALANCE))
        yield opened


def rotate(network, member_id, *, overlap_ms=HOUR_MS):
    """Give a member new keys; nobody else knows until the next directory."""
    node, entry = network.node(member_id), network.entries[member_id]
    with node.keys.file.locked():
        pair = node.keys.prepare()
    earlier = EarlierKeys(entry.signing_key, entry.sealing_key, now_ms(), now_ms() + overlap_ms)
    network.entries[member_id] = replace(
        entry,
        signing_key=pair.public,
        sealing_key=pair.sealing.public,
        earlier_keys=(earlier, *entry.earlier_keys),
    )


def publish_to(network, *member_ids):
    documents = network.documents()
    for member_id in member_ids:
        network.node(member_id).documents.install(*documents)


def later(network, ms, *member_ids):
    for member_id in member_ids:
        network.node(member_id).keys._clock = lambda: now_ms() + ms


def answered(network, consents):
    report = network.node("bank-a").fetcher.fetch(consents, purpose="score", deadline_s=20)
    (holder,) = report.holders
    assert holder.error == ""
    return holder.answered


@pytest.mark.parametrize("rotated", [("bank-a",), ("payments",), ("bank-a", "payments")])
@pytest.mark.parametrize("informed", [("bank-a",), ("payments",), ("bank-a", "payments")])
def test_a_young_key_disturbs_nobody_whoever_has_heard_of_it(network, rotated, informed):
    consents = network.consent("bank-a", PEOPLE, holders=["payments"])
    for member_id in rotated:
        rotate(network, member_id)
    publish_to(network, *informed)
    assert answered(network, consents) == len(PEOPLE)


@pytest.mark.parametrize("rotated", [("bank-a",), ("payments",), ("bank-a", "payments")])
def test_a_settled_key_is_used_when_everybody_has_heard_of_it(network, rotated):
    consents = network.consent("bank-a", PEOPLE, holders=["payments"])
    for member_id in rotated:
        rotate(network, member_id)
    network.publish()
    later(network, SETTLING_MS + 1000, *rotated)
    for member_id in rotated:
        node = network.node(member_id)
        assert node.keys.signing.verify_key.bytes == network.entries[member_id].signing_key
    assert answered(network, consents) == len(PEOPLE)


def test_a_settled_key_and_an_unsettled_one_understand_each_other(network):
    consents = network.consent("bank-a", PEOPLE, holders=["payments"])
    rotate(network, "bank-a")
    rotate(network, "payments")
    network.publish()
    later(network, SETTLING_MS + 1000, "bank-a")
    assert answered(network, consents) == len(PEOPLE)


def test_after_the_overlap_exchanges_rest_on_the_new_keys_alone(network):
    consents = network.consent("bank-a", PEOPLE, holders=["payments"])
    rotate(network, "bank-a", overlap_ms=0)
    network.publish()
    bank = network.node("bank-a")
    with bank.keys.file.locked():
        bank.keys.promote()
        assert len(bank.keys.destroy_ended()) == 1
    assert len(network.node("payments").pair_keys.candidates("bank-a")) == 1
    assert answered(network, consents) == len(PEOPLE)
