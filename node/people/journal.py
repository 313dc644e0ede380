"""What happens to accounts, in the audit log, in the transaction of the act itself.

The leaf, which anybody may come to read, says what kind of thing happened, when, and whether a
person, a member of staff (by an opaque id) or the operator did it. Which account it was stands in
the payload, which is encrypted under the person's key and goes when they are erased. So sign-ins
of one person cannot be told apart from another's by reading the log. No name, address, customer
number, code or key of anybody stands in either.
"""

from collections.abc import Mapping

from audit.database import Connection
from audit.leaf import Entry
from audit.store import AuditLog
from node.people.sessions import DESK, PORTAL
from node.storage import subjects
from node.storage.people import AccountRow
from node.storage.subjects import UnknownSubject

PURPOSE = "account"
OPERATOR = "operator"


class Journal:
    """Writes leaves about accounts."""

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit

    def did(
        self, connection: Connection, kind: str, account: AccountRow, at_ms: int, **facts: str | int
    ) -> None:
        """The owner of an account did something with it."""
        actor = "subject" if account.realm == PORTAL else account.account_id
        self._write(connection, kind, actor, account, at_ms, facts)

    def refused(
        self,
        connection: Connection,
        kind: str,
        realm: str,
        account: AccountRow | None,
        at_ms: int,
        **facts: str | int,
    ) -> None:
        """Somebody, who did not show who they are, failed; None: with nobody's name."""
        self._write(connection, kind, realm, account, at_ms, facts)

    def operated(
        self, connection: Connection, kind: str, account: AccountRow, at_ms: int, **facts: str | int
    ) -> None:
        """The institution did something about an account."""
        self._write(connection, kind, OPERATOR, account, at_ms, facts)

    def issued(self, connection: Connection, realm: str, login: str, at_ms: int) -> None:
        """The institution issued an activation code."""
        subject = pseudonym_of(connection, login) if realm == PORTAL else None
        payload = {"login": login} if realm == DESK else {}
        self._append(connection, "activation.issued", OPERATOR, payload, subject, at_ms)

    def _write(
        self,
        connection: Connection,
        kind: str,
        actor: str,
        account: AccountRow | None,
        at_ms: int,
        facts: Mapping[str, str | int],
    ) -> None:
        subject = None
        if account is not None and account.realm == PORTAL:
            subject = pseudonym_of(connection, account.login)
        known = {} if account is None else {"account_id": account.account_id}
        self._append(connection, kind, actor, {**known, **facts}, subject, at_ms)

    def _append(
        self,
        connection: Connection,
        kind: str,
        actor: str,
        payload: Mapping[str, str | int],
        subject: bytes | None,
        at_ms: int,
    ) -> None:
        entry = Entry(
            kind=kind,
            actor=actor,
            purpose=PURPOSE,
            correlation="",
            payload=payload,
            subject=subject,
            at_ms=at_ms,
        )
        self._audit.append(connection, entry)


def pseudonym_of(connection: Connection, subject_ref: str) -> bytes | None:
    """The pseudonym of a person, or None when the institution knows them no longer."""
    try:
        return subjects.by_ref(connection, subject_ref).pseudonym
    except UnknownSubject:
        return None
