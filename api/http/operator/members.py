"""Members: who is there, and whose certificate or licence ends."""

from fastapi import APIRouter, Request, Response

from api.http.operator.room import Room
from api.http.web.csv_files import csv_answer

_HEADER = (
    "member_id",
    "name",
    "role",
    "status",
    "online",
    "last_seen_at_ms",
    "certificate_days",
    "licence_days",
    "directory_version",
)


def member_routes(room: Room) -> APIRouter:
    """`/operator/members` and its figures."""
    router = room.router()

    @router.get("/members")
    def members(request: Request) -> Response:
        """All members."""
        stamp = room.begin(request)
        lines = room.console.members()
        return room.page(request, "members.html", stamp=stamp, members=lines)

    @router.get("/members.csv")
    def numbers(request: Request) -> Response:
        """The same as a table to download."""
        room.sessions.require(request)
        rows = [
            (
                line.facts.member_id,
                line.facts.name,
                line.facts.role,
                line.facts.status,
                int(line.online),
                line.facts.last_seen_at_ms,
                line.certificate_days,
                line.licence_days,
                line.facts.acknowledged_version,
            )
            for line in room.console.members()
        ]
        return csv_answer("members.csv", _HEADER, rows)

    return router
