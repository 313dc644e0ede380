"""The pages of a node, as routers for `api.http.app.create_app`."""

from fastapi import APIRouter, Response
from starlette.exceptions import HTTPException

from api.http.web.language import Texts
from api.http.web.pages import Pages
from api.http.web.routes import page_router
from api.http.web.static_files import StaticFiles
from node.parts import Node


def faces_of(node: Node) -> list[APIRouter]:
    """The portal and the desk of `node`, and the files their pages link to."""
    static_files = StaticFiles.load()
    pages = Pages(node.settings.name, texts=Texts.load(), static_files=static_files)
    return [
        static_files.routes(),
        # Last: what no page answers.
        *(_nothing_else(pages, face) for face in ("portal", "desk")),
    ]


def _nothing_else(pages: Pages, face: str) -> APIRouter:
    router = page_router(pages, f"/{face}", face=face)

    @router.api_route("/{rest:path}", methods=["GET", "POST"])
    def nothing() -> Response:
        """A page, not a problem document, for an address that leads nowhere."""
        raise HTTPException(404)

    return router
