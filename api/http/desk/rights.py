"""The desk's pages: what people ask for, by deadline; each with its person, its past, its steps."""

from collections.abc import Callable

from fastapi import APIRouter, Request, Response

from api.http.desk.session import PREFIX, DeskSessions
from api.http.portal.names import MemberNames
from api.http.web.forms import Form, SentForm
from api.http.web.pages import Pages
from api.http.web.routes import SeeOther, page_router, see_other
from consent.right_notices import decimal_value
from consent.rights import DEADLINES, MAX_TEXT, Kind
from node.people.sessions import StaffSession
from node.rights.desk import MAX_REASON
from node.rights.errors import RequestUnknown
from node.rights.service import RightsService
from node.rights.steps import DESK, PRIVACY_OFFICER, Action, Clerk

ROLES = (DESK, PRIVACY_OFFICER)
_FIELD = 4 * MAX_TEXT


def desk_rights_routes(
    pages: Pages,
    sessions: DeskSessions,
    rights: RightsService,
    names: MemberNames,
    now_ms: Callable[[], int],
) -> APIRouter:
    """`/desk/` and below."""
    router = page_router(pages, PREFIX, face="desk")
    _queue(router, pages, sessions, rights, names, now_ms)
    _case(router, pages, sessions, rights, names, now_ms)
    _person(router, pages, sessions, rights, names)
    return router


def _queue(
    router: APIRouter,
    pages: Pages,
    sessions: DeskSessions,
    rights: RightsService,
    names: MemberNames,
    now_ms: Callable[[], int],
) -> None:
    @router.get("/")
    def waiting(request: Request, kind: str = "") -> Response:
        if sessions.require(request).roles == frozenset({"regulator"}):
            raise SeeOther("/regulator/")  # staff of another kind: their pages are there
        session = sessions.require(request, *ROLES)
        clerk = _clerk(session)
        chosen = [Kind(kind)] if kind in set(Kind) else []
        return pages.render(
            request,
            "desk/queue.html",
            session=session,
            face="desk",
            requests=rights.desk.waiting(clerk, *chosen),
            counts=rights.desk.counts(clerk),
            kinds=list(Kind),
            chosen=chosen[0] if chosen else None,
            own=rights.member_id,
            member_name=names.of,
            now_ms=now_ms(),
        )

    @router.get("/ended")
    def ended(request: Request) -> Response:
        session = sessions.require(request, *ROLES)
        return pages.render(
            request,
            "desk/ended.html",
            session=session,
            face="desk",
            requests=rights.desk.ended(_clerk(session)),
            member_name=names.of,
        )

    @router.get("/statements")
    def statements(request: Request) -> Response:
        session = sessions.require(request, *ROLES)
        return pages.render(
            request,
            "desk/statements.html",
            session=session,
            face="desk",
            requests=rights.desk.stated(_clerk(session)),
            member_name=names.of,
        )


def _case(
    router: APIRouter,
    pages: Pages,
    sessions: DeskSessions,
    rights: RightsService,
    names: MemberNames,
    now_ms: Callable[[], int],
) -> None:
    @router.get("/requests/{request_id}")
    def one(request: Request, request_id: str) -> Response:
        session = sessions.require(request, *ROLES)
        view = rights.desk.view(_clerk(session), request_id)
        return pages.render(
            request,
            "desk/request.html",
            session=session,
            face="desk",
            view=view,
            asked=view.request,
            deadline=DEADLINES[view.request.kind],
            max_text=MAX_TEXT,
            own=rights.member_id,
            member_name=names.of,
            now_ms=now_ms(),
        )

    @router.post("/requests/{request_id}/{action}")
    def act(request: Request, request_id: str, action: str, form: SentForm) -> Response:
        session = sessions.require(request, *ROLES)
        sessions.require_csrf(request, form)
        if action not in set(Action):
            raise RequestUnknown("no such step")
        step = Action(action)
        if step is Action.APPROVE:
            sessions.require_fresh(request, session, f"{PREFIX}/requests/{request_id}")
        rights.act(
            _clerk(session),
            request_id,
            step,
            form.text("text", max_length=_FIELD, default=""),
            _value(form) if step is Action.PROPOSE else None,
        )
        return see_other(f"{PREFIX}/requests/{request_id}")


def _person(
    router: APIRouter,
    pages: Pages,
    sessions: DeskSessions,
    rights: RightsService,
    names: MemberNames,
) -> None:
    @router.get("/person")
    def ask(request: Request) -> Response:
        session = sessions.require(request, *ROLES)
        return pages.render(
            request,
            "desk/person.html",
            session=session,
            face="desk",
            file=None,
            max_reason=MAX_REASON,
            member_name=names.of,
        )

    @router.post("/person")
    def show(request: Request, form: SentForm) -> Response:
        session = sessions.require(request, *ROLES)
        sessions.require_csrf(request, form)
        file = rights.desk.look_up(
            _clerk(session),
            form.text("subject", max_length=40),
            form.text("reason", max_length=4 * MAX_REASON),
        )
        return pages.render(
            request,
            "desk/person.html",
            session=session,
            face="desk",
            file=file,
            max_reason=MAX_REASON,
            member_name=names.of,
        )


def _clerk(session: StaffSession) -> Clerk:
    return Clerk(session.staff_id, session.roles)


def _value(form: Form) -> float | None:
    text = form.text("value", max_length=40, default="")
    return decimal_value(text) if text else None
