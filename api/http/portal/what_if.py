"""What would change my score: a form and what it comes to, computed here and kept nowhere."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api.http.portal.session import PREFIX, PortalSessions
from api.http.web.pages import Pages
from api.http.web.routes import page_router
from node.scoring.inputs import ScoreInputsGone
from node.scoring.what_if import MONTHS, UTILISATIONS, Choice, Tried, WhatIf

Number = Annotated[int, Query(ge=0, le=100)]


def what_if_routes(pages: Pages, sessions: PortalSessions, what_if: WhatIf) -> APIRouter:
    """`/portal/score/what-if`."""
    router = page_router(pages, PREFIX)

    @router.get("/score/what-if")
    def page(
        request: Request,
        utilisation: Number = 0,
        on_time: Number = 0,
        in_full: Annotated[str, Query(max_length=1)] = "",
    ) -> Response:
        session = sessions.require(request)
        choice = Choice(utilisation, on_time, bool(in_full))
        asked = choice != Choice()
        tried: Tried | None = None
        if asked:
            try:
                tried = what_if.try_out(session.subject_ref, session.pseudonym, choice)
            except ScoreInputsGone:
                tried = None

        def say(key: str, **arguments: int) -> str:
            return pages.say(request, f"score.what_if.{key}", session, **arguments)

        as_is = (0, say("as_is"))
        return pages.render(
            request,
            "portal/what_if.html",
            session=session,
            asked=asked,
            tried=tried,
            chosen=choice,
            utilisations=[as_is, *((one, say("percent", percent=one)) for one in UTILISATIONS)],
            months=[as_is, *((one, say("months", count=one)) for one in MONTHS)],
        )

    return router
