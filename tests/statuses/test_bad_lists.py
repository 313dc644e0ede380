"""A list that does not hold is refused, and proves nothing."""

import tracemalloc
from dataclasses import replace

import pytest

from consent.status_list import (
    LIFE_MS,
    MAX_COMPRESSED_BYTES,
    StatusHead,
    StatusListConflict,
    StatusListOutdated,
    StatusListRollback,
    compress,
    sign_head,
)
from node.consents.status_publisher import StatusAnswer
from protocols.canonical import sha256
from protocols.errors import CredenceError, Malformed, SignatureInvalid
from protocols.jws import unverified_payload
from protocols.keys import SigningKey
from tests.statuses.asking import STALE, ask


def forge(world, question, key=None, **changes):
    """An answer of bank-a's with another head, signed by `key`."""
    answer = world.parts["bank-a"].publisher.answer(question.nonce, b"")
    head = StatusHead.parse(unverified_payload(answer.head, max_bytes=4096))
    signer = key or world.world.member("bank-a").signing
    return StatusAnswer(sign_head(replace(head, **changes), signer), answer.bits)


def accept(world, question, answer):
    return world.parts["payments"].inbox.accept(question, answer.head, answer.bits)


def test_a_forged_list_is_refused(world, consent_id):
    question = ask(world, "payments", "bank-a")
    answer = forge(world, question, key=SigningKey.generate())
    with pytest.raises(SignatureInvalid):
        accept(world, question, answer)


def test_a_list_of_another_controller_is_refused(world, consent_id):
    question = ask(world, "payments", "bank-a")
    other = world.parts["bank-b"].publisher.answer(question.nonce, b"")
    with pytest.raises(SignatureInvalid):
        accept(world, question, other)
    impostor = forge(world, question, key=world.world.member("bank-b").signing)
    with pytest.raises(SignatureInvalid):
        accept(world, question, impostor)


def test_a_list_that_answers_another_question_is_refused(world, consent_id):
    first, second = (ask(world, "payments", "bank-a") for _ in range(2))
    kept = world.parts["bank-a"].publisher.answer(first.nonce, b"")
    with pytest.raises(StatusListOutdated):
        accept(world, second, kept)


def test_a_list_that_lives_longer_than_a_minute_is_refused(world, consent_id):
    question = ask(world, "payments", "bank-a")
    long = forge(world, question, expires_at_ms=world.clock("bank-a") + LIFE_MS + 1)
    with pytest.raises(StatusListOutdated):
        accept(world, question, long)


def test_a_list_that_was_rolled_back_is_refused_and_the_proof_runs_out(world, consent_id):
    question = ask(world, "payments", "bank-a")
    older = forge(world, question, version=0)
    with pytest.raises(StatusListRollback):
        accept(world, question, older)
    fewer = forge(world, question, version=2**40, entries=0, bits_sha256=sha256(b""))
    with pytest.raises(StatusListRollback):
        accept(world, question, StatusAnswer(fewer.head, compress(b"")))
    world.cut("payments")
    world.tick(LIFE_MS)
    assert world.refusal("payments", consent_id) == STALE


def test_two_lists_of_one_version_are_a_conflict(world, consent_id):
    question = ask(world, "payments", "bank-a")
    bits = b"\x01"
    other = forge(world, question, bits_sha256=sha256(bits))
    with pytest.raises(StatusListConflict):
        accept(world, question, StatusAnswer(other.head, compress(bits)))


def test_bits_that_were_changed_on_the_way_are_refused(world, consent_id):
    question = ask(world, "payments", "bank-a")
    answer = world.parts["bank-a"].publisher.answer(question.nonce, b"")
    with pytest.raises(SignatureInvalid):
        accept(world, question, StatusAnswer(answer.head, compress(b"\x02")))
    with pytest.raises(Malformed):
        accept(world, question, StatusAnswer(answer.head, answer.bits[:-1]))
    with pytest.raises(Malformed):
        accept(world, question, StatusAnswer(answer.head, answer.bits + b"x"))


def test_a_decompression_bomb_is_refused_without_being_unpacked(world, consent_id):
    question = ask(world, "payments", "bank-a")
    bomb = compress(bytes(200 * 1024 * 1024))
    assert len(bomb) < MAX_COMPRESSED_BYTES
    answer = world.parts["bank-a"].publisher.answer(question.nonce, b"")
    tracemalloc.start()
    try:
        with pytest.raises(Malformed):
            accept(world, question, StatusAnswer(answer.head, bomb))
        assert tracemalloc.get_traced_memory()[1] < 8 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_an_oversized_list_is_refused(world, consent_id):
    question = ask(world, "payments", "bank-a")
    answer = world.parts["bank-a"].publisher.answer(question.nonce, b"")
    with pytest.raises(Malformed):
        accept(world, question, StatusAnswer(answer.head, bytes(MAX_COMPRESSED_BYTES + 1)))
    with pytest.raises(Malformed):
        accept(world, question, StatusAnswer(answer.head + b" " * 4096, answer.bits))
    with pytest.raises(Malformed):
        accept(world, question, forge(world, question, entries=2**23 + 1))


def test_a_list_without_its_bits_is_refused_unless_they_are_held(world, consent_id):
    question = ask(world, "payments", "bank-a")
    answer = world.parts["bank-a"].publisher.answer(question.nonce, question.have_sha256)
    assert answer.bits == b""
    assert accept(world, question, answer) == []
    fresh = ask(world, "bank-b", "payments")
    bare = world.parts["payments"].publisher.answer(fresh.nonce, b"")
    with pytest.raises(Malformed):
        world.parts["bank-b"].inbox.accept(fresh, bare.head, b"")


def test_a_bad_list_leaves_what_was_proven_before(world, consent_id):
    question = ask(world, "payments", "bank-a")
    with pytest.raises(CredenceError):
        accept(world, question, forge(world, question, key=SigningKey.generate()))
    assert world.refusal("payments", consent_id) == ""


def test_a_revoked_controllers_list_proves_nothing(world, consent_id):
    world.world.publish(bank_a="revoked")
    question = ask(world, "payments", "bank-a")
    answer = world.parts["bank-a"].publisher.answer(question.nonce, question.have_sha256)
    with pytest.raises(CredenceError, match="bank-a"):
        accept(world, question, answer)
