"""All that a coordinator does with members, in one place for its ports and its command line."""

import time
from collections.abc import Mapping

from audit.database import Database
from audit.store import AuditLog
from coordinator.membership.authority import Authority, Endpoints
from coordinator.membership.joining import Admission, JoinAttempt, Joined
from coordinator.membership.overview import MemberView, overview
from coordinator.membership.publisher import Publisher
from coordinator.membership.renewal import Renewal, Renewed, RotationAttempt
from coordinator.membership.standing import Standing
from coordinator.storage import documents, invitations, members
from coordinator.storage.invitations import InvitationRow
from coordinator.storage.members import MemberRow, Sighting
from protocols.canonical import sha256
from protocols.directory import Directory, Status
from protocols.documents import Document, sign_document
from protocols.errors import StateConflict
from protocols.invitations import Invitation
from protocols.keys import SigningKey

# Nodes are told that no directory is older than five minutes.
REISSUE_AFTER_S = 240.0


class Membership:
    """Invites, admits, renews and turns away members; issues the directory."""

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        directory_key: SigningKey,
        authority: Authority,
        endpoints: Endpoints,
    ) -> None:
        self._database = database
        self._publisher = Publisher(database, audit, directory_key)
        self._admission = Admission(self._publisher, authority, endpoints)
        self._standing = Standing(self._publisher)
        self._renewal = Renewal(self._publisher, authority)

    def invite(
        self,
        member_id: str,
        role: str,
        lifetime_s: int,
        now_ms: int,
        licence_until_ms: int | None = None,
    ) -> Invitation:
        """Make a one-time invitation; see `Admission.invite`."""
        return self._admission.invite(member_id, role, lifetime_s, now_ms, licence_until_ms)

    def join(self, attempt: JoinAttempt, now_ms: int) -> Joined:
        """Admit a node; see `Admission.join`."""
        return self._admission.join(attempt, now_ms)

    def renew(
        self, member_id: str, shown: bytes, csr_der: bytes, signature: bytes, now_ms: int
    ) -> Renewed:
        """Issue the caller's next certificate; see `Renewal.renew`."""
        return self._renewal.renew(member_id, shown, csr_der, signature, now_ms)

    def rotate(
        self, member_id: str, shown: bytes, attempt: RotationAttempt, now_ms: int
    ) -> Renewed:
        """Replace the caller's keys; see `Renewal.rotate`."""
        return self._renewal.rotate(member_id, shown, attempt, now_ms)

    def set_status(self, member_id: str, status: Status, now_ms: int) -> Directory:
        """Suspend, revoke or reinstate a member; see `Standing.set_status`."""
        return self._standing.set_status(member_id, status, now_ms)

    def set_licence(
        self, member_id: str, licence: str, until_ms: int | None, now_ms: int
    ) -> Directory:
        """Enter a member's licence; see `Standing.set_licence`."""
        return self._standing.set_licence(member_id, licence, until_ms, now_ms)

    def found(self, catalogue_body: bytes, now_ms: int) -> None:
        """Publish what a network begins with: an empty directory and its first catalogue.

        Raises:
            StateConflict: the network has begun already.
        """
        publisher = self._publisher
        catalogue = sign_document("catalogue", catalogue_body, publisher.key)
        with self._database.write() as connection:
            if documents.newest(connection, "directory") is not None:
                raise StateConflict("this network has a directory already")
            directory = publisher.publish(connection, lambda held: held, now_ms)
            documents.publish(connection, catalogue, now_ms)
            publisher.log(connection, "network.founded", catalogue.key_id, now_ms,
                          directory_version=directory.version,
                          catalogue_version=catalogue.version,
                          catalogue_sha256=sha256(catalogue.body).hex())  # fmt: skip

    def reissue_if_due(self, now_ms: int) -> bool:
        """Issue the directory anew when it is minutes old; call every few seconds."""
        return self._publisher.reissue_if_older_than(REISSUE_AFTER_S, now_ms)

    def document(self, kind: str) -> Document:
        """The document of `kind` in force, as members are given it.

        Raises:
            NotFound: none was published.
        """
        return self._publisher.document(kind)

    def directory(self, now_ms: int | None = None) -> Directory:
        """The directory in force, as it stands now (or at `now_ms`)."""
        return self._publisher.directory().at(_clock() if now_ms is None else now_ms)

    def rows(self) -> list[MemberRow]:
        """Members as stored, in the order they joined."""
        with self._database.read() as connection:
            return members.every(connection)

    def overview(self, now_ms: int) -> list[MemberView]:
        """Members as an operator wants to see them, in the order they joined."""
        return overview(self._publisher.directory(), self.rows(), now_ms)

    def pending_invitations(self, now_ms: int) -> list[InvitationRow]:
        """Invitations that may still be used."""
        with self._database.read() as connection:
            return invitations.pending(connection, now_ms)

    def note_seen(self, seen: Mapping[str, Sighting]) -> None:
        """Note when members last called, and which directory they said they hold."""
        with self._database.write() as connection:
            members.touch(connection, seen)


def _clock() -> int:
    return int(time.time() * 1000)
