"""Epsilon of every node in both modes, beside the ceiling."""

from typing import Any

from fastapi import APIRouter, Request, Response

from api.http.operator.room import Room
from api.http.web.csv_files import csv_answer
from api.http.web.plots import rows as draw_rows
from coordinator.console.views import Privacy


def privacy_routes(room: Room) -> APIRouter:
    """`/operator/privacy` and its figures."""
    router = room.router()

    @router.get("/privacy")
    def privacy(request: Request) -> Response:
        """Epsilon by node."""
        stamp = room.begin(request)
        found = room.console.privacy()
        drawn = {} if found is None else _drawn(room, request, found)
        return room.page(request, "privacy.html", stamp=stamp, privacy=found, **drawn)

    @router.get("/privacy.csv")
    def numbers(request: Request) -> Response:
        """The same as a table to download."""
        room.sessions.require(request)
        found = room.console.privacy()
        header = ("member_id", "epsilon_promised", "epsilon_alone", "ceiling", "delta")
        rows = [
            (one.member_id, one.promised, one.alone, found.ceiling, found.delta)
            for one in (found.nodes if found is not None else ())
            if found is not None
        ]
        return csv_answer("privacy.csv", header, rows)

    return router


def _drawn(room: Room, request: Request, found: Privacy) -> dict[str, Any]:
    names = room.names()
    ceiling = f"{found.ceiling:.2f}"
    plot, bars = draw_rows(
        [
            (names.get(one.member_id, one.member_id), [(one.promised, "a"), (one.alone, "b")])
            for one in found.nodes
        ],
        (found.ceiling, room.say(request, "ceiling.line", epsilon=ceiling)),
    )
    largest = max(one.promised for one in found.nodes)
    key = "privacy.message.within" if largest <= found.ceiling else "privacy.message.over"
    message = room.say(request, key, largest=f"{largest:.2f}", ceiling=ceiling)
    return {"plot": plot, "rows": bars, "message": message}
