"""Sealed questions and answers between two members."""

import hashlib
import hmac
from dataclasses import replace

import nacl.bindings
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from protocols.directory import MemberNotActive, UnknownMember
from protocols.envelope import (
    AnswerMismatch,
    Limits,
    Query,
    RequestExpired,
    RequestFromFuture,
    SenderMismatch,
    SuiteDowngrade,
    SuiteUnsupported,
    WrongAudience,
    new_request,
    open_answer,
    seal_answer,
    verify_request,
)
from protocols.errors import CredenceError, InvalidInput, Malformed, SignatureInvalid
from protocols.padding import unpad
from protocols.suites import MLKEM768_X25519, SUPPORTED, strongest, suite
from protocols.v1.exchange_pb2 import (
    AnswerBody,
    RequestBody,
    SealedAnswer,
    SealedRequest,
    SignalStatus,
    SignalValue,
    SubjectAnswer,
    SubjectQuery,
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


# Checks on a request, by number


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


# Checks on an answer, by number


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
