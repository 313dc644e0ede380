"""What the relay carried, and the key ceremonies: the coordinator's other two works."""

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request, Response

from api.http.operator.room import Room, size_text
from api.http.web.csv_files import csv_answer
from api.http.web.plots import columns
from coordinator.ceremonies.lifecycle import STATES
from coordinator.console.views import Traffic

_TICK_HOURS = 6


def relay_routes(room: Room) -> APIRouter:
    """`/operator/relay`, its figures, and `/operator/ceremonies`."""
    router = room.router()

    @router.get("/relay")
    def relay(request: Request) -> Response:
        """Volume by hour and pair."""
        stamp = room.begin(request)
        traffic = room.console.traffic()
        drawn = _drawn(room, request, traffic)
        return room.page(request, "relay.html", stamp=stamp, traffic=traffic, **drawn)

    @router.get("/relay.csv")
    def numbers(request: Request) -> Response:
        """The volume by hour as a table to download."""
        room.sessions.require(request)
        hours = room.console.traffic().hours
        rows = [(at_ms, one.calls, one.sealed_bytes) for at_ms, one in hours]
        return csv_answer("relay.csv", ("hour_begins_at_ms", "calls", "sealed_bytes"), rows)

    @router.get("/ceremonies")
    def ceremonies(request: Request) -> Response:
        """All key ceremonies."""
        stamp = room.begin(request)
        found = room.console.ceremonies()
        return room.page(request, "ceremonies.html", stamp=stamp, ceremonies=found, order=STATES)

    return router


def _drawn(room: Room, request: Request, traffic: Traffic) -> dict[str, Any]:
    starts = [datetime.fromtimestamp(at_ms / 1000, UTC) for at_ms, _ in traffic.hours]
    labels = [f"{at:%H}:00" if at.hour % _TICK_HOURS == 0 else "" for at in starts]
    plot, drawn = columns([one.sealed_bytes / 1024 for _, one in traffic.hours], labels)
    message = room.say(
        request,
        "relay.message",
        count=traffic.whole.calls,
        size=size_text(traffic.whole.sealed_bytes),
    )
    return {"plot": plot, "columns": drawn, "message": message}
