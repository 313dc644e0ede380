"""Sealed questions and answers between two members: the whole way, and the seal itself."""

import hashlib
import hmac
from dataclasses import replace

import nacl.bindings
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protocols.envelope import RequestExpired, SuiteUnsupported, open_answer, seal_answer
from protocols.errors import SignatureInvalid
from protocols.padding import unpad
from protocols.suites import MLKEM768_X25519, SUPPORTED, strongest, suite
from protocols.v1.exchange_pb2 import AnswerBody, SealedAnswer, SealedRequest, SubjectAnswer
from tests.protocols.envelopes import QUERIES, answer_to, ask, receive, seal, speaking

# The whole way


def test_a_question_is_answered_to_the_one_who_asked(network):
    request = ask(network)
    on_the_wire = SealedRequest.FromString(request.message.SerializeToString())
    verified = receive(network, on_the_wire)
    assert verified.sender.member_id == "bank-a"
    assert verified.request_hash == hashlib.sha256(on_the_wire.body).digest()
    answer = answer_to(verified)
    sealed = seal_answer(verified, answer, network.members["payments"].signing)
    back = SealedAnswer.FromString(sealed.SerializeToString())
    assert open_answer(request, back, network.directory) == answer


def test_no_two_requests_share_id_nonce_or_key(network):
    first, second = ask(network), ask(network)
    for name in ("request_id", "nonce", "recipient_epk"):
        assert getattr(first.body, name) != getattr(second.body, name)


def test_the_one_use_private_key_stays_out_of_the_repr(network):
    request = ask(network)
    assert "private_key" not in repr(request)
    assert repr(request.private_key) not in repr(request)


def test_a_nonce_is_to_be_remembered_as_long_as_the_request_can_pass(network):
    request = ask(network, lifetime_ms=10_000)
    verified = receive(network, request.message)
    receive(network, request.message, now_ms=verified.nonce_until_ms)
    with pytest.raises(RequestExpired):
        receive(network, request.message, now_ms=verified.nonce_until_ms + 1)


# The seal, against RFC 9180 by hand


def _extract(suite, salt, label, ikm):
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, hashlib.sha256)


def _expand(suite, key, label, info, length):
    labelled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(key, labelled + b"\x01", hashlib.sha256)[:length]


def _open_by_hand(private: bytes, sealed: bytes, info: bytes) -> bytes:
    """RFC 9180 base mode, single shot: X25519 (0x20), HKDF-SHA256 (1), AES-256-GCM (2)."""
    encapsulated, ciphertext = sealed[:32], sealed[32:]
    kem = b"KEM\x00\x20"
    shared = nacl.bindings.crypto_scalarmult(private, encapsulated)
    context = encapsulated + nacl.bindings.crypto_scalarmult_base(private)
    prk = _extract(kem, b"", b"eae_prk", shared)
    secret = _expand(kem, prk, b"shared_secret", context, 32)
    suite = b"HPKE\x00\x20\x00\x01\x00\x02"
    schedule = b"\x00" + _extract(suite, b"", b"psk_id_hash", b"")
    schedule += _extract(suite, b"", b"info_hash", info)
    prk = _extract(suite, secret, b"secret", b"")
    key = _expand(suite, prk, b"key", schedule, 32)
    nonce = _expand(suite, prk, b"base_nonce", schedule, 12)
    return AESGCM(key).decrypt(nonce, ciphertext, b"")


def test_the_answer_is_sealed_and_signed_exactly_as_the_wire_contract_says(network):
    request = ask(network)
    answer = answer_to(request)
    sealed = seal(network, request, answer)
    request_hash = hashlib.sha256(request.message.body).digest()
    assert sealed.request_hash == request_hash
    info = b"credence/1|" + request_hash + b"payments" + b"bank-a"
    padded = _open_by_hand(request.private_key, sealed.sealed, info)
    data = unpad(padded, smallest=512, largest=4096)
    assert AnswerBody.FromString(data) == answer
    key = network.members["payments"].signing.verify_key
    key.verify_raw(b"credence/1|answer|" + request_hash + sealed.sealed, sealed.signature)
    asker = network.members["bank-a"].signing.verify_key
    asker.verify_raw(b"credence/1|request|" + request.message.body, request.message.signature)


def test_the_length_of_an_answer_does_not_tell_a_refusal_from_an_answer(network):
    request = ask(network)
    full = seal(network, request)
    refused = [SubjectAnswer(consent_hash=q.consent_hash, refusal="x") for q in QUERIES]
    empty = seal(network, request, answer_to(request, answers=refused))
    assert len(full.sealed) == len(empty.sealed) == 512 + 48


@pytest.mark.parametrize("number", SUPPORTED)
def test_every_suite_seals_and_binds(network, number):
    directory = speaking(network, bank_a=(number,), payments=(number,))
    request = ask(network, suite_number=number)
    verified = receive(network, request.message, directory=directory)
    sealed = seal_answer(verified, answer_to(verified), network.members["payments"].signing)
    assert len(sealed.sealed) == 512 + suite(number).overhead
    assert open_answer(request, sealed, directory) == answer_to(verified)
    other = replace(request, private_key=ask(network, suite_number=number).private_key)
    with pytest.raises(SignatureInvalid):
        open_answer(other, sealed, directory)


def test_the_hybrid_seal_needs_both_of_its_keys(network):
    hybrid = suite(MLKEM768_X25519)
    private, public = hybrid.generate()
    strange, _ = hybrid.generate()
    sealed = hybrid.seal(b"signals", public, b"info")
    assert hybrid.open(sealed, private, b"info") == b"signals"
    for wrong in (private[:64] + strange[64:], strange[:64] + private[64:]):
        with pytest.raises(SignatureInvalid):
            hybrid.open(sealed, wrong, b"info")
    with pytest.raises(SignatureInvalid):
        hybrid.open(sealed, private, b"other")


@pytest.mark.parametrize(
    ("ours", "theirs", "chosen"),
    [((1,), (1,), 1), ((1, 2), (1,), 1), ((1, 2), (1, 2), 2), ((2,), (1, 2, 77), 2)],
)
def test_the_strongest_common_suite_is_chosen(ours, theirs, chosen):
    assert strongest(ours, theirs) == strongest(theirs, ours) == chosen


def test_members_without_a_common_suite_do_not_talk():
    with pytest.raises(SuiteUnsupported):
        strongest((1,), (2,))
    with pytest.raises(SuiteUnsupported):
        strongest((77,), (77,))
