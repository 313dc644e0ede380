"""A bank and two holders, and a request by hand."""

from collections.abc import Callable, Iterator, Sequence

import pytest

from consent.policy import Terms
from protocols.envelope import OutgoingRequest, Query, new_request, open_answer
from protocols.pseudonyms import query_token
from protocols.suites import MLKEM768_X25519
from protocols.v1.exchange_pb2 import AnswerBody, SealedAnswer
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
