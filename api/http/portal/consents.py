"""My consents: the list, one with its life, and the receipts."""

import json
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from api.http.portal.names import MemberNames
from api.http.portal.session import PREFIX, PortalSessions
from api.http.web.headers import PAGE_HEADERS
from api.http.web.pages import Pages
from api.http.web.routes import page_router
from consent.lifecycle import Event
from consent.refusals import ConsentUnknown
from node.people.sessions import Session
from node.subject_access.consents import ENDED, RUNNING, WAITING, ConsentDetail, OwnConsents

MAX_SEQ = 2**53
CONSENTS = f"{PREFIX}/consents"
_DONE = frozenset({"granted", "paused", "resumed"})
_WAITING_SHOWN = 10

ResumingOf = Callable[[Session, ConsentDetail], object]
"""How a paused consent is taken up again (`api.http.portal.consent_changes`)."""


def consent_routes(
    pages: Pages,
    sessions: PortalSessions,
    own: OwnConsents,
    names: MemberNames,
    resuming: ResumingOf,
) -> APIRouter:
    """`/portal/consents` and what stands below one of them."""
    router = page_router(pages, PREFIX)

    def show(request: Request, template: str, session: Any, **context: Any) -> Response:
        return pages.render(request, template, session=session, member_name=names.of, **context)

    @router.get("/consents")
    def consents(
        request: Request,
        shown: Annotated[str, Query(alias="show")] = "running",
        before: Annotated[int | None, Query(ge=0, le=MAX_SEQ)] = None,
    ) -> Response:
        session = sessions.require(request)
        ended = shown == "ended"
        page = own.page(session.pseudonym, ENDED if ended else RUNNING, before=before)
        counts = own.counts(session.pseudonym)
        kept = "&show=ended" if ended else ""
        return show(
            request,
            "portal/consents.html",
            session,
            cards=page.cards,
            waiting=own.page(session.pseudonym, WAITING, limit=_WAITING_SHOWN).cards,
            ended=ended,
            running_count=sum(counts.get(state, 0) for state in RUNNING),
            ended_count=sum(counts.get(state, 0) for state in ENDED),
            older=f"?before={page.older}{kept}" if page.older is not None else "",
            newest=f"?show={'ended' if ended else 'running'}" if before is not None else "",
        )

    @router.get("/consents/{consent_id}")
    def consent(request: Request, consent_id: str, done: str = "") -> Response:
        session = sessions.require(request)
        detail = own.one(session.pseudonym, consent_id)
        return show(
            request,
            "portal/consent.html",
            session,
            detail=detail,
            resuming=resuming(session, detail),
            withdrawn=detail.last(Event.WITHDRAW) is not None,
            done=done if done in _DONE else "",
        )

    @router.get("/consents/{consent_id}/withdrawal")
    def withdrawal(request: Request, consent_id: str) -> Response:
        session = sessions.require(request)
        detail = own.one(session.pseudonym, consent_id)
        step = detail.last(Event.WITHDRAW)
        if step is None:
            raise ConsentUnknown("this consent was not withdrawn")
        return show(request, "portal/withdrawal.html", session, detail=detail, step=step)

    _receipts(router, sessions, own, show)
    return router


def _receipts(
    router: APIRouter, sessions: PortalSessions, own: OwnConsents, show: Callable[..., Response]
) -> None:
    @router.get("/consents/{consent_id}/training-proof.json")
    def training_proof(request: Request, consent_id: str) -> Response:
        session = sessions.require(request)
        found = own.training_proof(session.pseudonym, consent_id)
        return _file(f"{consent_id}-training.json", found)

    @router.get("/consents/{consent_id}/receipt")
    def receipt(request: Request, consent_id: str) -> Response:
        session = sessions.require(request)
        detail = own.one(session.pseudonym, consent_id)
        return show(request, "portal/receipt.html", session, detail=detail, now_ms=own.now_ms())

    @router.get("/consents/{consent_id}/receipt.json")
    def receipt_json(request: Request, consent_id: str) -> Response:
        session = sessions.require(request)
        return _file(f"{consent_id}.json", own.receipt(session.pseudonym, consent_id))


def _file(name: str, content: dict[str, Any]) -> Response:
    disposition = f'attachment; filename="{name}"'
    headers = {**PAGE_HEADERS, "Content-Disposition": disposition}
    body = json.dumps(content, ensure_ascii=False, indent=2)
    return Response(body, media_type="application/json", headers=headers)
