"""Leaves about API clients: what an operator changed, and tokens that were given out."""

from typing import Any

from audit.database import Connection
from audit.leaf import Entry
from audit.store import AuditLog

OPERATOR = "operator"


class ClientJournal:
    """Writes leaves about clients, in the transaction of what they tell."""

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit

    def note(
        self, connection: Connection, kind: str, client_id: str, now_ms: int, **payload: Any
    ) -> None:
        """An act of the operator."""
        self._write(connection, kind, OPERATOR, client_id, now_ms, payload)

    def issued(self, connection: Connection, client_id: str, now_ms: int, **payload: Any) -> None:
        """A client was given an access token."""
        self._write(connection, "client.token_issued", client_id, client_id, now_ms, payload)

    def _write(
        self,
        connection: Connection,
        kind: str,
        actor: str,
        client_id: str,
        now_ms: int,
        payload: dict[str, Any],
    ) -> None:
        entry = Entry(
            kind=kind,
            actor=actor,
            purpose="api",
            correlation=client_id,
            payload={"client_id": client_id, **payload},
            subject=None,
            at_ms=now_ms,
        )
        self._audit.append(connection, entry)
