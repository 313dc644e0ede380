"""What a holder checks of a sealed question, by number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.directory import MemberNotActive, UnknownMember
from protocols.envelope import (
    Limits,
    Query,
    RequestExpired,
    RequestFromFuture,
    SenderMismatch,
    SuiteDowngrade,
    SuiteUnsupported,
    WrongAudience,
)
from protocols.errors import CredenceError, InvalidInput, Malformed, SignatureInvalid
from protocols.v1.exchange_pb2 import RequestBody, SealedRequest, SubjectQuery
from tests.protocols.envelopes import NOW, QUERIES, ask, receive, resigned, speaking


def test_check_1_a_large_body_is_refused_before_it_is_parsed(network):
    message = SealedRequest(body=bytes(Limits().max_request_bytes + 1), signature=bytes(64))
    with pytest.raises(Malformed, match="at most"):
        receive(network, message)


@given(st.binary(max_size=200), st.binary(max_size=80))
def test_check_2_random_bytes_raise_nothing_but_our_own_error(network, body, signature):
    with pytest.raises(CredenceError):
        receive(network, SealedRequest(body=body, signature=signature))


def test_check_3_another_suite_is_refused(network):
    request = ask(network)
    for number in (0, 3, 2**32 - 1):
        with pytest.raises(SuiteUnsupported):
            receive(network, resigned(network, request, suite=number))


def test_check_8_a_weaker_suite_than_both_speak_is_refused(network):
    both = speaking(network, bank_a=(1, 2), payments=(1, 2))
    with pytest.raises(SuiteDowngrade):
        receive(network, ask(network).message, directory=both)
    receive(network, ask(network, suite_number=2).message, directory=both)
    for one_sided in ({"bank_a": (1, 2)}, {"payments": (1, 2)}):
        receive(network, ask(network).message, directory=speaking(network, **one_sided))


def test_check_8_a_suite_that_the_holder_does_not_list_is_refused(network):
    message = ask(network, suite_number=2).message
    with pytest.raises(SuiteUnsupported):
        receive(network, message, directory=speaking(network, bank_a=(1, 2), payments=(1,)))


QUERY = SubjectQuery(consent_hash=bytes(32), token=bytes(32))


@pytest.mark.parametrize(
    "changes",
    [
        {"request_id": ""},
        {"request_id": "a" * 41},
        {"request_id": "a/b"},
        {"from": ""},
        {"from": "Bank A"},
        {"to": "pay|ments"},
        {"nonce": bytes(15)},
        {"nonce": bytes(17)},
        {"recipient_epk": bytes(31)},
        {"recipient_epk": b""},
        {"purpose": ""},
        {"purpose": "marketing"},
        {"issued_at_ms": -1},
        {"expires_at_ms": NOW},
        {"expires_at_ms": NOW - 1},
        {"expires_at_ms": NOW + 60_001},
        {"expires_at_ms": 2**63 - 1},
        {"queries": []},
        {"queries": [QUERY, QUERY]},
        {"queries": [SubjectQuery(consent_hash=bytes(31), token=bytes(32))]},
        {"queries": [SubjectQuery(consent_hash=bytes(32), token=b"")]},
        {"signals": ["paid_ratio_3m", "paid_ratio_3m"]},
        {"signals": ["Paid Ratio"]},
        {"signals": [f"s{n}" for n in range(129)]},
    ],
    ids=str,
)
def test_check_4_a_request_of_another_shape_is_refused_though_its_signature_is_good(
    network, changes
):
    receive(network, resigned(network, ask(network)))
    with pytest.raises(Malformed):
        receive(network, resigned(network, ask(network), **changes))


def test_check_4_256_subjects_are_the_most(network):
    queries = [Query(n.to_bytes(32, "big"), bytes(32)) for n in range(257)]
    receive(network, ask(network, queries=queries[:256]).message)
    subjects = [SubjectQuery(consent_hash=q.consent_hash, token=q.token) for q in queries]
    with pytest.raises(Malformed):
        receive(network, resigned(network, ask(network), queries=subjects))


def test_check_5_only_active_members_ask_and_over_their_own_connection(network):
    request = ask(network)
    with pytest.raises(UnknownMember):
        receive(network, resigned(network, request, **{"from": "bank-z"}))
    with pytest.raises(MemberNotActive):
        receive(network, request.message, directory=network.with_status("bank-a", "suspended"))
    with pytest.raises(SenderMismatch):
        receive(network, request.message, peer_id="bank-b")
    receive(network, request.message, peer_id=None)


def test_check_6_a_request_signed_by_another_member_is_refused(network):
    with pytest.raises(SignatureInvalid):
        receive(network, resigned(network, ask(network), by="bank-b"))


def test_check_6_no_field_of_a_request_can_be_changed_without_the_key(network):
    request = ask(network)
    changes = {
        "suite": 1,
        "request_id": "req_other",
        "from": "bank-b",
        "to": "bank-b",
        "issued_at_ms": NOW + 1,
        "expires_at_ms": NOW + 2,
        "nonce": bytes(16),
        "recipient_epk": bytes(32),
        "purpose": "train",
        "queries": [QUERY],
        "signals": [],
    }
    assert set(changes) == {field.name for field in RequestBody.DESCRIPTOR.fields}
    for name, value in changes.items():
        forged = resigned(network, request, **{name: value})
        forged.signature = request.message.signature
        if forged.body == request.message.body:
            assert name == "suite"  # the only value there is
            continue
        with pytest.raises(SignatureInvalid):
            receive(network, forged, peer_id=None)


@given(st.data())
def test_check_6_no_bit_of_a_request_can_be_flipped(network, data):
    message = SealedRequest.FromString(REQUEST_BYTES.setdefault("it", _bytes_of(network)))
    field = data.draw(st.sampled_from(["body", "signature"]))
    changed = bytearray(getattr(message, field))
    bit = data.draw(st.integers(0, len(changed) * 8 - 1))
    changed[bit // 8] ^= 1 << (bit % 8)
    setattr(message, field, bytes(changed))
    with pytest.raises(CredenceError):
        receive(network, message, peer_id=None)


REQUEST_BYTES: dict[str, bytes] = {}


def _bytes_of(network) -> bytes:
    return ask(network).message.SerializeToString()


def test_check_7_a_request_to_somebody_else_is_refused(network):
    with pytest.raises(WrongAudience):
        receive(network, ask(network, holder="bank-b").message)


def test_check_9_clocks_may_differ_by_a_minute_and_no_more(network):
    request = ask(network, lifetime_ms=60_000)
    for now in (NOW - 60_000, NOW, NOW + 120_000):
        receive(network, request.message, now_ms=now)
    with pytest.raises(RequestFromFuture):
        receive(network, request.message, now_ms=NOW - 60_001)
    with pytest.raises(RequestExpired):
        receive(network, request.message, now_ms=NOW + 120_001)


@pytest.mark.parametrize(
    "changes",
    [
        {"purpose": "marketing"},
        {"queries": []},
        {"queries": [QUERIES[0], QUERIES[0]]},
        {"lifetime_ms": 0},
        {"lifetime_ms": 60_001},
        {"holder": "Payments"},
        {"request_id": "a b"},
        {"limits": Limits(max_request_bytes=100)},
    ],
    ids=str,
)
def test_a_request_that_must_be_refused_is_not_made(network, changes):
    with pytest.raises(InvalidInput):
        ask(network, **changes)
