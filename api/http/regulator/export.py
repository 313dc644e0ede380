"""A range of the log as a signed file, and the list of the registers."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from api.http.regulator.room import Room
from api.http.web.headers import PAGE_HEADERS
from protocols.errors import InvalidInput

NAME = "log.jsonl"


def export_routes(room: Room, registers: Sequence[tuple[str, str]]) -> APIRouter:
    """`/regulator/exports` and the file.

    Args:
        room: of the pages.
        registers: (address below `/regulator/`, key of its words).
    """
    router = room.router()

    @router.get("/exports")
    def exports(request: Request) -> Response:
        """What can be taken away."""
        reader = room.readers.require(request)
        with room.reading(reader, "exports") as connection:
            size = room.oversight.health(connection).size
        return room.page(request, "exports.html", reader, size=size, registers=registers)

    @router.get("/export.jsonl")
    def export(request: Request) -> Response:
        """The leaves of a range, signed."""
        reader = room.readers.require(request)
        start = _number(request, "first") or 0
        end = _number(request, "end")
        with room.reading(reader, "export", {"first": start, "end": end}):
            pass  # a root is signed only once it is committed
        folder = tempfile.TemporaryDirectory(prefix="credence-export-")
        file = Path(folder.name) / NAME
        try:
            room.oversight.export(file, start, end)
        except BaseException:
            folder.cleanup()
            raise
        headers = dict(PAGE_HEADERS)
        return FileResponse(
            file, media_type="application/jsonl", filename=NAME, headers=headers,
            background=BackgroundTask(folder.cleanup),
        )  # fmt: skip

    return router


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name, "").strip()
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise InvalidInput(f"{name}: a whole number")
    return int(text)
