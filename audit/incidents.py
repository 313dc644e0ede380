"""Incidents: what went wrong that a supervisor asks about, from its opening to its end.

An incident is opened and closed with a leaf each, in the transaction of the row; the leaf's
correlation is the incident's id. Its words are written by staff and name no person.

suspension           a member was suspended or revoked
fork_evidence        this witness was shown two histories of a log; the evidence is kept
quarantine           a log came back older than its witnesses know it
failed_verification  the verifier found damage
breach_notice        personal data leaked, was changed or lost (PIPL, article 57)
"""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, Index, String, Table, Text, insert, select, update

from audit.database import Connection
from audit.leaf import Entry
from audit.store import AuditLog
from audit.tables import metadata
from protocols.errors import InvalidInput, NotFound, StateConflict
from protocols.identifiers import new_id

KINDS = ("suspension", "fork_evidence", "quarantine", "failed_verification", "breach_notice")
MAX_TEXT = 500
MAX_ABOUT = 128

incident = Table(
    "incident",
    metadata,
    Column("incident_id", String(40), primary_key=True),
    Column("kind", String(24), nullable=False),
    Column("about", String(MAX_ABOUT), nullable=False),  # a member, a log or a file; no person
    Column("text", Text, nullable=False),
    Column("opened_by", String(128), nullable=False),
    Column("opened_at_ms", BigInteger, nullable=False),
    Column("closed_by", String(128), nullable=False),
    Column("closed_at_ms", BigInteger, nullable=True),
    Column("outcome", Text, nullable=False),
    Index("ix_incident_opened", "opened_at_ms"),
)


class IncidentUnknown(NotFound):
    """There is no incident by that id."""

    code = "incident_unknown"
    next_step = "See the list of incidents."


class IncidentClosed(StateConflict):
    """The incident was closed already."""

    code = "incident_closed"


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident; fields as the columns of `incident`."""

    incident_id: str
    kind: str
    about: str
    text: str
    opened_by: str
    opened_at_ms: int
    closed_by: str
    closed_at_ms: int | None
    outcome: str

    @property
    def is_open(self) -> bool:
        """Whether it is still open."""
        return self.closed_at_ms is None


def open_incident(
    connection: Connection,
    log: AuditLog,
    *,
    kind: str,
    about: str,
    actor: str,
    at_ms: int,
    text: str = "",
) -> Incident:
    """Open one in the caller's write transaction; one of that kind about the same is kept.

    Args:
        connection: of the transaction.
        log: the log of the process.
        kind: one of `KINDS`.
        about: a member's id, a log's origin or a file's name.
        actor: who says so, as leaves name them.
        at_ms: UTC milliseconds.
        text: what is known; names no person.

    Raises:
        InvalidInput: another kind, or a text that is too long.
    """
    if kind not in KINDS:
        raise InvalidInput(f"an incident is one of {', '.join(KINDS)}")
    before = standing(connection, kind, about)
    if before is not None:
        return before
    row = Incident(
        new_id("inc"), kind, _short(about, MAX_ABOUT), _short(text, MAX_TEXT), actor, at_ms,
        "", None, "",
    )  # fmt: skip
    connection.execute(insert(incident).values(**{one: getattr(row, one) for one in _COLUMNS}))
    facts = {"kind": kind, "about": row.about, "text": row.text}
    log.append(connection, _entry("incident.opened", row, actor, at_ms, facts))
    return row


def close_incident(
    connection: Connection,
    log: AuditLog,
    incident_id: str,
    *,
    actor: str,
    at_ms: int,
    outcome: str = "",
) -> Incident:
    """Close one in the caller's write transaction.

    Raises:
        IncidentUnknown: none by that id.
        IncidentClosed: it was closed before.
        InvalidInput: the outcome is too long.
    """
    row = find(connection, incident_id)
    if not row.is_open:
        raise IncidentClosed("this incident was closed already")
    said = _short(outcome, MAX_TEXT)
    connection.execute(
        update(incident)
        .where(incident.c.incident_id == incident_id)
        .values(closed_by=actor, closed_at_ms=at_ms, outcome=said)
    )
    log.append(connection, _entry("incident.closed", row, actor, at_ms, {"outcome": said}))
    return find(connection, incident_id)


def close_standing(
    connection: Connection,
    log: AuditLog,
    *,
    kind: str,
    about: str,
    actor: str,
    at_ms: int,
    outcome: str = "",
) -> Incident | None:
    """Close the open incident of a kind about something, if there is one."""
    found = standing(connection, kind, about)
    if found is None:
        return None
    return close_incident(
        connection, log, found.incident_id, actor=actor, at_ms=at_ms, outcome=outcome
    )


def fork_recorder(log: AuditLog, actor: str) -> Callable[[Connection, str, bytes, int], None]:
    """What a witness with a log of its own does about a fork: an incident about the forked log."""

    def record(connection: Connection, origin: str, evidence: bytes, at_ms: int) -> None:
        open_incident(
            connection, log, kind="fork_evidence", about=origin, actor=actor, at_ms=at_ms,
            text=f"evidence {evidence.hex()}",
        )  # fmt: skip

    return record


def find(connection: Connection, incident_id: str) -> Incident:
    """One incident.

    Raises:
        IncidentUnknown: none by that id.
    """
    query = select(incident).where(incident.c.incident_id == incident_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise IncidentUnknown("no incident by that id")
    return Incident(**row)


def standing(connection: Connection, kind: str, about: str) -> Incident | None:
    """The open incident of a kind about something, or None."""
    query = select(incident).where(
        incident.c.kind == kind, incident.c.about == about, incident.c.closed_at_ms.is_(None)
    )
    row = connection.execute(query).mappings().first()
    return None if row is None else Incident(**row)


def every(connection: Connection, limit: int = 500) -> list[Incident]:
    """Incidents, open ones first, then the newest."""
    query = (
        select(incident)
        .order_by(
            incident.c.closed_at_ms.is_not(None),
            incident.c.opened_at_ms.desc(),
            incident.c.incident_id,
        )
        .limit(limit)
    )
    return [Incident(**row) for row in connection.execute(query).mappings()]


_COLUMNS = tuple(column.name for column in incident.columns)


def _short(text: str, most: int) -> str:
    clean = " ".join(text.split())
    if len(clean) > most or not clean.isprintable():
        raise InvalidInput(f"this has at most {most} printable characters")
    return clean


def _entry(kind: str, row: Incident, actor: str, at_ms: int, facts: dict[str, str]) -> Entry:
    return Entry(
        kind=kind,
        actor=actor,
        purpose="incident",
        correlation=row.incident_id,
        payload=facts,
        subject=None,
        at_ms=at_ms,
    )
