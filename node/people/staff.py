"""The institution's staff at the desk: who they are and what they may do."""

import re
from collections.abc import Callable, Collection

from audit.database import Connection, Database
from node.people.accounts import Accounts, IssuedCode, new_account
from node.people.journal import Journal
from node.people.sessions import DESK
from node.storage import people, web_sessions
from node.storage.people import AccountRow
from protocols.errors import InvalidInput, NotFound, StateConflict

ROLES = ("desk", "privacy_officer", "admin", "regulator")

_LOGIN = re.compile(r"[a-z][a-z0-9._-]{1,39}")
_MAX_NAME = 120


class StaffExists(StateConflict):
    """There is or was a member of staff by that sign-in name."""

    code = "staff_exists"
    next_step = "Choose another sign-in name, so that the log stays clear."


class StaffUnknown(NotFound):
    """No member of staff by that sign-in name."""

    code = "staff_unknown"
    next_step = "See `credence node staff list HOME`."


class Staff:
    """Adds, changes and removes accounts of staff; each change is in the audit log."""

    def __init__(
        self,
        *,
        database: Database,
        accounts: Accounts,
        journal: Journal,
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._journal = journal
        self._clock = clock

    def add(self, login: str, name: str, roles: Collection[str]) -> tuple[AccountRow, IssuedCode]:
        """A new member of staff, and the code that opens their account once.

        Args:
            login: what they sign in with: a letter, then 1 to 39 of `a-z 0-9 . _ -`.
            name: as colleagues see it.
            roles: of `ROLES`.

        Raises:
            InvalidInput: a name or role of the wrong form.
            StaffExists: the sign-in name is taken.
        """
        if _LOGIN.fullmatch(login) is None:
            raise InvalidInput("a sign-in name is a letter, then 1 to 39 of a-z, 0-9 and ._-")
        if not name.strip() or len(name) > _MAX_NAME or not name.isprintable():
            raise InvalidInput(f"a name is 1 to {_MAX_NAME} printable characters")
        now_ms = self._clock()
        row = new_account(DESK, login, now_ms, name=name.strip(), roles=_checked(roles))
        with self._database.write() as connection:
            if people.by_login(connection, DESK, login) is not None:
                raise StaffExists(f"there is or was a member of staff {login!r}")
            people.add(connection, row)
            self._journal.operated(connection, "staff.added", row, now_ms, roles=row.roles)
            return row, self._accounts.issue(connection, DESK, login)

    def every(self) -> list[AccountRow]:
        """All members of staff, closed accounts too, oldest first."""
        with self._database.read() as connection:
            return people.every(connection, DESK)

    def set_roles(self, login: str, roles: Collection[str]) -> None:
        """Give these roles and no others, from the next request on.

        Raises:
            InvalidInput: a role that there is not.
            StaffUnknown: nobody by that sign-in name, or their account is closed.
        """
        text = " ".join(_checked(roles))
        with self._database.write() as connection:
            row = _open(connection, login)
            people.set_roles(connection, row.account_id, text)
            self._journal.operated(
                connection, "staff.roles_changed", row, self._clock(), roles=text
            )

    def new_code(self, login: str) -> IssuedCode:
        """A code for somebody who lost what opens their account; their sessions end.

        Raises:
            StaffUnknown: nobody by that sign-in name, or their account is closed.
        """
        with self._database.write() as connection:
            row = _open(connection, login)
            web_sessions.end_all(connection, row.account_id)
            return self._accounts.issue(connection, DESK, login)

    def close(self, login: str) -> None:
        """Let the account be opened no more, from the next request on.

        Raises:
            StaffUnknown: nobody by that sign-in name, or their account is closed already.
        """
        with self._database.write() as connection:
            self._accounts.close(connection, _open(connection, login))


def _checked(roles: Collection[str]) -> list[str]:
    if not roles or not set(roles) <= set(ROLES):
        raise InvalidInput(f"roles are of {', '.join(ROLES)}")
    if "regulator" in roles and len(set(roles)) > 1:
        raise InvalidInput("a regulator has no other role: who supervises does not work here")
    return sorted(set(roles))


def _open(connection: Connection, login: str) -> AccountRow:
    row = people.by_login(connection, DESK, login)
    if row is None or row.closed_at_ms is not None:
        raise StaffUnknown(f"no member of staff {login!r}")
    return row
