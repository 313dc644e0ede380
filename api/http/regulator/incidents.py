"""Incidents, open ones first."""

from fastapi import APIRouter, Request, Response

from api.http.regulator.room import Room
from audit.incidents import every

_HEADER = (
    "incident_id", "kind", "about", "text", "opened_by", "opened_at_ms", "closed_by",
    "closed_at_ms", "outcome",
)  # fmt: skip


def incident_routes(room: Room) -> APIRouter:
    """`/regulator/incidents` and its register."""
    router = room.router()

    @router.get("/incidents")
    def incidents(request: Request) -> Response:
        """All of them."""
        reader = room.readers.require(request)
        with room.reading(reader, "incidents") as connection:
            found = every(connection)
        return room.page(request, "incidents.html", reader, incidents=found)

    room.add_register(router, "incidents.csv", _HEADER, lambda connection: [
        [getattr(one, name) for name in _HEADER] for one in every(connection)
    ])  # fmt: skip
    return router
