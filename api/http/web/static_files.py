"""Style sheets and scripts, read once; each address carries the hash of what it leads to.

Only names found at start-up are served, so a path cannot lead anywhere else. An address with the
current hash may be kept for ever; without it (an import between modules) the browser asks again
and is told by the ETag that nothing changed.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

STATIC_PATH = "/static"
_DIRECTORY = Path(__file__).with_name("static")
_TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file: its bytes, media type and the hash that stands in its address."""

    body: bytes
    media_type: str
    digest: str


class StaticFiles:
    """The files by name."""

    def __init__(self, files: Mapping[str, StaticFile]) -> None:
        self._files = files

    @classmethod
    def load(cls, directory: Path = _DIRECTORY) -> Self:
        """The files that ship with this release."""
        found: dict[str, StaticFile] = {}
        for path in sorted(directory.iterdir()):
            if path.suffix in _TYPES:
                body = path.read_bytes()
                digest = hashlib.sha256(body).hexdigest()[:16]
                found[path.name] = StaticFile(body, _TYPES[path.suffix], digest)
        return cls(found)

    def address(self, name: str) -> str:
        """Where a page links to a file."""
        return f"{STATIC_PATH}/{name}?v={self._files[name].digest}"

    def routes(self) -> APIRouter:
        """The route that serves them."""
        router = APIRouter(include_in_schema=False)

        @router.get(STATIC_PATH + "/{name}")
        def static(request: Request, name: str) -> Response:
            found = self._files.get(name)
            if found is None:
                raise HTTPException(404, "no such file")
            return _answer(request, found)

        return router


def _answer(request: Request, found: StaticFile) -> Response:
    tag = f'"{found.digest}"'
    named = request.query_params.get("v") == found.digest
    headers = {
        "ETag": tag,
        "Cache-Control": "public, max-age=31536000, immutable" if named else "no-cache",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(found.body, media_type=found.media_type, headers=headers)
