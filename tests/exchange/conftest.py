"""A bank and two holders, and a request by hand."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import pytest
import structlog
from google.protobuf.message import DecodeError

from consent.policy import Terms
from node.network.rpc_errors import remote_errors
from protocols.envelope import OutgoingRequest, Query, new_request, open_answer
from protocols.errors import CredenceError
from protocols.pseudonyms import query_token
from protocols.suites import MLKEM768_X25519
from protocols.v1.exchange_pb2 import AnswerBody, RequestBody, SealedAnswer, SealedRequest
from protocols.v1.exchange_pb2_grpc import ExchangeStub
from tests.network import Network, now_ms, open_network, person

PEOPLE = [person(number) for number in range(40)]
BALANCE = {"statement_balance": (1, 120.5), "unpaid_months_6m": (2, 0.0)}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with open_network(tmp_path_factory.mktemp("network")) as opened:
        opened.enrol_many("payments", dict.fromkeys(PEOPLE, BALANCE))
        yield opened


@pytest.fixture
def ask(network: Network) -> Callable[..., OutgoingRequest]:
    """Make a request of bank-a to payments; any argument of `new_request` may be replaced."""

    def make(consents: Sequence[Terms], **changed: object) -> OutgoingRequest:
        bank = network.node("bank-a")
        pair_key = bank.pair_keys.with_member("payments")
        asked: dict[str, object] = {
            "sender": "bank-a",
            "holder": "payments",
            "purpose": "score",
            "queries": [
                Query(one.consent_hash, query_token(pair_key, one.pseudonym, one.consent_hash))
                for one in consents
            ],
            "now_ms": now_ms(),
            "key": bank.keys.signing,
            "suite_number": MLKEM768_X25519,
        }
        return new_request(**(asked | changed))  # type: ignore[arg-type]

    return make


@pytest.fixture
def opened(network: Network) -> Callable[[OutgoingRequest, SealedAnswer], AnswerBody]:
    """Open an answer as bank-a would."""

    def open_(request: OutgoingRequest, answer: SealedAnswer) -> AnswerBody:
        return open_answer(request, answer, network.node("bank-a").documents.directory())

    return open_


@pytest.fixture(scope="module")
def consent(network: Network) -> Terms:
    """Of the first person, to bank-a, at payments."""
    return network.consent("bank-a", PEOPLE[:1], holders=["payments"])[0]


@pytest.fixture
def stub(network: Network) -> ExchangeStub:
    """Bank-a's, to payments."""
    return ExchangeStub(network.node("bank-a").channels.to_member("payments"))


@pytest.fixture
def refused(network: Network, stub: ExchangeStub) -> Callable[..., None]:
    """Send a request; it must be refused with `code`, logged once, and change nothing."""

    def check(message: SealedRequest, code: str, *, person: bytes = PEOPLE[0]) -> None:
        payments = network.node("payments")
        before = payments.audit.head()
        with (
            structlog.testing.capture_logs() as logs,
            pytest.raises(CredenceError) as caught,
            remote_errors("payments"),
        ):
            stub.Fetch(message, timeout=10)
        assert caught.value.code == code
        assert payments.audit.head() == before
        assert [entry for entry in logs if entry["event"] == "rpc.refused"] == [
            {
                "event": "rpc.refused",
                "log_level": "info",
                "method": "/credence.v1.Exchange/Fetch",
                "code": code,
            }
        ]
        told = json.dumps(logs) + str(caught.value)
        assert person.hex() not in told
        with suppress(DecodeError):
            body = RequestBody.FromString(message.body)
            assert all(query.token.hex() not in told for query in body.queries)

    return check
