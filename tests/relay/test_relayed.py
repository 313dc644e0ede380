"""A member that accepts no connection answers as any other: through the relay."""

import time

import pytest

from consent.events import sign_event
from consent.lifecycle import Event, State
from node.network.rpc_errors import PeerUnreachable, remote_errors
from node.storage import exchange, signals
from protocols.directory import MemberNotActive, UnknownMember
from protocols.envelope import SuiteUnsupported
from protocols.v1.exchange_pb2 import SealedRequest
from protocols.v1.exchange_pb2_grpc import ExchangeStub
from tests.network import MEMBERS, now_ms, open_network, person
from tests.relay.world import HIDDEN, SUBJECT_KEY, open_world

BALANCE = {"statement_balance": (1, 120.5), "unpaid_months_6m": (2, 0.0)}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with open_world(tmp_path_factory.mktemp("relayed")) as opened:
        opened.network.enrol_many(HIDDEN, {person(n): BALANCE for n in range(3000)})
        yield opened


def stub(world, by="bank-a"):
    return ExchangeStub(world.network.node(by).routes.to_member(HIDDEN))


def test_signals_of_a_hidden_holder_arrive_and_both_sides_log_them(world):
    made = world.network.consent("bank-a", [person(0)], holders=[HIDDEN])
    report = world.fetch(made)
    assert (report.answered, report.complete) == (1, True)
    bank = world.network.node("bank-a")
    with bank.database.read() as connection:
        kept = signals.find(connection, person(0), HIDDEN, "score", now_ms())
        mine = exchange.of_consent(connection, made[0].consent_id)
    assert kept.signals["statement_balance"] == (1, 120.5)
    with world.network.node(HIDDEN).database.read() as connection:
        theirs = exchange.of_consent(connection, made[0].consent_id)
    assert [one.request_id for one in mine] == [one.request_id for one in theirs]


def test_thousands_of_subjects_come_in_one_call(world):
    people = [person(n) for n in range(2000)]
    made = world.network.consent("bank-a", people, holders=[HIDDEN])
    calls = len(world.relay.carried_calls)
    report = world.fetch(made, deadline_s=30)
    assert (report.answered, report.complete) == (2000, True)
    deadline = time.monotonic() + 2
    while len(world.relay.carried_calls) == calls and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(world.relay.carried_calls) == calls + 1


def test_holders_are_asked_directly_and_through_the_relay_side_by_side(world):
    made = world.network.consent("bank-a", [person(5)], holders=[HIDDEN, "public-records"])
    report = world.fetch(made)
    assert (report.asked, report.answered, report.complete) == (2, 2, True)


def test_consents_reach_a_hidden_holder_and_a_withdrawal_is_in_effect_there_at_once(world):
    bank, holder = world.network.node("bank-a"), world.network.node(HIDDEN)
    recorded = world.grant(7)
    assert bank.consents.push_pending().accepted == 1
    assert holder.consents.get(recorded.consent_id).terms.state is State.ACTIVE
    said = sign_event(bank.consents.event(recorded.consent_id, Event.WITHDRAW), SUBJECT_KEY)
    started = time.monotonic()
    changed = bank.consents.withdraw(recorded.consent_id, said)
    assert list(changed.confirmed) == [HIDDEN]
    assert time.monotonic() - started < 5
    assert holder.consents.get(recorded.consent_id).terms.state is State.WITHDRAWN


def test_an_error_arrives_as_the_class_that_was_raised_with_its_code(world):
    with pytest.raises(SuiteUnsupported, match=HIDDEN), remote_errors(HIDDEN):
        stub(world).Fetch(SealedRequest(), timeout=5)


def test_a_member_cannot_send_what_another_signed(world):
    made = world.network.consent("bank-a", [person(9)], holders=[HIDDEN])
    sent = []
    original = world.relay.there
    node = world.network.node("bank-a")
    request = _request(node, made)
    with pytest.raises(Exception, match="another sender") as caught, remote_errors(HIDDEN):
        stub(world, "bank-b").Fetch(request.message, timeout=5)
    assert caught.value.code == "sender_mismatch"
    assert (sent, world.relay.there) == ([], original)


def _request(node, consents):
    from protocols.envelope import Query, new_request
    from protocols.pseudonyms import query_token

    pair_key = node.pair_keys.with_member(HIDDEN)
    return new_request(
        sender=node.member_id,
        holder=HIDDEN,
        purpose="score",
        queries=[
            Query(one.consent_hash, query_token(pair_key, one.pseudonym, one.consent_hash))
            for one in consents
        ],
        now_ms=now_ms(),
        key=node.keys.signing,
    )


@pytest.mark.parametrize("status", ["suspended", "revoked"])
def test_a_callee_that_is_not_active_is_not_called(tmp_path, status):
    with open_world(tmp_path) as world:
        way = stub(world)
        world.network.change(HIDDEN, status=status)
        with pytest.raises(MemberNotActive):
            stub(world)
        with pytest.raises(MemberNotActive), remote_errors(HIDDEN):
            way.Fetch(SealedRequest(), timeout=5)


def test_a_suspended_caller_is_refused_by_the_holder_even_when_the_relay_lets_it_through(tmp_path):
    with open_world(tmp_path) as world:
        way = stub(world, "bank-b")
        # The holder knows; the relay and the caller do not.
        entry = world.network.entries["bank-b"]
        world.network.change("bank-b", status="suspended")
        world.network.entries["bank-b"] = entry
        caller = world.network.node("bank-b")
        with pytest.raises(MemberNotActive), remote_errors(HIDDEN):
            way.Fetch(SealedRequest(), timeout=5)
        assert caller.documents.directory().version == world.network.version


def test_without_its_line_a_hidden_member_is_unreachable_and_reachable_again_after(tmp_path):
    with open_world(tmp_path) as world:
        made = world.network.consent("bank-a", [person(1)], holders=[HIDDEN])
        world.lines.pop(HIDDEN).stop()
        (holder,) = world.fetch(made, deadline_s=3).holders
        assert holder.error == "peer_unreachable"
        world.attach(HIDDEN)
        assert world.fetch(made).complete


def test_a_relay_that_is_down_costs_hidden_members_only(tmp_path):
    with open_world(tmp_path) as world:
        made = world.network.consent("bank-a", [person(1)], holders=[HIDDEN, "public-records"])
        world.server.stop(0).wait()
        hidden, direct = world.fetch(made, deadline_s=3).holders
        assert (hidden.holder, hidden.error) == (HIDDEN, "peer_unreachable")
        assert (direct.answered, direct.complete) == (1, True)


def test_a_member_that_cannot_be_dialled_is_reached_through_its_line(tmp_path):
    with open_world(tmp_path, members=MEMBERS[:1] + MEMBERS[2:]) as world:
        network = world.network
        network.servers["public-records"].stop(grace_s=0)  # its endpoint stays in the directory
        made = network.consent("bank-a", [person(1)], holders=["public-records"])
        (down,) = world.fetch(made, deadline_s=3).holders
        assert down.error == "peer_unreachable"
        world.attach("public-records")
        assert world.fetch(made).complete
        started = time.monotonic()
        assert world.fetch(made).complete
        assert time.monotonic() - started < 0.8  # the way that failed is remembered


def test_nobody_is_called_that_nobody_knows(world):
    with pytest.raises(UnknownMember):
        world.network.node("bank-a").routes.to_member("nowhere")


def test_a_node_without_a_relay_in_reach_reports_the_member_as_unreachable(tmp_path):
    with open_network(tmp_path, MEMBERS[:1] + MEMBERS[2:3]) as network:
        network.servers[HIDDEN].stop(grace_s=0)
        way = network.node("bank-a").routes.to_member(HIDDEN)
        with pytest.raises(PeerUnreachable), remote_errors(HIDDEN):
            ExchangeStub(way).Fetch(SealedRequest(), timeout=5)
