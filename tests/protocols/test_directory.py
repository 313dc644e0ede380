"""Signed documents and the member directory."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.canonical import canonical_json
from protocols.directory import (
    Directory,
    DirectoryRollback,
    MemberEntry,
    MemberNotActive,
    UnknownMember,
    accept,
)
from protocols.documents import (
    KINDS,
    MAX_DOCUMENT_BYTES,
    Document,
    from_proto,
    sign_document,
    to_proto,
    verify_document,
)
from protocols.errors import CredenceError, InvalidInput, Malformed, SignatureInvalid
from protocols.keys import SigningKey
from protocols.v1.membership_pb2 import SignedDocument

STRANGER = SigningKey.from_seed(b"\x77" * 32)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
)


def signed(network, directory: Directory) -> Document:
    return sign_document("directory", directory.to_body(), network.key)


# Documents


@pytest.mark.parametrize("kind", KINDS)
def test_a_document_of_every_kind_verifies_after_its_journey(network, kind):
    document = sign_document(kind, b'{"version":7}', network.key)
    received = from_proto(SignedDocument.FromString(to_proto(document).SerializeToString()))
    assert received == document
    assert received.version == 7
    assert verify_document(received, network.key.verify_key, kind) == {"version": 7}


def test_what_is_signed_is_what_the_wire_contract_says(network):
    document = sign_document("catalogue", b"{}", network.key)
    assert document.signature == network.key.sign_raw(b"credence/1|catalogue|{}")
    assert document.key_id == network.key.verify_key.key_id


@pytest.mark.parametrize(
    "change",
    [
        {"body": b'{"version":8}', "version": 8},
        {"body": b"{}", "version": 0},
        {"signature": bytes(64)},
        {"signature": b""},
        {"key_id": STRANGER.verify_key.key_id},
        {"key_id": ""},
        {"version": 8},
        {"kind": "catalogue"},
    ],
    ids=lambda change: "+".join(change),
)
def test_a_change_of_any_field_is_noticed(network, change):
    document = sign_document("plan", b'{"version":7}', network.key)
    with pytest.raises(CredenceError):
        verify_document(replace(document, **change), network.key.verify_key, "plan")


def test_a_document_of_one_kind_never_passes_as_another(network):
    document = sign_document("plan", b"{}", network.key)
    with pytest.raises(Malformed):
        verify_document(document, network.key.verify_key, "bundle")
    with pytest.raises(SignatureInvalid):
        verify_document(replace(document, kind="bundle"), network.key.verify_key, "bundle")


def test_a_strangers_document_is_refused_even_under_the_right_key_id(network):
    document = sign_document("plan", b"{}", STRANGER)
    with pytest.raises(SignatureInvalid):
        verify_document(document, network.key.verify_key, "plan")
    forged = replace(document, key_id=network.key.verify_key.key_id)
    with pytest.raises(SignatureInvalid):
        verify_document(forged, network.key.verify_key, "plan")


def test_only_canonical_objects_of_known_kinds_are_signed(network):
    for body in (b"[]", b"1", b"{ }", b"", b'{"b":1,"a":2}', b'{"a":"' + b"x" * MAX_DOCUMENT_BYTES):
        with pytest.raises(Malformed):
            sign_document("plan", body, network.key)
    with pytest.raises(InvalidInput):
        sign_document("request", b"{}", network.key)


def test_a_version_that_is_no_whole_number_counts_as_none(network):
    for body in (b'{"version":"v1"}', b'{"version":true}', b'{"version":1.5}', b"{}"):
        assert sign_document("bundle", body, network.key).version == 0


def test_a_document_of_unknown_kind_or_wrong_lengths_is_refused_on_arrival(network):
    good = to_proto(sign_document("plan", b"{}", network.key))
    for field, value in (("kind", "x"), ("signature", b""), ("key_id", "ab"), ("body", b"[]")):
        message = SignedDocument.FromString(good.SerializeToString())
        setattr(message, field, value)
        with pytest.raises(Malformed):
            from_proto(message)


@given(st.sampled_from(KINDS), st.binary(max_size=60), st.binary(min_size=64, max_size=64))
def test_random_documents_raise_nothing_but_our_own_error(network, kind, body, signature):
    key_id = network.key.verify_key.key_id
    message = SignedDocument(kind=kind, body=body, signature=signature, key_id=key_id)
    with pytest.raises(CredenceError):
        verify_document(from_proto(message), network.key.verify_key, kind)


# Directory


def test_a_directory_is_accepted_and_read_back(network):
    held = accept(None, signed(network, network.directory), network.key.verify_key)
    assert held == network.directory
    assert Directory.from_body(held.to_body()) == held
    assert held.member("payments").role == "data_provider"


def test_a_newer_directory_replaces_the_one_held(network):
    newer = replace(network.directory, version=4, epoch=2)
    document = signed(network, newer)
    assert accept(network.directory, document, network.key.verify_key) == newer


def test_the_same_directory_again_is_no_change(network):
    document = signed(network, network.directory)
    assert accept(network.directory, document, network.key.verify_key) is network.directory


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"members": ()},
        {"epoch": 2},
        {"version": 4, "epoch": 0},
        {"version": 4, "issued_at_ms": 1},
    ],
    ids=["older", "fork by members", "fork by epoch", "older epoch", "older time"],
)
def test_no_directory_takes_back_an_earlier_one(network, change):
    document = signed(network, replace(network.directory, **change))
    with pytest.raises(DirectoryRollback):
        accept(network.directory, document, network.key.verify_key)


def test_a_directory_signed_by_another_key_is_refused(network):
    forged = sign_document("directory", network.directory.to_body(), STRANGER)
    with pytest.raises(SignatureInvalid):
        accept(None, forged, network.key.verify_key)


def test_a_directory_that_names_another_key_than_the_pinned_one_is_refused(network):
    other = replace(network.directory, directory_key=STRANGER.verify_key.bytes)
    with pytest.raises(Malformed):
        accept(None, signed(network, other), network.key.verify_key)


@pytest.mark.parametrize("status", ["suspended", "revoked"])
def test_only_active_members_may_act(network, status):
    directory = network.with_status("payments", status)
    assert directory.member("payments").status == status
    assert directory.active_member("bank-a").active
    with pytest.raises(MemberNotActive):
        directory.active_member("payments")
    with pytest.raises(UnknownMember):
        directory.active_member("bank-z")


@pytest.mark.parametrize(
    "change",
    [
        {"member_id": "Bank"},
        {"member_id": "b"},
        {"member_id": "b" * 42},
        {"name": ""},
        {"name": "a\nb"},
        {"name": "a" * 121},
        {"role": "coordinator"},
        {"licence": "\x00"},
        {"contact": "a" * 201},
        {"holds": ("b", "a")},
        {"holds": ("a", "a")},
        {"holds": ("A",)},
        {"signing_key": bytes(31)},
        {"sealing_key": b""},
        {"certificate_sha256": bytes(33)},
        {"endpoint": "no-port"},
        {"endpoint": "host:0"},
        {"endpoint": "host:65536"},
        {"endpoint": "user@host:1"},
        {"status": "gone"},
        {"joined_at_ms": -1},
    ],
    ids=str,
)
def test_an_entry_with_a_field_of_the_wrong_form_is_refused(network, change):
    with pytest.raises(InvalidInput):
        replace(network.members["bank-a"].entry, **change)


def test_an_entry_without_an_endpoint_is_one_that_accepts_no_connection(network):
    entry = replace(network.members["bank-a"].entry, endpoint=None, holds=())
    assert MemberEntry.from_json(json.loads(canonical_json(entry.to_json()))) == entry


def test_an_entry_is_refused_or_means_exactly_what_it_says(network):
    good = network.members["bank-a"].entry.to_json()
    for name in good:
        for value in (None, 1, 1.5, True, "", [], [1], ["b", "a"], {}, "AA" * 32, "é" * 64):
            offered = {**good, name: value}
            try:
                entry = MemberEntry.from_json(offered)
            except Malformed:
                continue
            assert canonical_json(entry.to_json()) == canonical_json(offered)


def test_an_entry_has_all_its_fields_and_no_others(network):
    good = network.members["bank-a"].entry.to_json()
    for name in good:
        with pytest.raises(Malformed):
            MemberEntry.from_json({key: value for key, value in good.items() if key != name})
    for wrong in ({**good, "balance": 1}, [], None, "bank-a"):
        with pytest.raises(Malformed):
            MemberEntry.from_json(wrong)


def test_a_directory_lists_every_member_once_and_in_order(network):
    members = network.directory.members
    for wrong in (members[::-1], (members[0], members[0])):
        with pytest.raises(InvalidInput):
            replace(network.directory, members=wrong)
    for change in ({"version": 0}, {"epoch": -1}, {"issued_at_ms": -1}):
        with pytest.raises(InvalidInput):
            replace(network.directory, **change)


@given(JSON, st.sampled_from(["version", "issued_at_ms", "epoch", "members", "directory_key"]))
def test_a_directory_with_any_field_replaced_raises_nothing_but_our_own_error(network, value, name):
    body = canonical_json({**json.loads(network.directory.to_body()), name: value})
    try:
        directory = Directory.from_body(body)
    except CredenceError:
        return
    assert directory.to_body() == body


@given(st.binary(max_size=100))
def test_random_bytes_are_no_directory(data):
    with pytest.raises(CredenceError):
        Directory.from_body(data)
