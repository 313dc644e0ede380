"""The API reference of a node, `/docs`: pages of our own over its OpenAPI document.

Nothing is loaded from elsewhere and no script runs. What the API says about itself is English; the
pages' own words are in the reader's language.
"""

from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from api.http.docs_view import reference, sections
from api.http.openapi import Document
from api.http.web.pages import Pages
from api.http.web.routes import page_router


def docs_routes(pages: Pages) -> APIRouter:
    """The overview, and a page for each operation."""
    router = page_router(pages, "/docs", face="docs")

    @router.get("")
    @router.get("/")
    def overview(request: Request) -> Response:
        """How to call the API, and every operation by tag."""
        document = _document(request)
        return pages.render(
            request,
            "docs/overview.html",
            face="docs",
            version=document["info"]["version"],
            sections=sections(document),
            base_url=_base(request),
        )

    @router.get("/{operation_id}")
    def operation(request: Request, operation_id: str) -> Response:
        """Everything about one operation."""
        found = reference(_document(request), operation_id, _base(request))
        if found is None:
            raise HTTPException(404)
        return pages.render(request, "docs/operation.html", face="docs", found=found)

    return router


def _document(request: Request) -> Document:
    found: dict[str, Any] = request.app.openapi()
    return found


def _base(request: Request) -> str:
    return str(request.base_url).rstrip("/")
