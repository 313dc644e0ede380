"""My data: what is held, and all of it as a file."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response

from api.http.portal.session import PREFIX, PortalSessions
from api.http.web.headers import PAGE_HEADERS
from api.http.web.pages import Pages
from api.http.web.routes import page_router
from node.subject_access.export import SubjectExports, to_csv, to_json
from node.subject_access.holdings import HoldingsReader

ConsentsOf = Callable[[bytes], list[dict[str, Any]]]
"""pseudonym -> the person's consents as JSON, with the artefacts as they were signed."""


def data_routes(
    pages: Pages,
    sessions: PortalSessions,
    holdings: HoldingsReader,
    exports: SubjectExports,
    consents_of: ConsentsOf,
) -> APIRouter:
    """`/portal/data` and its exports."""
    router = page_router(pages, PREFIX)

    @router.get("/data")
    def data(request: Request) -> Response:
        session = sessions.require(request)
        found = holdings.read(session.pseudonym)
        return pages.render(request, "portal/data.html", session=session, holdings=found)

    @router.get("/data/export.json")
    def as_json(request: Request) -> Response:
        return _file(request, "my-data.json", "application/json", to_json)

    @router.get("/data/export.csv")
    def as_csv(request: Request) -> Response:
        return _file(request, "my-data.csv", "text/csv; charset=utf-8", to_csv)

    def _file(
        request: Request, name: str, media_type: str, written: Callable[..., bytes]
    ) -> Response:
        session = sessions.require(request)
        sessions.require_fresh(request, session)
        export = exports.make(session.pseudonym, consents_of(session.pseudonym))
        disposition = f'attachment; filename="{name}"'
        headers = {**PAGE_HEADERS, "Content-Disposition": disposition}
        return Response(written(export), media_type=media_type, headers=headers)

    return router
