"""Consents over real mutual TLS, between real nodes on loopback."""

import threading
import time

import grpc
import pytest

from consent.artefact import sign_as_subject
from consent.delivery import Delivery, Kind
from consent.events import sign_event
from consent.lifecycle import Event, State
from node.consents.client import GrpcCourier
from node.consents.service import OfferTerms, SignedGrant
from node.storage import subjects
from node.storage.subjects import Subject
from protocols.errors import Malformed
from protocols.keys import SigningKey
from protocols.v1.exchange_pb2 import ConsentDelivery
from protocols.v1.exchange_pb2_grpc import ConsentsStub
from tests.network import MEMBERS, Network, now_ms, open_network, person

KEY = SigningKey.from_seed(b"k" * 32)
PEOPLE = 700


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    with open_network(tmp_path_factory.mktemp("consents"), MEMBERS) as made:
        for node in made.nodes.values():
            people = [Subject(person(n), f"sub_{n}", f"C{n}", now_ms()) for n in range(PEOPLE)]
            with node.database.write() as connection:
                subjects.replace_all(connection, people)
        yield made


def grants(network: Network, numbers) -> list[SignedGrant]:
    offer = network.node("bank-a").consents.offer(OfferTerms(holders=["payments"]))
    return [
        SignedGrant(
            person(n), sign_as_subject(offer.artefact(person(n), KEY.verify_key.bytes), KEY)
        )
        for n in numbers
    ]


def test_consents_granted_at_a_bank_are_kept_by_the_holder_and_withdrawn_there_at_once(network):
    bank, holder = network.node("bank-a"), network.node("payments")
    recorded = bank.consents.record_many(grants(network, range(PEOPLE)))
    report = bank.consents.push_pending()
    assert (report.accepted, report.refused, report.unreachable) == (PEOPLE, {}, {})
    assert holder.consents.counts() == {State.ACTIVE: PEOPLE}

    consent_id = recorded[0].consent_id
    said = sign_event(bank.consents.event(consent_id, Event.WITHDRAW), KEY)
    changed = bank.consents.withdraw(consent_id, said)
    assert list(changed.confirmed) == ["payments"]
    assert holder.consents.get(consent_id).terms.state is State.WITHDRAWN


def test_a_delivery_that_waits_for_its_answer_gets_it_without_more_to_come(network):
    bank = network.node("bank-a")
    (grant,) = grants(network, [1])
    (recorded,) = bank.consents.record_many([grant])
    data = bank.consents.get(recorded.consent_id).artefact
    delivery = Delivery(Kind.ARTEFACT, data)
    answered = threading.Event()

    def one_by_one():
        for _ in range(2):
            yield ConsentDelivery(delivery_id=delivery.delivery_id, artefact=data)
            assert answered.wait(10)
            answered.clear()

    stub = ConsentsStub(bank.channels.to_member("payments"))
    for answer in stub.Deliver(one_by_one(), timeout=20):
        assert answer.refusal == ""
        answered.set()


@pytest.mark.parametrize(
    "message",
    [
        ConsentDelivery(delivery_id="x"),
        ConsentDelivery(delivery_id="", artefact=b"{}"),
        ConsentDelivery(delivery_id="x" * 41, artefact=b"{}"),
        ConsentDelivery(delivery_id="x", withdrawal=b"{" * 40_000),
    ],
    ids=["empty", "no id", "long id", "large"],
)
def test_a_message_outside_its_grammar_ends_the_stream(network, message):
    stub = ConsentsStub(network.node("bank-a").channels.to_member("payments"))
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.Deliver(iter([message]), timeout=10))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_bank_cannot_deliver_what_another_bank_controls(network):
    (grant,) = grants(network, [2])
    bank, other = network.node("bank-a"), network.node("bank-b")
    (recorded,) = bank.consents.record_many([grant])
    data = bank.consents.get(recorded.consent_id).artefact
    courier = GrpcCourier(other.channels.to_member)
    (answer,) = courier.deliver("payments", [Delivery(Kind.ARTEFACT, data)])
    assert answer.refusal == "controller_mismatch"


def test_a_holder_that_does_not_answer_costs_a_push_its_deadline_and_no_more(network):
    class Silent:
        """A member that takes a connection and says nothing."""

        def __call__(self, member_id):
            return grpc.insecure_channel("127.0.0.1:9")

    courier = GrpcCourier(Silent(), base_timeout_s=0.3, delivery_timeout_s=0.0)
    started = time.monotonic()
    with pytest.raises(Exception, match="payments") as caught:
        list(courier.deliver("payments", [Delivery(Kind.EVENT, b"{}")]))
    assert caught.value.code in {"peer_unreachable", "deadline_exceeded"}
    assert time.monotonic() - started < 5


def test_an_acknowledgement_outside_its_grammar_is_refused(network):
    from node.consents.client import _from_proto
    from protocols.v1.exchange_pb2 import ConsentAcknowledgement

    with pytest.raises(Malformed):
        _from_proto(ConsentAcknowledgement(delivery_id="x", refusal="<script>"))
