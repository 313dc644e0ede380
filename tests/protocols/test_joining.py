"""Invitations and declarations: how a node joins."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.canonical import b64url_decode, b64url_encode, canonical_json, parse_json
from protocols.errors import CredenceError, InvalidInput, Malformed, SignatureInvalid
from protocols.invitations import PREFIX, Invitation, InvitationInvalid, new_invitation
from protocols.joining import Declaration, sign_join, verify_join
from protocols.keys import SigningKey

KEY = SigningKey.from_seed(b"\x01" * 32)
INVITATION = new_invitation(
    member_id="bank-a",
    coordinator_endpoint="coordinator.example:7001",
    enrolment_endpoint="[::1]:7000",
    ca_sha256=b"\x01" * 32,
    directory_key=b"\x02" * 32,
    expires_at_ms=1_750_000_000_000,
)
DECLARATION = Declaration(
    member_id="bank-a",
    name="第一银行",
    role="bank",
    licence="B-1",
    contact="privacy@bank-a.example",
    holds=("credit_account",),
    signing_key=KEY.verify_key.bytes,
    sealing_key=b"\x05" * 32,
    endpoint=None,
)


def retold(**changes) -> str:
    body = parse_json(b64url_decode(INVITATION.to_text().removeprefix(PREFIX)), max_bytes=4096)
    body = {key: value for key, value in {**body, **changes}.items() if value != "drop"}
    return PREFIX + b64url_encode(canonical_json(body))


def test_an_invitation_is_one_line_that_reads_back():
    text = INVITATION.to_text()
    assert text.startswith("credence-invite:")
    assert "\n" not in text
    assert len(text) < 500
    assert Invitation.from_text(f"  {text}\n") == INVITATION


def test_every_invitation_has_a_token_and_id_of_its_own_and_the_token_is_not_shown():
    other = new_invitation(
        member_id="bank-a",
        coordinator_endpoint="a:1",
        enrolment_endpoint="a:2",
        ca_sha256=bytes(32),
        directory_key=bytes(32),
        expires_at_ms=1,
    )
    assert other.token != INVITATION.token
    assert other.invitation_id != INVITATION.invitation_id
    assert "token" not in repr(INVITATION)


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"v": True},
        {"v": 1.5},
        {"id": "a b"},
        {"id": 1},
        {"token": b64url_encode(bytes(31))},
        {"token": "?"},
        {"member": "Bank A"},
        {"coordinator": "nowhere"},
        {"enrolment": "host:99999"},
        {"ca_sha256": ""},
        {"directory_key": b64url_encode(bytes(33))},
        {"expires_at_ms": 0},
        {"expires_at_ms": "soon"},
        {"expires_at_ms": True},
        {"token": "drop"},
        {"more": 1},
    ],
    ids=str,
)
def test_an_invitation_with_a_wrong_field_is_refused(changes):
    assert Invitation.from_text(retold()) == INVITATION
    with pytest.raises(InvitationInvalid):
        Invitation.from_text(retold(**changes))


@given(st.integers(0, len(INVITATION.to_text()) - 1))
def test_half_an_invitation_is_refused(length):
    with pytest.raises(InvitationInvalid):
        Invitation.from_text(INVITATION.to_text()[:length])


@given(st.text(max_size=80))
def test_other_texts_are_no_invitations(text):
    for candidate in (text, PREFIX + text):
        with pytest.raises(InvitationInvalid):
            Invitation.from_text(candidate)


def test_a_very_long_text_is_refused_before_it_is_decoded():
    with pytest.raises(InvitationInvalid):
        Invitation.from_text(PREFIX + "A" * 10_000)


def test_a_join_request_proves_the_declared_key_and_names_its_csr():
    body = DECLARATION.to_body()
    signature = sign_join(body, b"csr", KEY)
    assert verify_join(body, b"csr", signature) == DECLARATION
    other = replace(DECLARATION, role="data_provider").to_body()
    stranger = SigningKey.from_seed(b"\x02" * 32)
    for attempt in (
        (body, b"another csr", signature),
        (other, b"csr", signature),
        (body, b"csr", sign_join(body, b"csr", stranger)),
        (body, b"csr", b""),
    ):
        with pytest.raises(SignatureInvalid):
            verify_join(*attempt)


def test_a_declaration_becomes_the_entry_with_what_the_coordinator_adds():
    entry = DECLARATION.entry(certificate_sha256=b"\x09" * 32, joined_at_ms=5)
    assert (entry.name, entry.holds, entry.status) == ("第一银行", ("credit_account",), "active")
    assert (entry.certificate_sha256, entry.joined_at_ms) == (b"\x09" * 32, 5)


@pytest.mark.parametrize("name", ["status", "certificate_sha256", "joined_at_ms", "balance"])
def test_a_member_cannot_declare_what_the_coordinator_assigns(name):
    body = parse_json(DECLARATION.to_body(), max_bytes=4096)
    with pytest.raises(Malformed):
        Declaration.from_body(canonical_json({**body, name: "active"}))


def test_a_declaration_of_the_wrong_form_is_refused():
    with pytest.raises(InvalidInput):
        replace(DECLARATION, role="operator")
    with pytest.raises(Malformed):
        Declaration.from_body(DECLARATION.to_body().replace(b'"bank"', b'"none"'))


@given(st.binary(max_size=100), st.binary(max_size=20), st.binary(max_size=70))
def test_random_bytes_raise_nothing_but_our_own_error(declaration, csr, signature):
    with pytest.raises(CredenceError):
        verify_join(declaration, csr, signature)
