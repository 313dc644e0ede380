"""One institution: the morning's page and its registers."""

from typing import Any

from fastapi import APIRouter, Request, Response

from api.http.regulator.charts import by_day, days_left
from api.http.regulator.room import Room
from api.http.regulator.spent import spent_chart
from api.http.web.plots import Column, Plot
from audit.database import Connection
from consent.rights import DEADLINES, Kind
from node.oversight.counts import SMALLEST, as_text
from node.oversight.reader import PURPOSES, STATES, Epsilon, Institution, InstitutionReader
from node.retention.schedule import SCHEDULE
from node.retention.service import RetentionService
from node.storage.oversight import DAY_MS

DISPUTE_DAYS = DEADLINES[Kind.DISPUTE].days
SOON_DAYS = 5
_DEADLINES = (
    "request_id", "kind", "state", "origin", "source", "opened_at_ms", "due_at_ms", "ended_at_ms",
)  # fmt: skip


def institution_routes(
    room: Room, reader_of: InstitutionReader, retention: RetentionService
) -> APIRouter:
    """`/regulator/` and the registers of a node."""
    router = room.router()
    _morning(router, room, reader_of)
    _registers(router, room, reader_of)
    _retention(router, room, retention)
    return router


def _morning(router: APIRouter, room: Room, reader_of: InstitutionReader) -> None:
    @router.get("/")
    def morning(request: Request) -> Response:
        """What a supervisor wants to see first."""
        reader = room.readers.require(request)
        now_ms = room.oversight.clock()
        with room.reading(reader, "morning") as connection:
            found = reader_of.read(connection, now_ms)
            health = room.oversight.health(connection)
        return room.page(
            request, "institution.html", reader, found=found, health=health, states=_states(found),
            purposes=PURPOSES, smallest=SMALLEST, late=_late(found, now_ms),
            soon=_soon(found, now_ms), **_drawn(room, request, found, now_ms),
        )  # fmt: skip

    def consents(connection: Connection) -> list[tuple[str, ...]]:
        counts = reader_of.consents(connection)
        return [
            (state, purpose, as_text(counts.get((state, purpose), 0)))
            for state in STATES
            for purpose in PURPOSES
        ]

    room.add_register(router, "consents.csv", ("state", "purpose", "consents"), consents)
    header = ("day_begins_at_ms", "releases", "refusals", "scores")
    room.add_register(router, "days.csv", header, lambda connection: [
        (one.starts_at_ms, as_text(one.releases), as_text(one.refusals), as_text(one.scores))
        for one in reader_of.days(connection, room.oversight.clock())
    ])  # fmt: skip


def _registers(router: APIRouter, room: Room, reader_of: InstitutionReader) -> None:
    @router.get("/requests")
    def requests(request: Request) -> Response:
        """Requests of people and their deadlines, without the people."""
        reader = room.readers.require(request)
        with room.reading(reader, "requests") as connection:
            waiting, ended = reader_of.deadlines(connection)
        return room.page(
            request, "requests.html", reader, waiting=waiting, ended=ended, day_ms=DAY_MS
        )

    room.add_register(router, "requests.csv", _DEADLINES, lambda connection: [
        [getattr(one, name) for name in _DEADLINES]
        for some in reader_of.deadlines(connection)
        for one in some
    ])  # fmt: skip

    @router.get("/epsilon")
    def epsilon(request: Request) -> Response:
        """The privacy ledger beside its ceiling."""
        reader = room.readers.require(request)
        with room.reading(reader, "epsilon") as connection:
            found = reader_of.epsilon(connection)
        return room.page(
            request, "epsilon.html", reader, ledgers=found, **_epsilon(room, request, found)
        )

    header = (
        "population", "epsilon", "ceiling", "epsilon_alone", "ceiling_alone", "delta", "charges",
        "at_ms",
    )  # fmt: skip
    room.add_register(router, "epsilon.csv", header, lambda connection: [
        (one.spent.population, one.spent.epsilon, one.ceiling, one.spent.epsilon_alone,
         one.ceiling_alone, one.spent.delta, one.spent.charges, one.spent.at_ms)
        for one in reader_of.epsilon(connection)
    ])  # fmt: skip


def _retention(router: APIRouter, room: Room, retention: RetentionService) -> None:
    @router.get("/retention")
    def schedules(request: Request) -> Response:
        """Schedules, what is due, holds and runs; of whom a hold is, is not said."""
        reader = room.readers.require(request)
        with room.reading(reader, "retention") as connection:
            found = retention.overview(connection)
        return room.page(request, "retention.html", reader, found=found, schedule=SCHEDULE)


def _states(found: Institution) -> list[str]:
    """Those in force, and others that occur."""
    occurring = {state for state, _ in found.consents}
    return [one for one in STATES if one == STATES[0] or one in occurring]


def _late(found: Institution, now_ms: int) -> int:
    return sum(one.due_at_ms <= now_ms for one in found.waiting)


def _soon(found: Institution, now_ms: int) -> int:
    return sum(0 < one.due_at_ms - now_ms <= SOON_DAYS * DAY_MS for one in found.waiting)


def _drawn(room: Room, request: Request, found: Institution, now_ms: int) -> dict[str, Any]:
    releases, release_columns = by_day(found.days, "releases")
    scores, score_columns = by_day(found.days, "scores")
    drawn: dict[str, Any] = {
        "releases": _drawable(releases, release_columns),
        "release_columns": release_columns,
        "releases_message": _days_message(room, request, found, "releases"),
        "scores": _drawable(scores, score_columns),
        "score_columns": score_columns,
        "scores_message": _days_message(room, request, found, "scores"),
        "left": None,
    }
    if found.waiting:
        line = room.say(request, "left.line", count=DISPUTE_DAYS)
        plot, bars = days_left(found.waiting, now_ms, DISPUTE_DAYS, line)
        drawn |= {"left": plot, "left_bars": bars}
    return drawn | _epsilon(room, request, found.epsilon)


def _drawable(plot: Plot, drawn: tuple[Column, ...]) -> Plot | None:
    """No axes without a column."""
    return plot if any(one.height for one in drawn) else None


def _days_message(room: Room, request: Request, found: Institution, name: str) -> str:
    counts = [getattr(day, name) for day in found.days]
    if not any(one is None or one for one in counts):
        return room.say(request, f"{name}.none")
    largest = max(one or 0 for one in counts)
    if not largest:
        return room.say(request, f"{name}.few", smallest=SMALLEST)
    return room.say(request, f"{name}.message", largest=f"{largest:,}", smallest=SMALLEST)


def _epsilon(room: Room, request: Request, found: "tuple[Epsilon, ...]") -> dict[str, Any]:
    if not found:
        return {"epsilon": None}
    of_each = [(one.spent.population, one.spent.epsilon, one.spent.epsilon_alone) for one in found]
    return spent_chart(room, request, of_each, found[0].ceiling)
