"""What somebody can try with requests: each is refused with its code, logged once, without effect.

What the sealed bytes themselves withstand is in `tests/protocols/test_envelope.py`; these go
through real mutual TLS to a holder that keeps people.
"""

import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.exchange.service import ExchangeService
from node.network.rates import PeerOverRate, PeerRates
from node.network.rpc_errors import remote_errors
from node.network.transport import TransportLimits
from node.storage import consents, exchange
from protocols.envelope import AnswerMismatch
from protocols.errors import CredenceError
from protocols.suites import X25519, suite
from protocols.v1.exchange_pb2 import RequestBody, SealedRequest
from protocols.v1.exchange_pb2_grpc import ExchangeStub
from tests.exchange.conftest import PEOPLE
from tests.network import now_ms


def resealed(network, request, **fields):
    """The body with other fields, signed by its sender: what a malicious member can send."""
    body = RequestBody.FromString(request.message.body)
    for name, value in fields.items():
        setattr(body, name, value)
    data = body.SerializeToString(deterministic=True)
    key = network.node("bank-a").keys.signing
    return SealedRequest(body=data, signature=key.sign("request", data))


def uses(network, terms):
    with network.node("payments").database.read() as connection:
        return consents.terms_by_hash(connection, [terms.consent_hash])[terms.consent_hash].uses


def grant(network):
    return network.consent("bank-a", PEOPLE[:1], holders=["payments"])[0]


# Replayed, reordered


def test_a_replayed_request_gets_the_same_answer_and_no_second_entry(network, ask, stub):
    made = grant(network)
    request = ask([made])
    first = stub.Fetch(request.message, timeout=10)
    head = network.node("payments").audit.head()
    again = [stub.Fetch(request.message, timeout=10) for _ in range(3)]
    streamed = list(stub.FetchBatch(iter([request.message] * 3), timeout=10))
    assert all(answer == first for answer in [*again, *streamed])
    assert network.node("payments").audit.head() == head
    assert uses(network, made) == 1


def test_duplicates_in_flight_at_one_moment_have_one_effect(network, ask, stub):
    made = grant(network)
    request, before = ask([made]), network.node("payments").audit.head().size
    found, start = [], threading.Barrier(16)

    def call():
        start.wait()
        found.append(stub.Fetch(request.message, timeout=20).SerializeToString())

    threads = [threading.Thread(target=call) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert len(set(found)) == 1
    assert network.node("payments").audit.head().size == before + 1
    assert uses(network, made) == 1


def test_a_request_replayed_after_its_time_is_refused_though_its_nonce_is_forgotten(network, ask):
    made = grant(network)
    holder, request = network.node("payments").exchange, ask([made])
    holder.answer(request.message, "bank-a", now_ms())
    later = request.body.expires_at_ms + 60_001
    holder.forget(later)
    with pytest.raises(CredenceError) as caught:
        holder.answer(request.message, "bank-a", later)
    assert caught.value.code == "request_expired"
    assert uses(network, made) == 1


def test_requests_in_another_order_are_answered_each_for_itself(network, ask, stub, opened):
    requests = [ask([made]) for made in network.consent("bank-a", PEOPLE[:4], holders=["payments"])]
    answers = list(stub.FetchBatch(iter([one.message for one in requests[::-1]]), timeout=20))
    for request, answer in zip(requests, answers[::-1], strict=True):
        consent_hash = opened(request, answer).answers[0].consent_hash
        assert consent_hash == request.body.queries[0].consent_hash
    with pytest.raises(AnswerMismatch):
        opened(requests[0], answers[0])


# Re-addressed, truncated, flipped, swapped


def test_a_request_carried_to_another_holder_is_refused_there(network, ask, consent):
    other = ExchangeStub(network.node("bank-a").channels.to_member("public-records"))
    before = network.node("public-records").audit.head()
    with pytest.raises(CredenceError) as caught, remote_errors("public-records"):
        other.Fetch(ask([consent]).message, timeout=10)
    assert caught.value.code == "wrong_audience"
    assert network.node("public-records").audit.head() == before


def test_a_request_with_another_address_under_its_signature_is_refused(ask, consent, refused):
    body = RequestBody.FromString(ask([consent], holder="public-records").message.body)
    signature = ask([consent], holder="public-records").message.signature
    body.to = "payments"
    refused(SealedRequest(body=body.SerializeToString(), signature=signature), "signature_invalid")


def test_a_swapped_one_use_key_is_refused(ask, consent, refused):
    message = ask([consent]).message
    body = RequestBody.FromString(message.body)
    body.recipient_epk = suite(body.suite).generate()[1]
    changed = SealedRequest(body=body.SerializeToString(), signature=message.signature)
    refused(changed, "signature_invalid")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_no_damaged_request_is_answered(network, ask, consent, stub, data):
    message = ask([consent]).message
    field = data.draw(st.sampled_from(["body", "signature"]))
    whole = getattr(message, field)
    if data.draw(st.booleans()):
        damaged = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        flipped, bit = bytearray(whole), data.draw(st.integers(0, len(whole) * 8 - 1))
        flipped[bit // 8] ^= 1 << (bit % 8)
        damaged = bytes(flipped)
    setattr(message, field, damaged)
    before = network.node("payments").audit.head()
    with pytest.raises(CredenceError) as caught, remote_errors("payments"):
        stub.Fetch(message, timeout=10)
    assert caught.value.code in {
        "malformed",
        "signature_invalid",
        "suite_unsupported",
        "unknown_member",
        "sender_mismatch",
    }
    assert network.node("payments").audit.head() == before


# Too much, too deep, too weak


def test_a_deeply_nested_message_is_refused(refused):
    nested = b"\xa3\x06" * 30_000  # groups of an unknown field, each inside the one before
    refused(SealedRequest(body=nested, signature=bytes(64)), "malformed")


def test_a_weaker_suite_than_both_speak_is_refused(ask, consent, refused):
    refused(ask([consent], suite_number=X25519).message, "suite_downgrade")


def test_a_lowered_suite_number_is_refused(ask, consent, refused):
    message = ask([consent]).message
    body = RequestBody.FromString(message.body)
    body.suite, body.recipient_epk = X25519, body.recipient_epk[-32:]
    lowered = SealedRequest(body=body.SerializeToString(), signature=message.signature)
    refused(lowered, "signature_invalid")


def test_a_hybrid_key_with_a_curve_part_of_low_order_is_refused(network, ask, consent, refused):
    request = ask([consent])
    key = request.body.recipient_epk[:-32] + bytes(32)
    refused(resealed(network, request, recipient_epk=key), "malformed")


# Floods


@pytest.fixture
def slow_peers(network, monkeypatch):
    """Payments lets a peer ask about 50 subjects at once, and 10 a second."""
    limits = TransportLimits(subjects_per_s=10, burst_subjects=50, patience_s=0.3)
    monkeypatch.setattr(network.node("payments").exchange, "_rates", PeerRates(limits))


@pytest.mark.usefixtures("slow_peers")
def test_a_peer_over_its_rate_is_told_when_to_come_back(network, ask, consent, stub):
    before = uses(network, consent)
    refused = []
    for _ in range(60):
        try:
            with remote_errors("payments"):
                stub.Fetch(ask([consent]).message, timeout=10)
        except PeerOverRate as error:
            refused.append(error.retry_after_ms)
    assert refused
    assert all(0 < one <= 1_000 for one in refused)
    assert uses(network, consent) == before + 60 - len(refused)
    other = ExchangeStub(network.node("bank-b").channels.to_member("payments"))
    with pytest.raises(CredenceError) as answered, remote_errors("payments"):
        other.Fetch(ask([consent]).message, timeout=10)
    assert answered.value.code == "sender_mismatch"  # and not that it asks too fast


@pytest.mark.usefixtures("slow_peers")
def test_garbage_counts_against_its_senders_rate(stub):
    codes = []
    for _ in range(60):
        try:
            with remote_errors("payments"):
                stub.Fetch(SealedRequest(body=b"\xff", signature=bytes(64)), timeout=10)
        except CredenceError as error:
            codes.append(error.code)
    assert set(codes) == {"malformed", "peer_over_rate"}
    assert len(codes) == 60


def test_a_flood_of_one_peer_does_not_keep_another_from_being_served(network, ask, opened):
    made = network.consent("bank-b", PEOPLE[:30], holders=["payments"])
    mine = grant(network)
    over = threading.Event()
    flooded = []

    def flood(own):
        channel = network.node("bank-b").channels.to_member("payments")
        fetch = ExchangeStub(channel).Fetch
        number = 0
        while not over.is_set():
            request = ask(
                made, sender="bank-b", key=network.node("bank-b").keys.signing,
            )  # fmt: skip
            try:
                with remote_errors("payments"):
                    fetch(request.message, timeout=10)
            except CredenceError as error:
                own.append(error.code)
            number += 1

    threads = []
    for _ in range(48):
        flooded.append(own := [])
        threads.append(threading.Thread(target=flood, args=(own,)))
        threads[-1].start()
    stub = ExchangeStub(network.node("bank-a").channels.to_member("payments"))
    times = []
    try:
        for _ in range(10):
            request, began = ask([mine]), time.monotonic()
            answer = stub.Fetch(request.message, timeout=20)
            times.append(time.monotonic() - began)
            assert opened(request, answer).answers[0].refusal == ""
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert max(times) < 10
    assert set().union(*flooded) <= {"too_many_requests", "deadline_exceeded", "peer_unreachable"}


def test_a_caller_that_does_not_read_is_held_back(network, ask, stub, monkeypatch):
    made = network.consent("bank-a", PEOPLE, holders=["payments"])
    answered = []
    answer = ExchangeService.answer_soon

    async def counted(self, *arguments, **more):
        answered.append(1)
        return await answer(self, *arguments, **more)

    monkeypatch.setattr(ExchangeService, "answer_soon", counted)
    endless = iter(lambda: ask(made).message, None)
    stream = stub.FetchBatch(endless, timeout=60)
    try:
        next(stream)
        settled = held = -1
        deadline = time.monotonic() + 30
        while settled != held or held < 2:
            assert time.monotonic() < deadline, "it goes on answering"
            settled, held = held, len(answered)
            time.sleep(0.7)
        assert held < 2000  # what the connection's windows take, and no more
    finally:
        stream.cancel()
    with network.node("payments").database.read() as connection:
        assert len(exchange.of_consent(connection, made[0].consent_id)) <= len(answered)
