"""Who looked at my data: the person's part of the log, each entry with its proof."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from api.http.portal.session import PREFIX, PortalSessions
from api.http.web.headers import PAGE_HEADERS
from api.http.web.pages import Pages
from api.http.web.routes import page_router
from audit.witness_view import browser_policy
from node.subject_access.access_log import AccessLog

MAX_SEQ = 2**53


def access_routes(pages: Pages, sessions: PortalSessions, log: AccessLog) -> APIRouter:
    """`/portal/access` and the proofs of its entries."""
    router = page_router(pages, PREFIX)

    @router.get("/access")
    def access(
        request: Request,
        before: Annotated[int | None, Query(ge=0, le=MAX_SEQ)] = None,
        show: str = "looks",
    ) -> Response:
        session = sessions.require(request)
        everything = show == "all"
        page = log.page(session.pseudonym, before=before, looks_only=not everything)
        kept = "&show=all" if everything else ""
        return pages.render(
            request,
            "portal/access.html",
            session=session,
            entries=page.entries,
            everything=everything,
            policy=browser_policy(log.policy()),
            older=f"?before={page.older}{kept}" if page.older is not None else "",
            newest=f"?show={'all' if everything else 'looks'}" if before is not None else "",
        )

    @router.get("/access/{seq}/proof.json")
    def proof(request: Request, seq: Annotated[int, Path(ge=0, le=MAX_SEQ)]) -> Response:
        session = sessions.require(request)
        found = log.proof(session.pseudonym, seq)
        name = f'attachment; filename="entry-{seq}.json"'
        return JSONResponse(found.to_json(), headers={**PAGE_HEADERS, "Content-Disposition": name})

    return router
