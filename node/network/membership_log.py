"""What happened to this node's own membership, in its log.

A new directory is compared with the one before it, in the transaction that stores it: whatever
has changed in this node's entry is a leaf. So the log shows what the coordinator said of this
institution, whether or not it had asked for it. A member that is turned away gets no directory any
more; that it was told so is a leaf, and that it is told so no longer.
"""

import threading
from collections.abc import Callable

from audit.database import Connection, Database
from audit.leaf import Entry
from audit.store import AuditLog
from protocols.directory import Directory, MemberEntry, MemberNotActive, UnknownMember
from protocols.documents import Document

ACTOR = "coordinator"


class MembershipLog:
    """Logs changes of one member's entry."""

    def __init__(self, audit: AuditLog, member_id: str) -> None:
        """Log to `audit` what the directory says of `member_id`."""
        self._audit = audit
        self._member_id = member_id
        self._lock = threading.Lock()
        self._refused = ""  # the code that the coordinator last turned us away with

    def changed(self, connection: Connection, before: Directory | None, after: Directory) -> None:
        """Append what `after` says that `before` did not; nothing when that is nothing."""
        held = _find(before, self._member_id)
        now = _find(after, self._member_id)
        for kind, facts in _differences(held, now):
            payload = {"directory_version": after.version, **facts}
            self._append(connection, kind, payload, after)

    def watching(
        self, fetch: Callable[[str], Document], database: Database, clock: Callable[[], int]
    ) -> Callable[[str], Document]:
        """`fetch`, of which it is logged when the coordinator begins and ends to turn us away.

        Args:
            fetch: asks the coordinator for a document.
            database: where the log is.
            clock: UTC milliseconds now.
        """

        def watched(kind: str) -> Document:
            try:
                document = fetch(kind)
            except (MemberNotActive, UnknownMember) as error:
                self._told(database, error.code, clock())
                raise
            self._told(database, "", clock())
            return document

        return watched

    def _told(self, database: Database, code: str, at_ms: int) -> None:
        with self._lock:
            if code == self._refused:
                return
            kind = "membership.refused" if code else "membership.readmitted"
            entry = Entry(kind=kind, actor=ACTOR, purpose="membership",
                          correlation=self._member_id, payload={"code": code or self._refused},
                          subject=None, at_ms=at_ms)  # fmt: skip
            with database.write() as connection:
                self._audit.append(connection, entry)
            self._refused = code

    def destroyed(self, connection: Connection, key_ids: list[str], at_ms: int) -> None:
        """Append that replaced keys of this node were destroyed."""
        for key_id in key_ids:
            entry = Entry(kind="membership.keys_destroyed", actor=self._member_id,
                          purpose="membership", correlation=self._member_id,
                          payload={"key_id": key_id}, subject=None, at_ms=at_ms)  # fmt: skip
            self._audit.append(connection, entry)

    def _append(
        self, connection: Connection, kind: str, payload: dict[str, object], after: Directory
    ) -> None:
        entry = Entry(kind=kind, actor=ACTOR, purpose="membership", correlation=self._member_id,
                      payload=payload, subject=None, at_ms=after.issued_at_ms)  # fmt: skip
        self._audit.append(connection, entry)


def _find(directory: Directory | None, member_id: str) -> MemberEntry | None:
    if directory is None:
        return None
    return next((one for one in directory.members if one.member_id == member_id), None)


def _differences(
    before: MemberEntry | None, after: MemberEntry | None
) -> list[tuple[str, dict[str, object]]]:
    if after is None:
        return [("membership.removed", {})] if before is not None else []
    certificate: dict[str, object] = {"certificate_sha256": after.certificate_sha256.hex()}
    keys: dict[str, object] = {
        "signing_key": after.signing_key.hex(),
        "sealing_key": after.sealing_key.hex(),
    }
    if before is None:
        return [("membership.entered", {"status": after.status, **certificate, **keys})]
    found: list[tuple[str, dict[str, object]]] = []
    if before.status != after.status:
        found.append(("membership.status", {"status": after.status, "before": before.status}))
    if (before.signing_key, before.sealing_key) != (after.signing_key, after.sealing_key):
        found.append(("membership.keys_rotated", keys))
    if before.certificate_sha256 != after.certificate_sha256:
        found.append(("membership.certificate_renewed", certificate))
    if (before.licence, before.licence_until_ms) != (after.licence, after.licence_until_ms):
        facts: dict[str, object] = {
            "licence": after.licence,
            "licence_until_ms": after.licence_until_ms,
        }
        found.append(("membership.licensed", facts))
    return found
