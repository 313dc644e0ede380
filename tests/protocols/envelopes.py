"""A question from bank-a to payments and its answer, for tests to bend."""

from dataclasses import replace

from protocols.envelope import Query, new_request, seal_answer, verify_request
from protocols.v1.exchange_pb2 import (
    AnswerBody,
    RequestBody,
    SealedRequest,
    SignalStatus,
    SignalValue,
    SubjectAnswer,
)

NOW = 1_750_000_000_000
QUERIES = [Query(bytes([n]) * 32, bytes([n + 100]) * 32) for n in range(3)]
PRESENT = SignalStatus.SIGNAL_STATUS_PRESENT
NO_CONSENT = SignalStatus.SIGNAL_STATUS_NO_CONSENT


def ask(network, **changes):
    arguments = {
        "sender": "bank-a",
        "holder": "payments",
        "purpose": "score",
        "queries": QUERIES,
        "now_ms": NOW,
        "key": network.members["bank-a"].signing,
        "signals": ["paid_ratio_3m", "statement_balance"],
    }
    return new_request(**{**arguments, **changes})


def speaking(network, **suites):
    """The directory with other suites listed for some members (`bank_a` is bank-a)."""
    named = {name.replace("_", "-"): listed for name, listed in suites.items()}
    members = tuple(
        replace(one, suites=named.get(one.member_id, one.suites))
        for one in network.directory.members
    )
    return replace(network.directory, members=members)


def receive(network, message, **changes):
    arguments = {
        "own_id": "payments",
        "directory": network.directory,
        "now_ms": NOW,
        "peer_id": "bank-a",
    }
    return verify_request(message, **{**arguments, **changes})


def signal(name="paid_ratio_3m", status=PRESENT, value=0.5, as_of_ms=NOW):
    return SignalValue(signal=name, status=status, value=value, as_of_ms=as_of_ms)


def answer_to(request, **changes) -> AnswerBody:
    answers = [
        SubjectAnswer(consent_hash=QUERIES[0].consent_hash, signals=[signal()]),
        SubjectAnswer(consent_hash=QUERIES[1].consent_hash, refusal="consent_withdrawn"),
        SubjectAnswer(
            consent_hash=QUERIES[2].consent_hash,
            signals=[signal(status=NO_CONSENT, value=0), signal("statement_balance", value=-12.5)],
        ),
    ]
    fields = {
        "request_id": request.body.request_id,
        "holder": "payments",
        "answered_at_ms": NOW + 20,
        "catalogue_version": "1",
        "answers": answers,
    }
    return AnswerBody(**{**fields, **changes})


def seal(network, request, answer=None, *, by="payments"):
    verified = receive(network, request.message)
    answer = answer_to(verified) if answer is None else answer
    return seal_answer(verified, answer, network.members[by].signing)


def resigned(network, request, by="bank-a", **changes) -> SealedRequest:
    """The request with fields changed and signed again: what a malicious member can send."""
    body = RequestBody.FromString(request.message.body)
    for name, value in changes.items():
        if isinstance(value, list):
            body.ClearField(name)
            getattr(body, name).extend(value)
        else:
            setattr(body, name, value)
    data = body.SerializeToString()
    signature = network.members[by].signing.sign("request", data)
    return SealedRequest(body=data, signature=signature)
