"""Counts that a supervisor reads of a node, and its registers without personal data."""

from dataclasses import dataclass

from sqlalchemy import func, select

from audit.database import Connection
from node.storage.exchange import OUT
from node.storage.rights_tables import rights_request
from node.storage.tables import bundle, consent, document, privacy_charge, release, score

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class DeadlineRow:
    """A request of a person without the person, and without what they wrote."""

    request_id: str
    kind: str
    state: str
    origin: str
    source: str
    opened_at_ms: int
    due_at_ms: int
    ended_at_ms: int | None


@dataclass(frozen=True, slots=True)
class SpentRow:
    """The newest line of one population's privacy ledger."""

    population: str
    epsilon: float
    epsilon_alone: float
    delta: float
    charges: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A bundle that this node took up."""

    version: str
    active: bool
    received_at_ms: int


def consent_counts(connection: Connection) -> dict[tuple[str, str], int]:
    """How many consents there are, by (state, purpose); one of two purposes counts twice."""
    query = select(consent.c.state, consent.c.purposes, func.count()).group_by(
        consent.c.state, consent.c.purposes
    )
    found: dict[tuple[str, str], int] = {}
    for state, purposes, number in connection.execute(query):
        for purpose in str(purposes).split():
            found[state, purpose] = found.get((state, purpose), 0) + int(number)
    return found


def releases_by_day(connection: Connection, since_ms: int) -> dict[tuple[int, bool], int]:
    """Answers of this node to others since a time: (day since 1970, refused) -> how many."""
    day = release.c.at_ms.op("/")(DAY_MS)
    refused = release.c.refusal != ""
    query = (
        select(day, refused, func.count())
        .where(release.c.direction == OUT, release.c.at_ms >= since_ms)
        .group_by(day, refused)
    )
    return {(int(one), bool(no)): int(number) for one, no, number in connection.execute(query)}


def scores_by_day(connection: Connection, since_ms: int) -> dict[int, int]:
    """Scores given out since a time: day since 1970 -> how many are still kept."""
    day = score.c.at_ms.op("/")(DAY_MS)
    query = select(day, func.count()).where(score.c.at_ms >= since_ms).group_by(day)
    return {int(one): int(number) for one, number in connection.execute(query)}


def deadlines(connection: Connection, *, ended: bool, limit: int = 500) -> list[DeadlineRow]:
    """Requests of people: open ones by deadline, or ended ones, the newest first."""
    c = rights_request.c
    query = select(
        c.request_id, c.kind, c.state, c.origin, c.source, c.opened_at_ms, c.due_at_ms,
        c.ended_at_ms,
    )  # fmt: skip
    if ended:
        query = query.where(c.ended_at_ms.is_not(None)).order_by(c.ended_at_ms.desc())
    else:
        query = query.where(c.ended_at_ms.is_(None)).order_by(c.due_at_ms)
    return [DeadlineRow(*row) for row in connection.execute(query.limit(limit))]


def epsilon_spent(connection: Connection) -> list[SpentRow]:
    """What each population's ledger stands at."""
    c = privacy_charge.c
    newest = (
        select(func.max(c.charge_id).label("charge_id"), func.count().label("charges"))
        .group_by(c.population)
        .subquery()
    )
    query = (
        select(
            c.population, c.epsilon_after, c.epsilon_alone_after, c.delta, newest.c.charges,
            c.at_ms,
        )
        .join(newest, newest.c.charge_id == c.charge_id)
        .order_by(c.population)
    )  # fmt: skip
    return [SpentRow(*row) for row in connection.execute(query)]


def models(connection: Connection, limit: int = 50) -> list[ModelRow]:
    """Model versions that this node took up, the newest first."""
    query = (
        select(bundle.c.version, bundle.c.active, bundle.c.received_at_ms)
        .order_by(bundle.c.received_at_ms.desc())
        .limit(limit)
    )
    return [ModelRow(*row) for row in connection.execute(query)]


def document_versions(connection: Connection) -> dict[str, int]:
    """The version in force of each of the network's documents."""
    query = select(document.c.kind, func.max(document.c.version)).group_by(document.c.kind)
    return {str(kind): int(version) for kind, version in connection.execute(query)}
