"""What a holder refuses before it looks at any consent: each with its code, logged once."""

import pytest

from node.network.rpc_errors import remote_errors
from node.storage import exchange
from protocols.envelope import Query
from protocols.errors import CredenceError
from protocols.keys import SigningKey
from protocols.v1.exchange_pb2 import RequestBody, SealedRequest
from tests.network import now_ms


def changed(request, **fields):
    """The body with other fields, under the old signature."""
    body = RequestBody.FromString(request.message.body)
    for name, value in fields.items():
        setattr(body, name, value)
    return SealedRequest(body=body.SerializeToString(), signature=request.message.signature)


def test_a_tampered_body_is_refused(ask, consent, refused):
    refused(changed(ask([consent]), purpose="train"), "signature_invalid")


def test_a_request_signed_by_another_key_is_refused(ask, consent, refused):
    refused(ask([consent], key=SigningKey.generate()).message, "signature_invalid")


def test_a_request_addressed_to_another_holder_is_refused(ask, consent, refused):
    refused(ask([consent], holder="public-records").message, "wrong_audience")


def test_another_members_request_over_this_connection_is_refused(network, ask, consent, refused):
    theirs = ask([consent], sender="bank-b", key=network.node("bank-b").keys.signing)
    refused(theirs.message, "sender_mismatch")


def test_a_request_of_a_stranger_is_refused(ask, consent, refused):
    refused(ask([consent], sender="nobody").message, "unknown_member")


def test_a_stale_request_is_refused(ask, consent, refused):
    refused(ask([consent], now_ms=now_ms() - 100_000).message, "request_expired")


def test_a_request_from_the_future_is_refused(ask, consent, refused):
    refused(ask([consent], now_ms=now_ms() + 100_000).message, "request_from_future")


def test_a_request_of_another_suite_is_refused(ask, consent, refused):
    refused(changed(ask([consent]), suite=9), "suite_unsupported")


def test_a_request_that_asks_about_one_consent_twice_is_refused(ask, consent, refused):
    request = ask([consent])
    body = RequestBody.FromString(request.message.body)
    body.queries.append(body.queries[0])
    refused(SealedRequest(body=body.SerializeToString(), signature=b"\0" * 64), "malformed")


def test_a_used_nonce_under_other_bytes_is_refused(network, ask, consent, stub, refused):
    first = ask([consent])
    stub.Fetch(first.message, timeout=10)
    body = RequestBody.FromString(first.message.body)
    body.request_id = "req_another"
    data = body.SerializeToString(deterministic=True)
    key = network.node("bank-a").keys.signing
    refused(SealedRequest(body=data, signature=key.sign("request", data)), "nonce_reused")


def test_a_one_use_key_of_low_order_is_refused(network, ask, consent, refused):
    body = RequestBody.FromString(ask([consent]).message.body)
    body.recipient_epk = body.recipient_epk[:-32] + bytes(32)
    data = body.SerializeToString(deterministic=True)
    key = network.node("bank-a").keys.signing
    refused(SealedRequest(body=data, signature=key.sign("request", data)), "malformed")


def test_garbage_is_refused(network, stub):
    with pytest.raises(CredenceError) as caught, remote_errors("payments"):
        stub.Fetch(SealedRequest(body=b"\xff" * 100, signature=b"\0" * 64), timeout=10)
    assert caught.value.code == "malformed"


def test_an_oversize_message_is_refused_before_it_is_parsed(network, stub):
    with pytest.raises(CredenceError) as caught, remote_errors("payments"):
        stub.Fetch(SealedRequest(body=bytes(300 * 1024)), timeout=10)
    assert caught.value.code == "message_refused"


def test_a_body_beyond_its_own_limit_is_refused(network, stub):
    with pytest.raises(CredenceError) as caught, remote_errors("payments"):
        stub.Fetch(SealedRequest(body=bytes(65 * 1024)), timeout=10)
    assert caught.value.code == "malformed"


def test_a_refused_request_ends_a_batch_and_those_before_it_stand(network, ask, consent, stub):
    good, bad = ask([consent]), ask([consent], now_ms=now_ms() - 100_000)
    answers = []
    with pytest.raises(CredenceError) as caught, remote_errors("payments"):
        answers.extend(
            answer.request_hash
            for answer in stub.FetchBatch(iter([good.message, bad.message]), timeout=10)
        )
    assert caught.value.code == "request_expired"
    with network.node("payments").database.read() as connection:
        assert exchange.of_consent(connection, consent.consent_id)[-1].request_id == (
            good.body.request_id
        )


def test_a_query_needs_whole_hashes(ask, consent):
    with pytest.raises(CredenceError):
        ask([consent], queries=[Query(b"short", bytes(32))])
