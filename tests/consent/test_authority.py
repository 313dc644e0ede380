"""By what a consent speaks for a person: forged, borrowed and re-used proofs of each kind."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.artefact import (
    MAX_JWS_BYTES,
    Artefact,
    countersign,
    grant,
    sign_as_subject,
    verify_artefact,
    verify_subject,
)
from consent.attestation import AttestationInvalid, SubjectAttestation, sign_attestation
from consent.authority import REASONS, account, branch, controller, device_key, passkey
from consent.clauses import Recipient
from consent.events import countersign_event, verify_event, verify_subject_event
from consent.lifecycle import Event
from consent.signatures import challenge, confirmed, sign_alone
from consent.succession import ConsentConflict, check_event, check_version
from protocols.assertions import AssertionInvalid
from protocols.canonical import canonical_json
from protocols.errors import CredenceError, InvalidInput, Malformed, SignatureInvalid
from tests.consent.samples import (
    BANK,
    DEVICE,
    NOW_MS,
    STRANGER,
    SUBJECT,
    artefact,
    attestation,
    bank_key,
    body_with,
    by_passkey,
    confirm,
    event,
    held,
)
from tests.passkey_device import PRESENT, PasskeyDevice, eddsa, es256, rs256

OTHER = PasskeyDevice(rp_id=DEVICE.rp_id, origin=DEVICE.origin)
OFFICER = STRANGER
PAPER = b"p" * 32


@pytest.mark.parametrize("make", [es256, eddsa, rs256])
def test_a_consent_confirmed_by_passkey_verifies_wherever_it_is_held(make):
    """Its bytes hold all that a stranger to the ceremony needs, but for the controller's key."""
    device = replace(DEVICE, key=make())
    made, stated = by_passkey(device)
    signed = confirm(made, stated, device)
    assert verify_subject(signed) == made
    assert verify_artefact(countersign(signed, BANK), bank_key) == made


@pytest.mark.parametrize(
    "bend",
    [
        {"key": es256()},
        {"rp_id": "bank-b.example"},
        {"origin": "https://evil.example"},
        {"flags": PRESENT},
        {"flags": 0},
    ],
    ids=["key", "relying party", "origin", "not verified", "not present"],
)
def test_a_forged_or_borrowed_assertion_is_refused(bend):
    """Another key, site or relying party, or nobody verified at the authenticator: no consent."""
    made, stated = by_passkey()
    signed = countersign(confirm(made, stated, replace(DEVICE, **bend)), BANK)
    with pytest.raises(SignatureInvalid):
        verify_artefact(signed, bank_key)


def test_an_assertion_for_one_consent_is_not_one_for_another():
    """A widened copy, or another consent, under an assertion used before: refused."""
    made, stated = by_passkey()
    used = DEVICE.confirm(challenge(made.body(), made.authority))
    attested = sign_attestation(stated, BANK)
    for changes in ({"max_uses": 1000}, {"consent_id": "con_" + "b" * 26}):
        wider = replace(made, **changes)
        signed = confirmed(wider.body(), wider.authority, used, attested)
        with pytest.raises(AssertionInvalid):
            verify_artefact(countersign(signed, BANK), bank_key)


def test_an_assertion_of_a_sign_in_grants_nothing():
    """A challenge that is not the consent's own is evidence of nothing here."""
    made, stated = by_passkey()
    used = DEVICE.confirm(b"the challenge of a sign-in page.")
    signed = confirmed(made.body(), made.authority, used, sign_attestation(stated, BANK))
    with pytest.raises(AssertionInvalid):
        verify_artefact(countersign(signed, BANK), bank_key)


@pytest.mark.parametrize(
    "changes",
    [
        {"controller": "bank-b"},
        {"key": OTHER.public_key},
        {"handles_sha256": bytes(32)},
        {"handle_epoch": 2},
    ],
    ids=["controller", "key", "person", "epoch"],
)
def test_an_attestation_of_anything_else_is_refused_though_the_consent_names_it(changes):
    """A consent for someone else: the attested person is not the one of the handles."""
    made, stated = by_passkey(attested=changes)
    with pytest.raises(AttestationInvalid):
        verify_artefact(countersign(confirm(made, stated), BANK), bank_key)


def test_an_attestation_that_the_consent_does_not_name_is_refused():
    """Swapped for one that names more sites: the person did not sign that one."""
    made, stated = by_passkey()
    swapped = replace(stated, origins=("https://evil.bank-a.example", *stated.origins))
    with pytest.raises(AttestationInvalid):
        verify_artefact(countersign(confirm(made, swapped), BANK), bank_key)


def test_an_attestation_by_anybody_but_the_controller_is_refused():
    """Only the node that enrolled the person says whose passkey it is."""
    made, stated = by_passkey()
    signed = countersign(confirm(made, stated, attester=STRANGER), BANK)
    with pytest.raises(SignatureInvalid):
        verify_artefact(signed, bank_key)


def test_a_passkeys_consent_without_attestation_is_refused():
    """Nobody believes a key that nobody vouched for."""
    made, _ = by_passkey()
    used = DEVICE.confirm(challenge(made.body(), made.authority))
    signed = confirmed(made.body(), made.authority, used, b"")
    with pytest.raises(AttestationInvalid):
        verify_artefact(countersign(signed, BANK), bank_key)


def test_kinds_of_signature_are_not_mistaken_for_one_another():
    """An Ed25519 passkey's key as a device key, and the other way round: refused."""
    device = replace(DEVICE, key=eddsa())
    made, stated = by_passkey(device)
    signed = confirm(made, stated, device)
    as_device = replace(made, authority=device_key(device.public_key[10:]))
    used = json.loads(signed)
    used["payload"] = json.loads(sign_alone(as_device.body(), BANK))["payload"]
    with pytest.raises(SignatureInvalid):
        verify_artefact(countersign(canonical_json(used), BANK), bank_key)
    with pytest.raises(InvalidInput):
        sign_as_subject(made, SUBJECT)


def test_the_largest_passkey_consent_fits_its_limit():
    """A body near its limit, the longest attestation, an RSA key: still delivered."""
    recipients = tuple(Recipient(f"r{n:02}" + "x" * 38, "名" * 40, "c" * 80) for n in range(26))
    holders = tuple(f"s{n:02}" + "x" * 38 for n in range(26))
    handles = {one: bytes(32) for one in (*holders, *(one.member_id for one in recipients))}
    device = replace(DEVICE, key=rs256(), rp_id="r" * 253, origin="https://" + "o" * 245)
    origins = tuple(sorted("https://" + letter * 245 for letter in "abo"))
    made, stated = by_passkey(
        device, {"origins": origins}, recipients=recipients, holders=holders, handles=handles
    )
    signed = countersign(confirm(made, stated, device), BANK)
    assert len(signed) <= MAX_JWS_BYTES
    assert verify_artefact(signed, bank_key) == made


def test_an_account_consent_is_signed_by_the_node_alone_and_says_so():
    """It is marked in the signed bytes; a key's consent cannot be passed off as one."""
    made = artefact(authority=account("password_totp"))
    assert verify_artefact(sign_alone(made.body(), BANK), bank_key) == made
    assert json.loads(made.body())["authority"]["method"] == "account"
    with pytest.raises(SignatureInvalid):
        verify_artefact(sign_alone(artefact().body(), BANK), bank_key)
    with pytest.raises(SignatureInvalid):
        verify_artefact(sign_alone(made.body(), STRANGER), bank_key)


def test_a_branch_consent_takes_the_officers_signature_and_the_nodes():
    """And carries the paper's hash; one signature alone is none, nor is the node twice."""
    made = artefact(authority=branch(OFFICER.verify_key.bytes, PAPER))
    assert verify_artefact(grant(made, OFFICER, BANK), bank_key) == made
    with pytest.raises(SignatureInvalid):
        verify_artefact(sign_alone(made.body(), BANK), bank_key)
    with pytest.raises(SignatureInvalid):
        verify_artefact(grant(made, SUBJECT, BANK), bank_key)
    own = artefact(authority=branch(BANK.verify_key.bytes, PAPER))
    with pytest.raises(SignatureInvalid):
        verify_artefact(sign_alone(own.body(), BANK), bank_key)


def test_terms_that_are_only_asked_for_are_no_consent():
    """A request has a type of its own and the controller's authority: nobody takes it for one."""
    asked = artefact(authority=controller("requested", "desk"))
    assert Artefact.parse_request(asked.body()) == asked
    with pytest.raises(Malformed):
        verify_artefact(sign_alone(asked.body(), BANK), bank_key)
    with pytest.raises(Malformed):
        Artefact.parse_request(artefact().body())
    with pytest.raises(Malformed):
        Artefact.parse(body_with(authority=asked.authority.to_json()))


WHOLE = countersign(confirm(*by_passkey()), BANK)


@settings(deadline=None)
@given(st.data())
def test_no_byte_of_a_passkey_consent_may_change(data):
    """Whatever byte is another, the consent is refused with a typed error; none slips through."""
    whole = WHOLE
    at = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda one: one != whole[at]))
    with pytest.raises(CredenceError):
        verify_artefact(whole[:at] + bytes([other]) + whole[at + 1 :], bank_key)


# -- what follows


def test_a_key_of_another_kind_does_not_widen_what_one_granted():
    """The person's passkey granted; a new version by account, device or branch is a conflict."""
    made, _ = by_passkey()
    in_force = held(authority=made.authority, consent_hash=made.consent_hash)
    for other in (
        account("oidc"),
        device_key(SUBJECT.verify_key.bytes),
        branch(OFFICER.verify_key.bytes, PAPER),
        passkey(OTHER.public_key, bytes(32)),
    ):
        wider = replace(made, version=2, prev_hash=made.consent_hash, authority=other)
        with pytest.raises(ConsentConflict):
            check_version(wider, in_force)
    assert check_version(replace(made, version=2, prev_hash=made.consent_hash), in_force)


@pytest.mark.parametrize("kind", [Event.WITHDRAW, Event.PAUSE])
def test_stopping_takes_no_more_than_a_session_whatever_granted(kind):
    """Withdrawing is never harder than granting (PIPL article 15)."""
    for granted in (device_key(SUBJECT.verify_key.bytes), by_passkey()[0].authority):
        said = event(kind, authority=account("passkey"))
        assert verify_event(sign_alone(said.body(), BANK), bank_key) == said
        check_event(said, held(authority=granted), NOW_MS)


def test_going_on_takes_the_key_that_granted():
    """A session resumes what a session granted, and nothing that a key did."""
    said = event(Event.RESUME, authority=account("oidc"))
    with pytest.raises(SignatureInvalid):
        check_event(said, held(), NOW_MS)
    check_event(said, held(authority=account("password_totp")), NOW_MS)


def test_an_event_confirmed_by_passkey_verifies_and_is_bound_to_the_consents_attestation():
    """A resumption under another attestation than the one in force does not count."""
    made, stated = by_passkey()
    said = event(Event.RESUME, authority=made.authority, consent_hash=made.consent_hash)
    signed = confirm(said, stated)
    assert verify_subject_event(signed) == said
    assert verify_event(countersign_event(signed, BANK), bank_key) == said
    in_force = held(authority=made.authority, consent_hash=made.consent_hash)
    check_event(said, in_force, NOW_MS)
    other = passkey(DEVICE.public_key, bytes(32))
    with pytest.raises(ConsentConflict):
        check_event(said, replace(in_force, authority=other), NOW_MS)


def test_that_a_consent_is_invalid_the_controller_says_alone_and_why():
    """With a reason of the closed list and who decided; no person's key says it."""
    said = event(Event.INVALIDATE, authority=controller("court_order", "privacy-officer"))
    assert verify_event(sign_alone(said.body(), BANK), bank_key) == said
    check_event(said, held(), NOW_MS)
    for bad in (
        event(Event.INVALIDATE),
        event(Event.WITHDRAW, authority=controller("court_order", "desk")),
        event(Event.INVALIDATE, authority=controller("requested", "desk")),
        event(Event.INVALIDATE, authority=controller("whim", "desk")),
    ):
        with pytest.raises(Malformed):
            verify_event(sign_alone(bad.body(), BANK), bank_key)
    assert "requested" not in REASONS


# -- attestations


@given(
    st.sampled_from(sorted(json.loads(attestation(artefact()).body()))),
    st.none() | st.integers(-9, 9) | st.text(max_size=9) | st.lists(st.text(max_size=9)),
)
def test_whatever_stands_in_a_field_an_attestation_is_read_back_whole_or_refused(name, value):
    """One encoding, every field within its grammar."""
    body = canonical_json({**json.loads(attestation(artefact()).body()), name: value})
    try:
        found = SubjectAttestation.parse(body)
    except Malformed:
        return
    assert found.body() == body
