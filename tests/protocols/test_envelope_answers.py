"""What the one who asked checks of a sealed answer, by number."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.directory import MemberNotActive
from protocols.envelope import AnswerMismatch, Limits, open_answer, seal_answer
from protocols.errors import CredenceError, InvalidInput, Malformed, SignatureInvalid
from protocols.v1.exchange_pb2 import SealedAnswer, SignalStatus, SubjectAnswer
from tests.protocols.envelopes import (
    NO_CONSENT,
    NOW,
    QUERIES,
    answer_to,
    ask,
    receive,
    resigned,
    seal,
    signal,
)


def test_check_1_a_large_answer_is_refused_before_it_is_opened(network):
    request = ask(network)
    message = SealedAnswer(request_hash=request.request_hash, sealed=bytes(600))
    with pytest.raises(Malformed, match="at most"):
        open_answer(request, message, network.directory, Limits(max_answer_bytes=512))


def test_check_2_an_answer_to_another_request_is_refused(network):
    request, other = ask(network), ask(network)
    with pytest.raises(AnswerMismatch):
        open_answer(request, seal(network, other), network.directory)


def test_check_3_an_answer_by_another_member_is_refused(network):
    request = ask(network)
    with pytest.raises(SignatureInvalid):
        open_answer(request, seal(network, request, by="bank-b"), network.directory)


def test_check_3_an_answer_by_a_member_that_was_suspended_is_refused(network):
    request = ask(network)
    with pytest.raises(MemberNotActive):
        open_answer(request, seal(network, request), network.with_status("payments", "revoked"))


def test_check_4_an_answer_moved_from_another_request_does_not_open(network):
    request, other = ask(network), ask(network)
    theirs = seal(network, other)
    # A malicious holder can sign what it likes, but not make the ciphertext mean another request.
    signature = network.members["payments"].signing.sign(
        "answer", request.request_hash + theirs.sealed
    )
    moved = SealedAnswer(
        request_hash=request.request_hash, sealed=theirs.sealed, signature=signature
    )
    with pytest.raises(SignatureInvalid):
        open_answer(request, moved, network.directory)
    with pytest.raises(SignatureInvalid):
        open_answer(replace(request, private_key=other.private_key), moved, network.directory)


@given(st.data())
def test_check_4_no_bit_of_an_answer_can_be_flipped(network, data):
    request, message = _sealed_pair(network)
    message = SealedAnswer.FromString(message.SerializeToString())
    field = data.draw(st.sampled_from(["request_hash", "sealed", "signature"]))
    changed = bytearray(getattr(message, field))
    bit = data.draw(st.integers(0, len(changed) * 8 - 1))
    changed[bit // 8] ^= 1 << (bit % 8)
    setattr(message, field, bytes(changed))
    with pytest.raises(CredenceError):
        open_answer(request, message, network.directory)
    # And with a holder that signs the changed bytes itself, the seal still holds.
    if field == "sealed":
        key = network.members["payments"].signing
        message.signature = key.sign("answer", request.request_hash + message.sealed)
        with pytest.raises(SignatureInvalid):
            open_answer(request, message, network.directory)


PAIRS: dict[str, tuple] = {}


def _sealed_pair(network):
    if "it" not in PAIRS:
        request = ask(network)
        PAIRS["it"] = (request, seal(network, request))
    return PAIRS["it"]


@given(st.binary(max_size=120))
def test_random_answers_raise_nothing_but_our_own_error(network, sealed):
    request, _sealed = _sealed_pair(network)
    key = network.members["payments"].signing
    message = SealedAnswer(
        request_hash=request.request_hash,
        sealed=sealed,
        signature=key.sign("answer", request.request_hash + sealed),
    )
    with pytest.raises(SignatureInvalid):
        open_answer(request, message, network.directory)


@given(plaintext=st.binary(max_size=100), padded=st.booleans())
def test_checks_5_and_6_a_holder_that_seals_nonsense_raises_nothing_but_our_own_error(
    network, plaintext, padded
):
    request, _sealed = _sealed_pair(network)
    data = (plaintext + b"\x80").ljust(512, b"\0") if padded else plaintext
    with pytest.raises((Malformed, AnswerMismatch)):
        open_answer(request, _sealed_by_hand(network, request, data), network.directory)


def _sealed_by_hand(network, request, plaintext: bytes) -> SealedAnswer:
    from cryptography.hazmat.primitives import hpke
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

    suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    info = b"credence/1|" + request.request_hash + b"payments" + b"bank-a"
    epk = X25519PublicKey.from_public_bytes(request.body.recipient_epk)
    sealed = suite.encrypt(plaintext, epk, info=info)
    key = network.members["payments"].signing
    return SealedAnswer(
        request_hash=request.request_hash,
        sealed=sealed,
        signature=key.sign("answer", request.request_hash + sealed),
    )


def _answers(**third):
    fields = {"consent_hash": QUERIES[2].consent_hash, **third}
    return [
        SubjectAnswer(consent_hash=QUERIES[0].consent_hash),
        SubjectAnswer(consent_hash=QUERIES[1].consent_hash),
        SubjectAnswer(**fields),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"request_id": "req_other"},
        {"holder": "bank-b"},
        {"answered_at_ms": NOW - 60_001},
        {"answered_at_ms": NOW + 90_001},
        {"answers": []},
        {"answers": _answers()[:2]},
        {"answers": _answers()[::-1]},
        {"answers": [*_answers(), SubjectAnswer(consent_hash=bytes(32))]},
        {"answers": _answers(consent_hash=b"\xee" * 32)},
        {"answers": _answers(refusal="consent_expired", signals=[signal()])},
        {"answers": _answers(refusal="Not today: 6217")},
        {"answers": _answers(signals=[signal("credit_limit")])},
        {"answers": _answers(signals=[signal(), signal()])},
        {"answers": _answers(signals=[signal(status=SignalStatus.SIGNAL_STATUS_UNSPECIFIED)])},
        {"answers": _answers(signals=[signal(status=99, value=0)])},
        {"answers": _answers(signals=[signal(value=float("nan"))])},
        {"answers": _answers(signals=[signal(value=float("inf"))])},
        {"answers": _answers(signals=[signal(status=NO_CONSENT, value=7.5)])},
        {"answers": _answers(signals=[signal(status=NO_CONSENT, value=float("nan"))])},
        {"answers": _answers(signals=[signal(as_of_ms=-1)])},
    ],
    ids=lambda changes: str(changes).replace("\n", " ")[:60],
)
def test_check_7_what_does_not_answer_the_question_is_neither_sealed_nor_accepted(network, changes):
    request = ask(network)
    answer = answer_to(request, **changes)
    with pytest.raises(AnswerMismatch):
        seal(network, request, answer)
    padded = (answer.SerializeToString() + b"\x80").ljust(512, b"\0")
    with pytest.raises(AnswerMismatch):
        open_answer(request, _sealed_by_hand(network, request, padded), network.directory)


def test_without_a_list_of_signals_a_holder_answers_what_the_consent_allows(network):
    request = ask(network, signals=[])
    answer = answer_to(request, answers=_answers(signals=[signal("credit_limit")]))
    assert open_answer(request, seal(network, request, answer), network.directory) == answer


@pytest.mark.parametrize("epk", [bytes(32), b"\x01" + bytes(31)])
def test_nothing_is_sealed_to_a_key_of_low_order(network, epk):
    # The shared secret would be known to everybody.
    verified = receive(network, resigned(network, ask(network), recipient_epk=epk))
    with pytest.raises(Malformed):
        seal_answer(verified, answer_to(verified), network.members["payments"].signing)


def test_an_answer_that_fits_no_bucket_is_not_sealed(network):
    verified = receive(network, ask(network).message)
    key = network.members["payments"].signing
    answer = answer_to(verified, catalogue_version="1" * 600)
    with pytest.raises(InvalidInput):
        seal_answer(verified, answer, key, Limits(max_answer_bytes=512))
