"""Inviting, joining and turning members away."""

import hashlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from coordinator.bootstrap import Coordinator
from coordinator.membership import JoinAttempt
from coordinator.storage import invitations
from protocols.certificates import (
    CertificateRefused,
    fingerprint,
    make_csr,
    make_tls_key,
    valid_until_ms,
    verify_member_certificate,
)
from protocols.directory import Directory, accept
from protocols.documents import verify_document
from protocols.errors import (
    CredenceError,
    InvalidInput,
    Malformed,
    NotFound,
    SignatureInvalid,
    StateConflict,
)
from protocols.invitations import InvitationExpired, InvitationRefused, InvitationUsed
from protocols.joining import AlreadyMember, DeclarationMismatch, sign_join
from protocols.keys import SigningKey
from tests.coordinator.applicants import HOUR_S, NOW, Applicant, join
from tests.postgresql import on_each_database

DAY_MS = 86_400_000


def test_a_new_network_has_an_empty_signed_directory_and_a_signed_catalogue(
    coordinator: Coordinator,
) -> None:
    key = coordinator.keys.directory.verify_key
    directory = accept(None, coordinator.membership.document("directory"), key)
    assert (directory.version, directory.members) == (1, ())
    catalogue = verify_document(coordinator.membership.document("catalogue"), key, "catalogue")
    assert len(catalogue["signals"]) >= 12


def test_an_invited_node_gets_a_certificate_and_stands_in_the_next_directory(
    coordinator: Coordinator,
) -> None:
    applicant = Applicant()
    joined = join(coordinator, applicant)
    named = verify_member_certificate(
        joined.certificate_der, joined.ca_certificate_der, now_ms=NOW, key_pem=applicant.tls
    )
    assert named == "bank-a"
    assert valid_until_ms(joined.certificate_der) - NOW <= 90 * DAY_MS
    directory = accept(None, joined.directory, coordinator.keys.directory.verify_key)
    entry = directory.active_member("bank-a")
    assert directory.version == 2
    assert entry.certificate_sha256 == fingerprint(joined.certificate_der)
    assert entry.signing_key == applicant.signing.verify_key.bytes


def test_joining_appends_one_leaf_in_the_same_transaction(coordinator: Coordinator) -> None:
    before = coordinator.audit.head().size
    join(coordinator, Applicant())
    assert coordinator.audit.head().size == before + 2  # invited, joined


def test_the_invitation_token_is_in_no_file_of_the_home(coordinator: Coordinator) -> None:
    invitation = coordinator.membership.invite("bank-a", "bank", HOUR_S, NOW)
    coordinator.close()
    files = [path.read_bytes() for path in coordinator.home.iterdir() if path.is_file()]
    assert not any(invitation.token in content for content in files)
    digest = hashlib.sha256(invitation.token).digest()
    assert any(digest in content for content in files)


def test_keys_and_home_are_readable_by_their_owner_only(home: Path) -> None:
    assert home.stat().st_mode & 0o077 == 0
    assert (home / "kek").stat().st_mode & 0o777 == 0o600
    assert (home / "keys.sealed").stat().st_mode & 0o777 == 0o600


def wrong_token(attempt: JoinAttempt) -> JoinAttempt:
    return replace(attempt, token=bytes(32))


def unknown_invitation(attempt: JoinAttempt) -> JoinAttempt:
    return replace(attempt, invitation_id="inv_unknown")


def short_token(attempt: JoinAttempt) -> JoinAttempt:
    return replace(attempt, token=attempt.token[:31])


def oversized_csr(attempt: JoinAttempt) -> JoinAttempt:
    return replace(attempt, csr_der=bytes(9000))


def empty_declaration(attempt: JoinAttempt) -> JoinAttempt:
    return replace(attempt, declaration=b"")


def not_json(attempt: JoinAttempt) -> JoinAttempt:
    return replace(attempt, declaration=b"\x00" * 20)


def forged_signature(attempt: JoinAttempt) -> JoinAttempt:
    return replace(attempt, signature=bytes(64))


def anothers_signature(attempt: JoinAttempt) -> JoinAttempt:
    other = sign_join(attempt.declaration, attempt.csr_der, SigningKey.generate())
    return replace(attempt, signature=other)


def exchanged_csr(attempt: JoinAttempt) -> JoinAttempt:
    return replace(attempt, csr_der=make_csr(make_tls_key(), "bank-a"))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (wrong_token, InvitationRefused),
        (unknown_invitation, InvitationRefused),
        (short_token, InvalidInput),
        (oversized_csr, InvalidInput),
        (empty_declaration, InvalidInput),
        (not_json, Malformed),
        (forged_signature, SignatureInvalid),
        (anothers_signature, SignatureInvalid),
        (exchanged_csr, SignatureInvalid),
    ],
)
def test_a_join_request_that_fails_a_check_changes_nothing(
    coordinator: Coordinator, change, error: type[CredenceError]
) -> None:
    applicant = Applicant()
    invitation = coordinator.membership.invite("bank-a", "bank", HOUR_S, NOW)
    good = applicant.attempt(invitation)
    before = coordinator.audit.head()
    with pytest.raises(error):
        coordinator.membership.join(change(good), NOW)
    assert coordinator.audit.head() == before
    assert coordinator.membership.directory().version == 1
    # The invitation is not spent: the honest attempt still goes through.
    assert coordinator.membership.join(good, NOW).directory.version == 2


def test_an_unknown_invitation_and_a_wrong_token_look_the_same(coordinator: Coordinator) -> None:
    invitation = coordinator.membership.invite("bank-a", "bank", HOUR_S, NOW)
    good = Applicant().attempt(invitation)
    said = []
    for change in (wrong_token, unknown_invitation):
        with pytest.raises(InvitationRefused) as caught:
            coordinator.membership.join(change(good), NOW)
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_an_invitation_is_used_once(coordinator: Coordinator) -> None:
    invitation = coordinator.membership.invite("bank-a", "bank", HOUR_S, NOW)
    applicant = Applicant()
    coordinator.membership.join(applicant.attempt(invitation), NOW)
    with pytest.raises(InvitationUsed):
        coordinator.membership.join(applicant.attempt(invitation), NOW)


@on_each_database
def test_two_nodes_that_race_with_one_invitation_make_one_member(coordinator: Coordinator) -> None:
    invitation = coordinator.membership.invite("bank-a", "bank", HOUR_S, NOW)
    attempts = [Applicant().attempt(invitation) for _ in range(4)]

    def outcome(attempt: JoinAttempt) -> str:
        try:
            coordinator.membership.join(attempt, NOW)
        except InvitationUsed:
            return "used"
        return "joined"

    with ThreadPoolExecutor(4) as pool:
        outcomes = sorted(pool.map(outcome, attempts))
    assert outcomes == ["joined", "used", "used", "used"]
    assert coordinator.membership.directory().version == 2


def test_an_expired_invitation_admits_nobody(coordinator: Coordinator) -> None:
    invitation = coordinator.membership.invite("bank-a", "bank", HOUR_S, NOW)
    attempt = Applicant().attempt(invitation)
    with pytest.raises(InvitationExpired):
        coordinator.membership.join(attempt, invitation.expires_at_ms)
    assert coordinator.membership.pending_invitations(invitation.expires_at_ms) == []


@pytest.mark.parametrize(
    "applicant", [Applicant(member_id="bank-b"), Applicant(role="data_provider")]
)
def test_an_invitation_admits_only_the_member_and_role_it_was_made_for(
    coordinator: Coordinator, applicant: Applicant
) -> None:
    invitation = coordinator.membership.invite("bank-a", "bank", HOUR_S, NOW)
    with pytest.raises(DeclarationMismatch):
        coordinator.membership.join(applicant.attempt(invitation), NOW)


def test_a_csr_for_another_member_is_refused(coordinator: Coordinator) -> None:
    applicant = Applicant()
    invitation = coordinator.membership.invite("bank-a", "bank", HOUR_S, NOW)
    csr = make_csr(applicant.tls, "bank-b")
    signature = sign_join(applicant.declaration(), csr, applicant.signing)
    with pytest.raises(CertificateRefused):
        coordinator.membership.join(
            applicant.attempt(invitation, csr_der=csr, signature=signature), NOW
        )
    assert coordinator.membership.directory().members == ()


def test_a_member_id_is_given_once(coordinator: Coordinator) -> None:
    first, second = (coordinator.membership.invite("bank-a", "bank", HOUR_S, NOW) for _ in range(2))
    coordinator.membership.join(Applicant().attempt(first), NOW)
    with pytest.raises(AlreadyMember):
        coordinator.membership.join(Applicant().attempt(second), NOW)
    with pytest.raises(AlreadyMember):
        coordinator.membership.invite("bank-a", "bank", HOUR_S, NOW)


@pytest.mark.parametrize(
    ("member_id", "role", "lifetime_s"),
    [("Bank A", "bank", 60), ("bank-a", "king", 60), ("bank-a", "bank", 0), ("", "bank", 60)],
)
def test_an_invitation_for_nonsense_is_refused(
    coordinator: Coordinator, member_id: str, role: str, lifetime_s: int
) -> None:
    with pytest.raises(InvalidInput):
        coordinator.membership.invite(member_id, role, lifetime_s, NOW)


@on_each_database
def test_every_version_of_the_directory_follows_the_one_before(coordinator: Coordinator) -> None:
    key = coordinator.keys.directory.verify_key
    held = accept(None, coordinator.membership.document("directory"), key)
    for number in range(3):
        held = accept(held, join(coordinator, Applicant(f"bank-{number}")).directory, key)
    assert held.version == 4
    assert [entry.member_id for entry in held.members] == ["bank-0", "bank-1", "bank-2"]


@on_each_database
def test_a_suspended_member_is_reinstated_and_a_revoked_one_never(
    coordinator: Coordinator,
) -> None:
    join(coordinator, Applicant())
    membership = coordinator.membership
    assert membership.set_status("bank-a", "suspended", NOW).member("bank-a").status == "suspended"
    assert membership.set_status("bank-a", "active", NOW).member("bank-a").active
    with pytest.raises(StateConflict):
        membership.set_status("bank-a", "active", NOW)
    membership.set_status("bank-a", "revoked", NOW)
    with pytest.raises(StateConflict):
        membership.set_status("bank-a", "active", NOW)
    with pytest.raises(NotFound):
        membership.set_status("bank-z", "suspended", NOW)


def test_a_directory_changed_in_the_database_is_never_signed_anew(
    coordinator: Coordinator,
) -> None:
    join(coordinator, Applicant())
    with sqlite3.connect(coordinator.home / "coordinator.db") as raw:
        (body,) = raw.execute(
            "SELECT body FROM document WHERE kind = 'directory' AND version = 2"
        ).fetchone()
        raw.execute(
            "UPDATE document SET body = ? WHERE kind = 'directory' AND version = 2",
            (body.replace(b"Harbour Bank", b"Pirates Bank"),),
        )
    raw.close()
    with pytest.raises(SignatureInvalid):
        join(coordinator, Applicant("bank-b"))


def test_numbers_on_the_grid_differ_and_are_not_flowers_own(coordinator: Coordinator) -> None:
    for number in range(3):
        join(coordinator, Applicant(f"bank-{number}"))
    numbers = [row.flower_node_id for row in coordinator.membership.rows()]
    assert len(set(numbers)) == 3
    assert all(1 < number < 2**63 for number in numbers)


def test_open_invitations_are_listed_until_they_are_used(coordinator: Coordinator) -> None:
    invitation = coordinator.membership.invite("bank-a", "bank", HOUR_S, NOW)
    assert [row.invitation_id for row in coordinator.membership.pending_invitations(NOW)] == [
        invitation.invitation_id
    ]
    coordinator.membership.join(Applicant().attempt(invitation), NOW)
    assert coordinator.membership.pending_invitations(NOW) == []
    with coordinator.database.read() as connection:
        spent = invitations.find(connection, invitation.invitation_id)
    assert spent is not None
    assert spent.used_at_ms == NOW


def test_the_directory_names_its_own_key(coordinator: Coordinator) -> None:
    document = coordinator.membership.document("directory")
    assert Directory.from_body(document.body).directory_key == (
        coordinator.keys.directory.verify_key.bytes
    )
