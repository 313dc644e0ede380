"""Whether a member may act: suspended, revoked, reinstated; under which licence, until when.

In force at the coordinator with the commit, at every node with the next directory it gets.
"""

from dataclasses import replace

from audit.database import Connection
from audit.incidents import close_standing, open_incident
from coordinator.membership.authority import ACTOR
from coordinator.membership.publisher import Publisher
from protocols.directory import Directory, MemberEntry, Status
from protocols.errors import InvalidInput, StateConflict


class Standing:
    """Changes the standing of members."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def set_status(self, member_id: str, status: Status, now_ms: int) -> Directory:
        """Suspend, revoke or reinstate a member; in force with the directory returned.

        Raises:
            NotFound: no member by that id.
            StateConflict: the member has that status, or is revoked (which is final).
        """

        def changed(entry: MemberEntry) -> MemberEntry:
            if entry.status in {status, "revoked"}:
                raise StateConflict(f"{member_id} is {entry.status}")
            return replace(entry, status=status)

        with self._publisher.database.write() as connection:
            document = self._publisher.change_member(connection, member_id, changed, now_ms)
            kind = "member.reinstated" if status == "active" else f"member.{status}"
            version = document.version
            self._publisher.log(
                connection, kind, member_id, now_ms, member_id=member_id, directory_version=version
            )
            self._note(connection, member_id, status, now_ms)
            return Directory.from_body(document.body)

    def _note(self, connection: Connection, member_id: str, status: Status, now_ms: int) -> None:
        """A member that may not act is an incident until it may again."""
        log = self._publisher.audit
        if status != "active":
            open_incident(
                connection, log, kind="suspension", about=member_id, actor=ACTOR, at_ms=now_ms,
                text=status,
            )  # fmt: skip
            return
        close_standing(
            connection, log, kind="suspension", about=member_id, actor=ACTOR, at_ms=now_ms,
            outcome=status,
        )  # fmt: skip

    def set_licence(
        self, member_id: str, licence: str, until_ms: int | None, now_ms: int
    ) -> Directory:
        """Enter a member's licence; one that had lapsed may act again.

        Args:
            member_id: whose.
            licence: its number.
            until_ms: its end, UTC milliseconds; None: it does not end.
            now_ms: UTC milliseconds.

        Raises:
            NotFound: no member by that id.
            InvalidInput: the number has the wrong form, or the licence is over.
        """
        if until_ms is not None and until_ms <= now_ms:
            raise InvalidInput("that licence has run out", next_step="Suspend the member instead.")

        def changed(entry: MemberEntry) -> MemberEntry:
            return replace(entry, licence=licence, licence_until_ms=until_ms)

        with self._publisher.database.write() as connection:
            document = self._publisher.change_member(connection, member_id, changed, now_ms)
            self._publisher.log(connection, "member.licensed", member_id, now_ms,
                                member_id=member_id, licence=licence, licence_until_ms=until_ms,
                                directory_version=document.version)  # fmt: skip
            return Directory.from_body(document.body)
