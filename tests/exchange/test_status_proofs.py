"""Status lists over real mutual TLS: asked for when a request needs one, and a minute's end."""

import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from node.consents.status_rpc import GrpcStatusSource
from node.network.rpc_errors import remote_errors
from node.storage import exchange, statuses
from protocols.envelope import open_answer
from protocols.errors import CredenceError, Malformed
from protocols.v1.exchange_pb2_grpc import ExchangeStub
from protocols.v1.status_pb2 import MissedRequest, StatusListRequest
from protocols.v1.status_pb2_grpc import ConsentStatusStub
from tests.granting import grant, know, request, withdraw
from tests.network import MEMBERS, open_network, person
from tests.relay.world import HIDDEN, open_world

ROOT = Path(__file__).parents[2]
LIFE_S = 2.0
SHORT = [replace(one, options={"status_life_s": LIFE_S}) for one in (MEMBERS[0], MEMBERS[2])]
ALL = ("bank-a", "payments")


@pytest.fixture
def network(tmp_path):
    with open_network(tmp_path, SHORT) as opened:
        know(opened, ALL, range(1, 20))
        opened.enrol_many("payments", {person(n): {"statement_balance": (1, 1.5)} for n in (1, 2)})
        yield opened


def stub_of(network, holder="payments"):
    return ExchangeStub(network.node("bank-a").channels.to_member(holder))


def refusal(network, stub, terms, holder="payments"):
    """What a holder answers to a new question about one consent."""
    asked = request(network, terms, by="bank-a", holder=holder)
    with remote_errors(holder):
        answer = stub.Fetch(asked.message, timeout=20)
    body = open_answer(asked, answer, network.node("bank-a").documents.directory())
    return body.answers[0].refusal


def test_a_consent_just_delivered_is_served_at_the_first_request(network):
    (terms,) = grant(network, "bank-a", [1], ["payments"])
    assert refusal(network, stub_of(network), terms) == ""


def test_a_list_that_ran_out_is_renewed_when_a_request_needs_it(network):
    (terms,) = grant(network, "bank-a", [1], ["payments"])
    stub = stub_of(network)
    assert refusal(network, stub, terms) == ""
    time.sleep(LIFE_S)
    assert refusal(network, stub, terms) == ""


def test_the_next_call_after_a_withdrawal_is_refused_and_kept_answers_are_gone(network):
    (terms, other) = grant(network, "bank-a", [1, 2], ["payments"])
    stub = stub_of(network)
    asked = request(network, terms, by="bank-a", holder="payments")
    stub.Fetch(asked.message, timeout=20)
    assert refusal(network, stub, other) == ""
    changed = withdraw(network, "bank-a", terms)
    assert list(changed.confirmed) == ["payments"]
    assert refusal(network, stub, terms) == "consent_withdrawn"
    with pytest.raises(CredenceError) as caught, remote_errors("payments"):
        stub.Fetch(asked.message, timeout=20)
    assert caught.value.code == "answer_withdrawn"
    standing = {one.member_id: one for one in parties(network, terms)}
    assert standing["payments"].deletion.answers == 1
    with network.node("payments").database.read() as connection:
        body = asked.body
        kept = exchange.claimed(connection, "bank-a", [body.nonce])[body.nonce]
    assert kept.answer == b""
    assert refusal(network, stub, other) == ""


def parties(network, terms):
    return network.node("bank-a").statuses.parties.parties(terms.consent_id)


def test_a_holder_that_cannot_reach_the_consent_node_refuses_when_the_proof_ends(network):
    (terms,) = grant(network, "bank-a", [1], ["payments"])
    stub = stub_of(network)
    assert refusal(network, stub, terms) == ""
    network.servers["bank-a"].stop(grace_s=0)
    time.sleep(LIFE_S)
    assert refusal(network, stub, terms) == "status_stale"
    with network.node("payments").database.read() as connection:
        (_, record) = exchange.of_consent(connection, terms.consent_id)
    assert record.refusal == "status_stale"


def test_many_requests_at_one_moment_ask_for_one_list(network):
    (terms,) = grant(network, "bank-a", [1], ["payments"], max_uses=100)
    stub = stub_of(network)
    assert refusal(network, stub, terms) == ""
    publisher = network.node("bank-a").statuses.publisher
    asked, answer = [], publisher.answer

    def counted(*arguments):
        asked.append(arguments)
        return answer(*arguments)

    publisher.answer = counted
    time.sleep(LIFE_S)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(refusal(network, stub, terms)))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [""] * 16
    assert len(asked) == 1


@pytest.mark.parametrize("nonce", [b"", bytes(15), bytes(17)])
def test_a_question_without_a_nonce_is_refused(network, nonce):
    stub = ConsentStatusStub(network.node("payments").channels.to_member("bank-a"))
    with pytest.raises(Malformed), remote_errors("bank-a"):
        stub.List(StatusListRequest(nonce=nonce), timeout=10)


@pytest.mark.parametrize("hashes", [[], [bytes(31)], [bytes(32)] * 257])
def test_a_question_for_what_was_missed_names_consents(network, hashes):
    stub = ConsentStatusStub(network.node("payments").channels.to_member("bank-a"))
    with pytest.raises(Malformed), remote_errors("bank-a"):
        stub.Missed(MissedRequest(consent_hashes=hashes), timeout=10)


def test_what_was_missed_travels_whole(network):
    (terms,) = grant(network, "bank-a", [1], ["payments"])
    withdraw(network, "bank-a", terms)
    source = GrpcStatusSource(network.node("payments").channels.to_member)
    (event,) = source.missed("bank-a", [terms.consent_hash], 10)
    (answer,) = network.node("payments").consents.receive("bank-a", [event])
    assert answer.accepted


def test_a_consent_node_behind_the_relay_is_asked_through_it(tmp_path):
    with open_world(tmp_path, people=20) as world:
        network = world.network
        (terms,) = grant(network, HIDDEN, [3], ["bank-a"])
        keeper = network.node("bank-a").statuses.keeper
        keeper.ensure(HIDDEN)
        with network.node("bank-a").database.read() as connection:
            proof = statuses.proofs(connection, [HIDDEN])[HIDDEN]
            assert statuses.doubted(connection, [terms.consent_hash]) == set()
        assert proof.entries == 1


# -- a process of its own, in real time


@contextmanager
def running_holder(network):
    """Payments as it is run, in a process of its own; the directory names its port."""
    command = [sys.executable, "-m", "tests.exchange.running_holder"]
    with subprocess.Popen(
        [*command, str(network.root / "payments")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            move(network, int(process.stdout.readline()))
            yield
        finally:
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def move(network, port):
    entry = network.entries["payments"]
    network.entries["payments"] = replace(entry, endpoint=f"127.0.0.1:{port}")
    network.publish()


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.timeout(120)
def test_a_running_holder_parted_from_everyone_refuses_within_the_life_of_its_list(tmp_path):
    with open_network(tmp_path, SHORT, serve=False) as network:
        know(network, ALL, [1])
        network.enrol("payments", person(1), {"statement_balance": (1, 1.5)})
        network.servers["bank-a"].start()
        with running_holder(network):
            (terms,) = grant(network, "bank-a", [1], ["payments"], max_uses=500)
            stub = stub_of(network)
            until = time.monotonic() + 3 * LIFE_S
            while time.monotonic() < until:  # its background work keeps it fresh
                assert refusal(network, stub, terms) == ""
                time.sleep(0.2)
            # Neither does a push arrive, nor does the holder reach its consent node; the line on
            # which it is asked is all that is left.
            move(network, 1)
            network.servers["bank-a"].stop(grace_s=0)
            begun = time.monotonic()
            assert withdraw(network, "bank-a", terms).pending == ["payments"]
            found, took_s = "", 0.0
            while not found and took_s < 4 * LIFE_S:
                asked_at = time.monotonic()
                found = refusal(network, stub, terms)
                took_s = asked_at - begun
                time.sleep(0.02)
            assert found == "status_stale"
            assert took_s <= LIFE_S
