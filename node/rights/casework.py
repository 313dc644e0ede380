"""The one place where a request changes: row, event, audit leaf and marks, together.

Person, desk and other members all write through here, inside a transaction of the caller's:

  1. a new state comes from the kind's table (`consent.rights`), or the transaction fails;
  2. every change has an audit leaf in the same transaction, and an event that names it;
  3. an item is marked as disputed exactly while its dispute is open, a person as under review
     exactly while the review is.
"""

from dataclasses import replace
from typing import Any

from audit.database import Connection
from audit.leaf import Entry
from audit.store import AuditLog
from consent.rights import DEADLINES, Event, Kind, State, advance, has_ended
from node.storage import marks, rights
from node.storage.marks import Mark, MarkKind
from node.storage.rights import Happening, Request
from protocols.identifiers import new_id

AUDIT_PURPOSE = "rights"
SUBJECT = "subject"

# After these findings what the person states stays beside the item: it was not found wrong.
_STAYS = frozenset({"answered", "rejected"})


class Casework:
    """Writes requests; stateless, so any thread may use it."""

    def __init__(self, audit: AuditLog, member_id: str) -> None:
        """Write to `audit` as member `member_id`."""
        self._audit = audit
        self._member_id = member_id

    def draft(self, kind: Kind, pseudonym: bytes, now_ms: int, **given: Any) -> Request:
        """A request as it begins, not stored yet."""
        request_id = new_id("rgt")
        values: dict[str, Any] = {
            "origin": self._member_id,
            "origin_request": request_id,
            "due_at_ms": DEADLINES[kind].due_at_ms(now_ms),
            **dict.fromkeys(
                ("source", "signal", "about", "text", "statement", "proposal", "finding",
                 "outcome", "proposed_by", "decided_by", "taken_by"),
                "",
            ),
            "once": None,
            **given,
        }  # fmt: skip
        return Request(
            request_id=request_id,
            kind=kind,
            state=State.OPENED,
            pseudonym=pseudonym,
            opened_at_ms=now_ms,
            ended_at_ms=None,
            **values,
        )

    def open(self, connection: Connection, request: Request, actor: str) -> Request:
        """Store a new request; in effect when the transaction commits."""
        at_ms = request.opened_at_ms
        told = {"text": request.text, "statement": request.statement, "about": request.about}
        seq = self._log(connection, request, "opened", actor, at_ms, told)
        rights.add(connection, request)
        happening = Happening(None, request.state, actor, at_ms, seq)
        rights.add_event(connection, request.request_id, happening)
        if request.kind is Kind.DISPUTE:  # 3
            self._mark_item(connection, request, MarkKind.DISPUTED, at_ms)
        if request.kind is Kind.REVIEW:  # 3
            mark = Mark(MarkKind.REVIEW, "", "", request.cause, at_ms)
            marks.put(connection, request.pseudonym, mark)
        return request

    def step(
        self,
        connection: Connection,
        request: Request,
        event: Event,
        actor: str,
        now_ms: int,
        **changes: Any,
    ) -> Request:
        """Apply an event; the request after it.

        Raises:
            RightsConflict: the table has no such entry.
        """
        state = advance(request.kind, request.state, event)  # 1
        ended = has_ended(request.kind, state)
        changes |= {"state": state, "ended_at_ms": now_ms if ended else None}
        after = replace(request, **changes)
        # Who erased somebody is logged about nobody: the person's own keys are gone by then.
        told = {"outcome": after.outcome, "finding": after.finding, "proposal": after.proposal}
        if state is State.ERASED:
            told = {}
        seq = self._log(connection, after, event.value, actor, now_ms, told)  # 2
        rights.change(connection, request.request_id, **changes)
        happening = Happening(event, state, actor, now_ms, seq)
        rights.add_event(connection, request.request_id, happening)
        if ended:
            self._unmark(connection, after, now_ms)  # 3
        return after

    def note(
        self,
        connection: Connection,
        pseudonym: bytes,
        kind: str,
        actor: str,
        now_ms: int,
        **payload: Any,
    ) -> int:
        """Log an act that is no request's; its leaf's number."""
        entry = Entry(
            kind=kind,
            actor=actor,
            purpose=AUDIT_PURPOSE,
            correlation=str(payload.get("request_id", "")),
            payload=payload,
            subject=pseudonym,
            at_ms=now_ms,
        )
        return self._audit.append(connection, entry).seq

    def _mark_item(
        self, connection: Connection, request: Request, kind: MarkKind, since_ms: int
    ) -> None:
        mark = Mark(
            kind, request.source, request.signal, request.cause, since_ms, request.statement
        )
        marks.put(connection, request.pseudonym, mark)

    def _unmark(self, connection: Connection, request: Request, now_ms: int) -> None:
        person = request.pseudonym
        if request.kind is Kind.REVIEW:
            marks.remove(connection, person, MarkKind.REVIEW, request.cause)
        if request.kind is Kind.DISPUTE:
            marks.remove(connection, person, MarkKind.DISPUTED, request.cause)
            if request.statement and request.finding in _STAYS:
                self._mark_item(connection, request, MarkKind.STATED, now_ms)

    def restate(
        self, connection: Connection, request: Request, statement: str, actor: str, now_ms: int
    ) -> Request:
        """Change what the person states beside a disputed item."""
        after = replace(request, statement=statement)
        self._log(connection, after, "stated", actor, now_ms, {"statement": statement})
        rights.change(connection, request.request_id, statement=statement)
        marks.restate(connection, request.pseudonym, request.cause, statement)
        if request.state is State.CLOSED and request.finding in _STAYS:
            marks.remove(connection, request.pseudonym, MarkKind.STATED, request.cause)
            if statement:
                self._mark_item(connection, after, MarkKind.STATED, now_ms)
        return after

    def _log(
        self,
        connection: Connection,
        request: Request,
        what: str,
        actor: str,
        now_ms: int,
        told: dict[str, Any],
    ) -> int:
        entry = Entry(
            kind=f"rights.{request.kind.value}.{what}",
            actor=actor,
            purpose=AUDIT_PURPOSE,
            correlation=request.origin_request,
            payload={
                "origin": request.origin,
                "source": request.source,
                "signal": request.signal,
                "state": request.state.value,
                "due_at_ms": request.due_at_ms,
                **told,
            },
            subject=None if request.state is State.ERASED else request.pseudonym,
            at_ms=now_ms,
        )
        return self._audit.append(connection, entry).seq
