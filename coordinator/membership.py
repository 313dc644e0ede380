"""Who is in the network: invitations, joining, and the signed directory that says so.

A change of membership, the next version of the directory and the audit leaf are one transaction.
"""

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

from audit.database import Connection, Database
from audit.leaf import Entry
from audit.store import AuditLog
from coordinator.storage import documents, invitations, members
from coordinator.storage.invitations import InvitationRow
from coordinator.storage.members import MemberRow
from protocols.canonical import canonical_json, sha256
from protocols.certificates import fingerprint, issue_certificate, to_der
from protocols.directory import Directory, MemberEntry, Status
from protocols.documents import Document, sign_document, verify_document
from protocols.errors import InvalidInput, NotFound, StateConflict
from protocols.identifiers import check_member_id, check_role
from protocols.invitations import (
    TOKEN_BYTES,
    Invitation,
    InvitationExpired,
    InvitationRefused,
    InvitationUsed,
    new_invitation,
)
from protocols.joining import (
    MAX_DECLARATION_BYTES,
    AlreadyMember,
    DeclarationMismatch,
    verify_join,
)
from protocols.keys import SIGNATURE_BYTES, SigningKey

MAX_CSR_BYTES = 8 * 1024
MAX_CERTIFICATE_DAYS = 90
ACTOR = "coordinator"


@dataclass(frozen=True)
class Authority:
    """What certificates are issued with: the CA's key and certificate (PEM) and their life."""

    ca_key: bytes
    ca_certificate: bytes
    certificate_days: int = MAX_CERTIFICATE_DAYS


@dataclass(frozen=True)
class Endpoints:
    """Where invited nodes and members dial, `host:port` each."""

    enrolment: str
    members: str


@dataclass(frozen=True)
class JoinAttempt:
    """A join request as it came, nothing of it believed yet."""

    invitation_id: str
    token: bytes
    csr_der: bytes
    declaration: bytes
    signature: bytes


@dataclass(frozen=True)
class Joined:
    """What a new member takes home."""

    certificate_der: bytes
    ca_certificate_der: bytes
    directory: Document
    catalogue: Document


class Membership:
    """Invites, admits and turns away members; issues the directory."""

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        directory_key: SigningKey,
        authority: Authority,
        endpoints: Endpoints,
    ) -> None:
        if not 1 <= authority.certificate_days <= MAX_CERTIFICATE_DAYS:
            raise InvalidInput(f"a certificate lives 1 to {MAX_CERTIFICATE_DAYS} days")
        self._database = database
        self._audit = audit
        self._directory_key = directory_key
        self._authority = authority
        self._endpoints = endpoints
        self._held: Directory | None = None

    def invite(self, member_id: str, role: str, lifetime_s: int, now_ms: int) -> Invitation:
        """Make a one-time invitation; its token is in the answer and nowhere else.

        Raises:
            InvalidInput: the id, role or lifetime has the wrong form.
            AlreadyMember: there is a member by that id.
        """
        check_member_id(member_id)
        check_role(role)
        if lifetime_s <= 0:
            raise InvalidInput("an invitation lives for at least a second")
        invitation = new_invitation(
            member_id=member_id,
            coordinator_endpoint=self._endpoints.members,
            enrolment_endpoint=self._endpoints.enrolment,
            ca_sha256=fingerprint(self._authority.ca_certificate),
            directory_key=self._directory_key.verify_key.bytes,
            expires_at_ms=now_ms + lifetime_s * 1000,
        )
        row = InvitationRow(
            invitation_id=invitation.invitation_id,
            token_sha256=sha256(invitation.token),
            member_id=member_id,
            role=role,
            expires_at_ms=invitation.expires_at_ms,
        )
        with self._database.write() as connection:
            _refuse_known_member(connection, member_id)
            invitations.add(connection, row)
            self._log(connection, "member.invited", row.invitation_id, now_ms,
                      member_id=member_id, role=role, expires_at_ms=row.expires_at_ms)  # fmt: skip
        return invitation

    def join(self, attempt: JoinAttempt, now_ms: int) -> Joined:
        """Admit a node, if every check holds, in one transaction.

        1. Everything is within its size.
        2. The token is the invitation's, compared in constant time.
        3. The invitation is unused.
        4. The invitation has not expired.
        5. The declaration parses and is signed, together with the CSR, by the key it declares.
        6. The declared member id and role are the invitation's.
        7. No member has that id.
        8. The CSR is signed by its own key, of the right kind, and names that member.

        Then the certificate, the member, the next directory and the audit leaf are written, and
        the invitation is spent.

        Raises:
            Malformed: 1, 5 or 8.
            InvitationRefused: 2.
            InvitationUsed: 3.
            InvitationExpired: 4.
            SignatureInvalid: 5 or 8.
            DeclarationMismatch: 6.
            AlreadyMember: 7.
        """
        # 1
        _check_sizes(attempt)
        with self._database.write() as connection:
            invitation = _spend(connection, attempt, now_ms)  # 2, 3, 4
            # 5
            declared = verify_join(attempt.declaration, attempt.csr_der, attempt.signature)
            # 6
            if (declared.member_id, declared.role) != (invitation.member_id, invitation.role):
                raise DeclarationMismatch("the invitation was made for another member id or role")
            # 7
            _refuse_known_member(connection, declared.member_id)
            # 8
            certificate = issue_certificate(
                self._authority.ca_key,
                self._authority.ca_certificate,
                attempt.csr_der,
                declared.member_id,
                declared.role,
                now_ms,
                self._authority.certificate_days,
            )
            entry = declared.entry(certificate_sha256=fingerprint(certificate), joined_at_ms=now_ms)
            members.add(connection, _new_member(entry, certificate, now_ms))
            directory = self._publish(connection, lambda held: (*held, entry), now_ms)
            self._log(connection, "member.joined", attempt.invitation_id, now_ms,
                      member_id=entry.member_id, role=entry.role,
                      certificate_sha256=entry.certificate_sha256.hex(),
                      directory_version=directory.version)  # fmt: skip
            return Joined(
                certificate_der=certificate,
                ca_certificate_der=to_der(self._authority.ca_certificate),
                directory=directory,
                catalogue=_in_force(connection, "catalogue"),
            )

    def set_status(self, member_id: str, status: Status, now_ms: int) -> Directory:
        """Suspend, revoke or re-activate a member; in force with the directory returned.

        Raises:
            NotFound: no member by that id.
            StateConflict: the member has that status, or is revoked (which is final).
        """

        def changed(held: tuple[MemberEntry, ...]) -> tuple[MemberEntry, ...]:
            entry = next((entry for entry in held if entry.member_id == member_id), None)
            if entry is None:
                raise NotFound(f"no member {member_id}")
            if entry.status in {status, "revoked"}:
                raise StateConflict(f"{member_id} is {entry.status}")
            return tuple(replace(one, status=status) if one is entry else one for one in held)

        with self._database.write() as connection:
            document = self._publish(connection, changed, now_ms)
            self._log(connection, f"member.{status}", member_id, now_ms,
                      member_id=member_id, directory_version=document.version)  # fmt: skip
            return Directory.from_body(document.body)

    def found(self, catalogue_body: bytes, now_ms: int) -> None:
        """Publish what a network begins with: an empty directory and its first catalogue.

        Raises:
            StateConflict: the network has begun already.
        """
        catalogue = sign_document("catalogue", catalogue_body, self._directory_key)
        with self._database.write() as connection:
            if documents.newest(connection, "directory") is not None:
                raise StateConflict("this network has a directory already")
            directory = self._publish(connection, lambda held: held, now_ms)
            documents.publish(connection, catalogue, now_ms)
            self._log(connection, "network.founded", catalogue.key_id, now_ms,
                      directory_version=directory.version,
                      catalogue_version=catalogue.version,
                      catalogue_sha256=sha256(catalogue.body).hex())  # fmt: skip

    def document(self, kind: str) -> Document:
        """The document of `kind` in force, as members are given it.

        Raises:
            NotFound: none was published.
        """
        with self._database.read() as connection:
            return _in_force(connection, kind)

    def directory(self) -> Directory:
        """The directory in force; parsed once a version."""
        held = self._held
        with self._database.read() as connection:
            version = documents.newest_version(connection, "directory")
            if held is None or held.version != version:
                held = Directory.from_body(_in_force(connection, "directory").body)
        self._held = held
        return held

    def rows(self) -> list[MemberRow]:
        """Members as stored, in the order they joined."""
        with self._database.read() as connection:
            return members.every(connection)

    def pending_invitations(self, now_ms: int) -> list[InvitationRow]:
        """Invitations that may still be used."""
        with self._database.read() as connection:
            return invitations.pending(connection, now_ms)

    def note_seen(self, seen: dict[str, int]) -> None:
        """Note when members last called (`{member id: at_ms}`)."""
        with self._database.write() as connection:
            members.touch(connection, seen)

    def _publish(
        self,
        connection: Connection,
        change: Callable[[tuple[MemberEntry, ...]], tuple[MemberEntry, ...]],
        now_ms: int,
    ) -> Document:
        held = documents.newest(connection, "directory")
        if held is None:
            current = None
        else:
            # What is built upon is verified first: a changed row must not be signed anew.
            verify_document(held, self._directory_key.verify_key, "directory")
            current = Directory.from_body(held.body)
        entries = change(current.members if current else ())
        following = Directory(
            version=current.version + 1 if current else 1,
            issued_at_ms=max(now_ms, current.issued_at_ms) if current else now_ms,
            epoch=current.epoch if current else 0,
            members=tuple(sorted(entries, key=lambda entry: entry.member_id)),
            directory_key=self._directory_key.verify_key.bytes,
        )
        document = sign_document("directory", following.to_body(), self._directory_key)
        documents.publish(connection, document, now_ms)
        return document

    def _log(
        self, connection: Connection, kind: str, correlation: str, now_ms: int, **facts: str | int
    ) -> None:
        entry = Entry(kind=kind, actor=ACTOR, purpose="membership", correlation=correlation,
                      payload=facts, subject=None, at_ms=now_ms)  # fmt: skip
        self._audit.append(connection, entry)


def _check_sizes(attempt: JoinAttempt) -> None:
    if (
        len(attempt.token) != TOKEN_BYTES
        or len(attempt.signature) != SIGNATURE_BYTES
        or not 0 < len(attempt.csr_der) <= MAX_CSR_BYTES
        or not 0 < len(attempt.declaration) <= MAX_DECLARATION_BYTES
        or not 0 < len(attempt.invitation_id) <= 40
    ):
        raise InvalidInput("a join request has a part of the wrong size")


def _spend(connection: Connection, attempt: JoinAttempt, now_ms: int) -> InvitationRow:
    invitation = invitations.find(connection, attempt.invitation_id)
    # 2: an unknown invitation takes the same path and the same time
    expected = invitation.token_sha256 if invitation is not None else bytes(32)
    matches = hmac.compare_digest(sha256(attempt.token), expected)
    if invitation is None or not matches:
        raise InvitationRefused("no such invitation, or the token is not its token")
    # 3
    if not invitations.mark_used(connection, invitation.invitation_id, now_ms):
        raise InvitationUsed("the invitation was used before")
    # 4
    if now_ms >= invitation.expires_at_ms:
        raise InvitationExpired("the invitation has expired")
    return invitation


def _refuse_known_member(connection: Connection, member_id: str) -> None:
    if members.find(connection, member_id) is not None:
        raise AlreadyMember(f"there is a member {member_id} already")


def _new_member(entry: MemberEntry, certificate: bytes, now_ms: int) -> MemberRow:
    return MemberRow(
        member_id=entry.member_id,
        entry=canonical_json(entry.to_json()).decode(),
        certificate_der=certificate,
        # Random: a number says nothing of who joined before. 0 and 1 are Flower's own.
        flower_node_id=secrets.randbelow(2**63 - 2) + 2,
        joined_at_ms=now_ms,
    )


def _in_force(connection: Connection, kind: str) -> Document:
    document = documents.newest(connection, kind)
    if document is None:
        raise NotFound(f"no {kind} was published")
    return document
