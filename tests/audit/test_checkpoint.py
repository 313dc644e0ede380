"""Signed notes and checkpoints, by the words of C2SP's signed-note and tlog-checkpoint."""

import base64
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.checkpoint import Checkpoint, NoteKey, check_origin, open_checkpoint, sign_checkpoint
from audit.verifier.note import MAX_NOTE_BYTES, Note, NoteSignature
from protocols.errors import InvalidInput, Malformed, SignatureInvalid
from protocols.keys import SigningKey, VerifyKey
from tests.audit.world import ORIGIN, World

KEY = SigningKey.from_seed(bytes(range(32)))
NOTE_KEY = NoteKey(ORIGIN, KEY.verify_key)
CHECKPOINT = Checkpoint(ORIGIN, 20_852_163, bytes(range(32)))
SIGNED = sign_checkpoint(CHECKPOINT, KEY)

# The note that Go's golang.org/x/mod/sumdb/note documents, made by another implementation.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
GO_SIGNATURE = (
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
)
GO_NOTE = f"{GO_TEXT}\n— PeterNeumann {GO_SIGNATURE}\n".encode()


def test_a_note_of_another_implementation_verifies() -> None:
    note = Note.parse(GO_NOTE)
    note.verify([NoteKey.parse(GO_KEY)])
    assert note.text == GO_TEXT
    assert note.encode() == GO_NOTE


def test_we_sign_a_note_as_another_implementation_does() -> None:
    key = SigningKey.from_seed(GO_SEED)
    name = NoteKey("PeterNeumann", key.verify_key)
    assert name.encode() == GO_KEY
    line = NoteSignature("PeterNeumann", name.key_id, key.sign_raw(GO_TEXT.encode()))
    assert Note(GO_TEXT, (line,)).encode() == GO_NOTE


def test_a_checkpoint_comes_back_under_the_key_that_signed_it() -> None:
    assert open_checkpoint(SIGNED, [NOTE_KEY]) == CHECKPOINT
    assert SIGNED.decode().startswith(
        "credence.example/bank-a\n20852163\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n\n— "
    )


def test_a_log_signs_what_it_has_committed(world: World) -> None:
    world.fill(5)
    head = world.log.head()
    checkpoint = open_checkpoint(sign_checkpoint(world.log.checkpoint(), KEY), [NOTE_KEY])
    assert (checkpoint.origin, checkpoint.size, checkpoint.root) == (ORIGIN, 5, head.root)


def test_a_checkpoint_by_a_key_that_is_not_known_is_refused() -> None:
    stranger = NoteKey(ORIGIN, SigningKey.from_seed(bytes(32)).verify_key)
    renamed = NoteKey("credence.example/bank-b", KEY.verify_key)
    for keys in ([], [stranger], [renamed]):
        with pytest.raises(SignatureInvalid):
            open_checkpoint(SIGNED, keys)


def test_further_signatures_of_unknown_keys_are_ignored() -> None:
    note = Note.parse(SIGNED)
    stranger = NoteSignature("witness.example", b"\x01\x02\x03\x04", b"anything")
    several = Note(note.text, (stranger, *note.signatures, stranger)).encode()
    assert open_checkpoint(several, [NOTE_KEY]) == CHECKPOINT


def test_one_failing_signature_of_a_known_key_spoils_the_note() -> None:
    note = Note.parse(SIGNED)
    (good,) = note.signatures
    bad = replace(good, signature=bytes(64))
    with pytest.raises(SignatureInvalid):
        open_checkpoint(Note(note.text, (good, bad)).encode(), [NOTE_KEY])


@given(st.integers(0, len(SIGNED) - 1), st.integers(1, 255))
def test_no_byte_of_a_checkpoint_can_be_changed(at: int, mask: int) -> None:
    changed = SIGNED[:at] + bytes([SIGNED[at] ^ mask]) + SIGNED[at + 1 :]
    with pytest.raises((Malformed, SignatureInvalid)):
        open_checkpoint(changed, [NOTE_KEY])


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_bytes_that_are_no_note_are_malformed_and_nothing_else(data: bytes) -> None:
    try:
        note = Note.parse(data)
    except Malformed:
        return
    assert note.encode() == data


@given(st.text(alphabet="\n— ab+01Z=/\x00é", max_size=60))
def test_whatever_parses_as_a_note_writes_the_same_bytes(text: str) -> None:
    try:
        note = Note.parse(text.encode())
    except Malformed:
        return
    assert note.encode() == text.encode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "origin\n1\n",
        "origin\n\n1\n",
        "origin\n01\n" + base64.b64encode(bytes(32)).decode() + "\n",
        "origin\n-1\n" + base64.b64encode(bytes(32)).decode() + "\n",
        "origin\n\u0661\n" + base64.b64encode(bytes(32)).decode() + "\n",
        "origin\n1\n" + base64.b64encode(bytes(31)).decode() + "\n",
        "origin\n1\n" + "!" * 44 + "\n",
        "origin\n1\n" + base64.b64encode(bytes(32)).decode() + "\n\next\n",
    ],
)
def test_a_text_that_is_no_checkpoint_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        Checkpoint.parse(text)


def test_extension_lines_are_kept_and_signed_over() -> None:
    extended = replace(CHECKPOINT, extensions=("one", "two"))
    assert Checkpoint.parse(extended.text()) == extended
    assert open_checkpoint(sign_checkpoint(extended, KEY), [NOTE_KEY]) == extended


def test_a_note_too_large_or_with_too_many_signatures_is_refused() -> None:
    line = NoteSignature("n", bytes(4), b"s")
    with pytest.raises(Malformed):
        Note.parse(b"x" * (MAX_NOTE_BYTES + 1))
    with pytest.raises(Malformed):
        Note.parse(Note("text\n", (line,) * 65).encode())
    assert len(Note.parse(Note("text\n", (line,) * 16).encode()).signatures) == 16


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+00000000+AQ==",
        GO_KEY.replace("c74f20a3", "c74f20a4"),
        GO_KEY.replace("PeterNeumann", "Peter Neumann"),
        GO_KEY.replace("+ARpc", "+AhpcA"),
        GO_KEY + "\n",
    ],
)
def test_a_verifier_key_of_another_form_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        NoteKey.parse(text)


def test_a_verifier_key_comes_back() -> None:
    key = NoteKey(ORIGIN, VerifyKey(bytes(range(32))))
    assert NoteKey.parse(key.encode()) == key


def test_a_log_name_cannot_pass_for_a_signature_domain() -> None:
    with pytest.raises(InvalidInput):
        check_origin("credence/1|document|")
    with pytest.raises(InvalidInput):
        sign_checkpoint(replace(CHECKPOINT, origin="credence/1|document|"), KEY)
    with pytest.raises(InvalidInput):
        sign_checkpoint(CHECKPOINT, KEY, name="two words")
