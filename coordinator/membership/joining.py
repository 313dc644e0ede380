"""Inviting an institution, and admitting its node."""

import hmac
import secrets
from dataclasses import dataclass, replace

from audit.database import Connection
from coordinator.membership.authority import MAX_CSR_BYTES, Authority, Endpoints
from coordinator.membership.publisher import Publisher, in_force
from coordinator.storage import invitations, members
from coordinator.storage.invitations import InvitationRow
from coordinator.storage.members import MemberRow
from protocols.canonical import canonical_json, sha256
from protocols.certificates import fingerprint, to_der
from protocols.directory import LicenceExpired, MemberEntry
from protocols.documents import Document
from protocols.errors import InvalidInput
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
    Declaration,
    DeclarationMismatch,
    verify_join,
)
from protocols.keys import SIGNATURE_BYTES
from protocols.rotation import KeyInUse


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


class Admission:
    """Invites and admits."""

    def __init__(self, publisher: Publisher, authority: Authority, endpoints: Endpoints) -> None:
        self._publisher = publisher
        self._database = publisher.database
        self._authority = authority
        self._endpoints = endpoints

    def invite(
        self,
        member_id: str,
        role: str,
        lifetime_s: int,
        now_ms: int,
        licence_until_ms: int | None = None,
    ) -> Invitation:
        """Make a one-time invitation; its token is in the answer and nowhere else.

        Args:
            member_id: whom it admits.
            role: in which role.
            lifetime_s: for how long, seconds.
            now_ms: UTC milliseconds.
            licence_until_ms: the end of the institution's licence as the operator has seen it;
                None: whatever the institution declares.

        Raises:
            InvalidInput: the id, role or lifetime has the wrong form, or the licence is over.
            AlreadyMember: there is a member by that id.
        """
        check_member_id(member_id)
        check_role(role)
        if lifetime_s <= 0:
            raise InvalidInput("an invitation lives for at least a second")
        if licence_until_ms is not None and licence_until_ms <= now_ms:
            raise InvalidInput("the licence has run out")
        invitation = new_invitation(
            member_id=member_id,
            coordinator_endpoint=self._endpoints.members,
            enrolment_endpoint=self._endpoints.enrolment,
            ca_sha256=fingerprint(self._authority.ca_certificate),
            directory_key=self._publisher.key.verify_key.bytes,
            expires_at_ms=now_ms + lifetime_s * 1000,
        )
        row = InvitationRow(
            invitation_id=invitation.invitation_id,
            token_sha256=sha256(invitation.token),
            member_id=member_id,
            role=role,
            expires_at_ms=invitation.expires_at_ms,
            licence_until_ms=licence_until_ms,
        )
        with self._database.write() as connection:
            _refuse_known_member(connection, member_id)
            invitations.add(connection, row)
            self._publisher.log(connection, "member.invited", row.invitation_id, now_ms,
                                member_id=member_id, role=role, expires_at_ms=row.expires_at_ms,
                                licence_until_ms=licence_until_ms)  # fmt: skip
        return invitation

    def join(self, attempt: JoinAttempt, now_ms: int) -> Joined:
        """Admit a node, if every check holds, in one transaction.

        1. Everything is within its size.
        2. The token is the invitation's, compared in constant time.
        3. The invitation is unused.
        4. The invitation has not expired.
        5. The declaration parses and is signed, together with the CSR, by the key it declares.
        6. The declared member id and role are the invitation's.
        7. No member has that id, and none has or had one of the declared keys.
        8. The licence has not run out.
        9. The CSR is signed by its own key, of the right kind, and names that member.

        Then the certificate, the member, the next directory and the audit leaf are written, and
        the invitation is spent.

        Raises:
            Malformed: 1, 5 or 9.
            InvitationRefused: 2.
            InvitationUsed: 3.
            InvitationExpired: 4.
            SignatureInvalid: 5 or 9.
            DeclarationMismatch: 6.
            AlreadyMember, KeyInUse: 7.
            LicenceExpired: 8.
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
            held = self._publisher.newest(connection).members
            refuse_used_keys(held, declared.signing_key, declared.sealing_key)
            # 8
            licensed = _licensed(declared, invitation, now_ms)
            # 9
            certificate = self._authority.issue(
                attempt.csr_der, declared.member_id, declared.role, now_ms
            )
            entry = licensed.entry(certificate_sha256=fingerprint(certificate), joined_at_ms=now_ms)
            members.add(connection, _new_member(entry, certificate, now_ms))
            directory = self._publisher.publish(connection, lambda held: (*held, entry), now_ms)
            self._publisher.log(connection, "member.joined", attempt.invitation_id, now_ms,
                                member_id=entry.member_id, role=entry.role,
                                certificate_sha256=entry.certificate_sha256.hex(),
                                licence_until_ms=entry.licence_until_ms,
                                directory_version=directory.version)  # fmt: skip
            return Joined(
                certificate_der=certificate,
                ca_certificate_der=to_der(self._authority.ca_certificate),
                directory=directory,
                catalogue=in_force(connection, "catalogue"),
            )


def refuse_used_keys(held: tuple[MemberEntry, ...], signing_key: bytes, sealing_key: bytes) -> None:
    """Refuse keys that any member has or had: a key stands for one member, once.

    Raises:
        KeyInUse: one of them.
    """
    for entry in held:
        known = [(entry.signing_key, entry.sealing_key)]
        known += [(one.signing_key, one.sealing_key) for one in entry.earlier_keys]
        if any(signing_key == signing or sealing_key == sealing for signing, sealing in known):
            raise KeyInUse("one of the keys is or was a member's")


def _licensed(declared: Declaration, invitation: InvitationRow, now_ms: int) -> Declaration:
    # The operator has seen the licence: a declaration does not make it longer.
    ends = [declared.licence_until_ms, invitation.licence_until_ms]
    end = min((end for end in ends if end is not None), default=None)
    if end is not None and end <= now_ms:
        raise LicenceExpired("the declared licence has run out")
    return replace(declared, licence_until_ms=end)


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
