"""API clients: made, recognised by their bearer token, revoked.

A token is `<client id>.<secret>`; the secret is 256 random bits, shown once and kept only as its
SHA-256. The id finds the row, so that the comparison of the hash takes the same time whatever the
secret is.
"""

import hmac
import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from audit.database import Connection, Database
from audit.leaf import Entry
from audit.store import AuditLog
from node.scoring.refusals import Refusals
from node.storage import clients
from node.storage.clients import ClientRow
from protocols.canonical import b64url_encode, sha256
from protocols.errors import CredenceError, InvalidInput, NotFound, StateConflict
from protocols.identifiers import new_id

SCOPES = ("scores:read", "scores:write")
"""What a client gets when nothing else is said."""
LOG_SCOPE = "log:read"
ALL_SCOPES = (*SCOPES, LOG_SCOPE)
SECRET_BYTES = 32
MAX_TOKEN_CHARACTERS = 128
ACTOR = "operator"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,119}")


def clock() -> int:
    """UTC milliseconds."""
    return int(time.time() * 1000)


class TokenRefused(CredenceError):
    """No bearer token, an unknown one, or one that was revoked; which is not said."""

    code = "token_refused"
    category = "unauthenticated"
    next_step = "Send `Authorization: Bearer <token>`; `credence client add HOME` makes one."


class ScopeMissing(CredenceError):
    """The token does not carry the scope that this call needs."""

    code = "scope_missing"
    category = "forbidden"
    next_step = "Ask the node's operator for a client with this scope."


class ClientExists(StateConflict):
    """There is or was a client by that name."""

    code = "client_exists"
    next_step = "Choose another name, so that the log stays clear."


@dataclass(frozen=True)
class Client:
    """A client that was recognised."""

    client_id: str
    name: str
    scopes: frozenset[str]

    def require(self, scope: str) -> None:
        """Check for a scope.

        Raises:
            ScopeMissing: the client lacks it.
        """
        if scope not in self.scopes:
            raise ScopeMissing(f"this token does not carry the scope {scope}")


class Clients:
    """The API clients of one node."""

    def __init__(
        self, database: Database, audit: AuditLog, now_ms: Callable[[], int] = clock
    ) -> None:
        self._database = database
        self._audit = audit
        self._refusals = Refusals(database, audit, now_ms)

    def add(self, name: str, now_ms: int, scopes: Sequence[str] = SCOPES) -> tuple[ClientRow, str]:
        """Make a client; its row and its token, which is nowhere else.

        Raises:
            InvalidInput: a name or scope of the wrong form.
            ClientExists: the name is taken.
        """
        if _NAME.fullmatch(name) is None:
            raise InvalidInput("a client's name is 1 to 120 letters, digits, blanks and ._-")
        if not scopes or not set(scopes) <= set(ALL_SCOPES):
            raise InvalidInput(f"scopes are of {', '.join(ALL_SCOPES)}")
        secret = b64url_encode(secrets.token_bytes(SECRET_BYTES))
        row = ClientRow(
            client_id=new_id("cli"),
            name=name,
            token_sha256=sha256(secret.encode()),
            scopes=" ".join(sorted(set(scopes))),
            created_at_ms=now_ms,
        )
        with self._database.write() as connection:
            if clients.by_name(connection, name) is not None:
                raise ClientExists(f"there is a client {name!r} already")
            clients.add(connection, row)
            self._log(connection, "client.added", row.client_id, now_ms, row.scopes)
        return row, f"{row.client_id}.{secret}"

    def recognise(self, token: str) -> Client:
        """The client whose token this is; that one was refused is logged.

        Raises:
            TokenRefused: nobody's, or a revoked client's.
        """
        client_id, _, secret = token[:MAX_TOKEN_CHARACTERS].partition(".")
        with self._database.glance() as connection:
            row = clients.find(connection, client_id)
        # An unknown id takes the same path as a wrong secret.
        expected = row.token_sha256 if row is not None else bytes(32)
        matches = hmac.compare_digest(sha256(secret.encode()), expected)
        if row is None or not matches or row.revoked_at_ms is not None:
            self._refusals.note(None if row is None else row.client_id, TokenRefused.code)
            raise TokenRefused("the bearer token is not one of a valid client")
        return Client(row.client_id, row.name, frozenset(row.scopes.split()))

    def require(self, client: Client, scope: str) -> None:
        """Check for a scope; that it was missing is logged.

        Raises:
            ScopeMissing: the client lacks it.
        """
        try:
            client.require(scope)
        except ScopeMissing:
            self._refusals.note(client.client_id, ScopeMissing.code)
            raise

    def every(self) -> list[ClientRow]:
        """All clients, oldest first."""
        with self._database.read() as connection:
            return clients.every(connection)

    def revoke(self, name: str, now_ms: int) -> ClientRow:
        """Make a client's token open nothing, from its next call on.

        Raises:
            NotFound: no valid client by that name or id.
        """
        with self._database.write() as connection:
            row = clients.by_name(connection, name) or clients.find(connection, name)
            if row is None or not clients.revoke(connection, row.client_id, now_ms):
                raise NotFound(f"no valid client {name!r}")
            self._log(connection, "client.revoked", row.client_id, now_ms, row.scopes)
        return row

    def _log(
        self, connection: Connection, kind: str, client_id: str, now_ms: int, scopes: str
    ) -> None:
        entry = Entry(
            kind=kind,
            actor=ACTOR,
            purpose="api",
            correlation=client_id,
            payload={"client_id": client_id, "scopes": scopes},
            subject=None,
            at_ms=now_ms,
        )
        self._audit.append(connection, entry)
