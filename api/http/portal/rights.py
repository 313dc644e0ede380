"""My rights: dispute, freeze, correct, delete, object, ask for a copy; and two free reports a year.

One decision a page. What is hard to undo (deleting, lifting a freeze) asks who is there; stopping
(freezing, disputing, withdrawing) never asks for more than being signed in.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from api.http.portal.names import MemberNames
from api.http.portal.session import PREFIX, PortalSessions
from api.http.web.forms import Form, SentForm
from api.http.web.pages import Pages
from api.http.web.routes import page_router, see_other
from consent.rights import (
    COMPLAINT,
    DEADLINES,
    MAX_STATEMENT,
    MAX_TEXT,
    TRANSITIONS,
    Event,
    Kind,
    State,
    TextRefused,
)
from node.people.sessions import Session
from node.rights.errors import ItemUnknown, RequestUnknown
from node.rights.items import Item
from node.rights.service import RightsService
from node.storage.rights import Request as RightsRequest

HOME = f"{PREFIX}/rights"
_FIELD = 4 * MAX_TEXT  # what a form may hold before the text itself is judged


@dataclass(frozen=True, slots=True)
class _Ask:
    """One kind of request with a form of its own."""

    kind: Kind
    text_needed: bool
    fresh: bool = False


_ASKS: Mapping[str, _Ask] = {
    "correct": _Ask(Kind.CORRECTION, text_needed=True),
    "delete": _Ask(Kind.DELETION, text_needed=False, fresh=True),
    "object": _Ask(Kind.REVIEW, text_needed=True),
    "copy": _Ask(Kind.ACCESS, text_needed=False),
}


def rights_routes(
    pages: Pages,
    sessions: PortalSessions,
    rights: RightsService,
    names: MemberNames,
    now_ms: Callable[[], int],
) -> APIRouter:
    """`/portal/rights` and below."""
    router = page_router(pages, PREFIX)
    _overview(router, pages, sessions, rights, names, now_ms)
    _freeze(router, sessions, rights)
    _dispute(router, pages, sessions, rights)
    _requests(router, pages, sessions, rights, names, now_ms)
    _reports(router, pages, sessions, rights, now_ms)
    _asks(router, pages, sessions, rights)  # last: its paths take any word
    return router


def _overview(
    router: APIRouter,
    pages: Pages,
    sessions: PortalSessions,
    rights: RightsService,
    names: MemberNames,
    now_ms: Callable[[], int],
) -> None:
    @router.get("/rights")
    def overview(request: Request) -> Response:
        session = sessions.require(request)
        person = session.pseudonym
        return pages.render(
            request,
            "portal/rights.html",
            session=session,
            freeze=rights.person.frozen(person),
            requests=rights.person.of_person(person),
            reports=rights.person.reports(person),
            member_name=names.of,
            now_ms=now_ms(),
        )


def _freeze(router: APIRouter, sessions: PortalSessions, rights: RightsService) -> None:
    @router.post("/rights/freeze")
    def freeze(request: Request, form: SentForm) -> Response:
        session = sessions.require(request)
        sessions.require_csrf(request, form)
        rights.freeze(session.pseudonym)
        return see_other(HOME)

    @router.post("/rights/unfreeze")
    def unfreeze(request: Request, form: SentForm) -> Response:
        session = sessions.require(request)
        sessions.require_csrf(request, form)
        sessions.require_fresh(request, session, HOME)
        rights.unfreeze(session.pseudonym)
        return see_other(HOME)


def _dispute(
    router: APIRouter, pages: Pages, sessions: PortalSessions, rights: RightsService
) -> None:
    def page(
        request: Request, session: Session, item: Item, form: Form | None, error: str
    ) -> Response:
        return pages.render(
            request,
            "portal/rights_dispute.html",
            session=session,
            status=400 if error else 200,
            item=item,
            once=_once(form),
            text=_sent(form, "text"),
            statement=_sent(form, "statement"),
            error=error,
            max_text=MAX_TEXT,
            max_statement=MAX_STATEMENT,
            deadline=DEADLINES[Kind.DISPUTE],
        )

    @router.get("/rights/dispute")
    def dispute(request: Request, source: str = "", signal: str = "") -> Response:
        session = sessions.require(request)
        items = rights.person.items(session.pseudonym)
        if not source:
            return pages.render(
                request, "portal/rights_items.html", session=session, sources=_by_source(items)
            )
        return page(request, session, _item(items, source, signal), None, "")

    @router.post("/rights/dispute")
    def send(request: Request, form: SentForm) -> Response:
        session = sessions.require(request)
        sessions.require_csrf(request, form)
        source, signal = form.text("source", max_length=64), form.text("signal", max_length=64)
        try:
            opened = rights.dispute(
                session.pseudonym,
                source,
                signal,
                form.text("text", max_length=_FIELD, default=""),
                statement=form.text("statement", max_length=_FIELD, default=""),
                once=form.text("once", max_length=64),
            )
        except TextRefused:
            item = _item(rights.person.items(session.pseudonym), source, signal)
            error = pages.say(request, "rights.text_refused", session)
            return page(request, session, item, form, error)
        return see_other(f"{HOME}/requests/{opened.request_id}")


def _requests(
    router: APIRouter,
    pages: Pages,
    sessions: PortalSessions,
    rights: RightsService,
    names: MemberNames,
    now_ms: Callable[[], int],
) -> None:
    @router.get("/rights/requests/{request_id}")
    def one(request: Request, request_id: str) -> Response:
        session = sessions.require(request)
        found = rights.person.view(session.pseudonym, request_id)
        asked = found.request
        return pages.render(
            request,
            "portal/rights_request.html",
            session=session,
            view=found,
            asked=asked,
            deadline=DEADLINES[asked.kind],
            complaint=COMPLAINT,
            can_withdraw=(asked.state, Event.WITHDRAW) in TRANSITIONS[asked.kind],
            can_state=asked.kind is Kind.DISPUTE and asked.state is not State.WITHDRAWN,
            max_statement=MAX_STATEMENT,
            member_name=names.of,
            now_ms=now_ms(),
        )

    @router.post("/rights/requests/{request_id}/withdraw")
    def withdraw(request: Request, request_id: str, form: SentForm) -> Response:
        session = sessions.require(request)
        sessions.require_csrf(request, form)
        rights.person.withdraw(session.pseudonym, request_id)
        rights.deliverer.push(at_once=True)
        return see_other(f"{HOME}/requests/{request_id}")

    @router.post("/rights/requests/{request_id}/statement")
    def state(request: Request, request_id: str, form: SentForm) -> Response:
        session = sessions.require(request)
        sessions.require_csrf(request, form)
        text = form.text("statement", max_length=_FIELD, default="")
        rights.person.state(session.pseudonym, request_id, text)
        rights.deliverer.push(at_once=True)
        return see_other(f"{HOME}/requests/{request_id}")


def _reports(
    router: APIRouter,
    pages: Pages,
    sessions: PortalSessions,
    rights: RightsService,
    now_ms: Callable[[], int],
) -> None:
    @router.get("/rights/report")
    def ask(request: Request) -> Response:
        session = sessions.require(request)
        return pages.render(
            request,
            "portal/rights_reports.html",
            session=session,
            reports=rights.person.reports(session.pseudonym),
            once=_once(None),
        )

    @router.post("/rights/report")
    def take(request: Request, form: SentForm) -> Response:
        session = sessions.require(request)
        sessions.require_csrf(request, form)
        report = rights.person.take_report(session.pseudonym, once=form.text("once", max_length=64))
        return see_other(f"{HOME}/report/{report.year}/{report.number}")

    @router.get("/rights/report/{year}/{number}")
    def show(request: Request, year: int, number: int) -> Response:
        session = sessions.require(request)
        given = rights.person.reports(session.pseudonym).given
        report = next((one for one in given if (one.year, one.number) == (year, number)), None)
        if report is None:
            raise RequestUnknown("no such report of this person")
        return pages.render(
            request,
            "portal/rights_report.html",
            session=session,
            report=report,
            sources=_by_source(_seen(rights.person.items(session.pseudonym))),
            requests=rights.person.of_person(session.pseudonym),
            freeze=rights.person.frozen(session.pseudonym),
            now_ms=now_ms(),
        )


def _asks(router: APIRouter, pages: Pages, sessions: PortalSessions, rights: RightsService) -> None:
    def page(
        request: Request, session: Session, name: str, form: Form | None, error: str
    ) -> Response:
        ask = _ASKS[name]
        items = rights.person.items(session.pseudonym) if name == "correct" else []
        return pages.render(
            request,
            "portal/rights_ask.html",
            session=session,
            status=400 if error else 200,
            name=name,
            ask=ask,
            own=[one for one in items if one.source == rights.member_id],
            signal=_sent(form, "signal"),
            reviewed=_sent(form, "about") or _about(request.query_params.get("about", "")),
            text=_sent(form, "text"),
            once=_once(form),
            error=error,
            max_text=MAX_TEXT,
            deadline=DEADLINES[ask.kind],
        )

    @router.get("/rights/{name}")
    def show(request: Request, name: str) -> Response:
        session = sessions.require(request)
        _known(name)
        return page(request, session, name, None, "")

    @router.post("/rights/{name}")
    def send(request: Request, name: str, form: SentForm) -> Response:
        session = sessions.require(request)
        sessions.require_csrf(request, form)
        ask = _known(name)
        if ask.fresh:
            sessions.require_fresh(request, session, f"{HOME}/{name}")
        try:
            opened = _open(rights, session.pseudonym, ask, form)
        except TextRefused:
            error = pages.say(request, "rights.text_refused", session)
            return page(request, session, name, form, error)
        return see_other(f"{HOME}/requests/{opened.request_id}")


def _open(rights: RightsService, person: bytes, ask: _Ask, form: Form) -> RightsRequest:
    text = form.text("text", max_length=_FIELD, default="")
    once = form.text("once", max_length=64)
    if ask.kind is Kind.CORRECTION:
        return rights.person.correct(person, form.text("signal", max_length=64), text, once=once)
    if ask.kind is Kind.REVIEW:
        about = _about(form.text("about", max_length=40, default=""))
        return rights.person.object(person, text, about=about, once=once)
    if ask.kind is Kind.DELETION:
        return rights.person.delete(person, text, once=once)
    return rights.person.access(person, text, once=once)


def _known(name: str) -> _Ask:
    ask = _ASKS.get(name)
    if ask is None:
        raise RequestUnknown("no such page")
    return ask


def _item(items: list[Item], source: str, signal: str) -> Item:
    for one in items:
        if (one.source, one.signal) == (source, signal):
            return one
    raise ItemUnknown("no such item of this person")


def _by_source(items: list[Item]) -> list[tuple[str, list[Item]]]:
    found: dict[str, list[Item]] = {}
    for one in items:
        found.setdefault(one.source_name, []).append(one)
    return list(found.items())


def _seen(items: list[Item]) -> list[Item]:
    return [one for one in items if one.status != "unseen"]


def _about(given: str) -> str:
    return given if len(given) <= 40 and given.isascii() else ""


def _sent(form: Form | None, name: str) -> str:
    return form.text(name, max_length=_FIELD, default="") if form is not None else ""


def _once(form: Form | None) -> str:
    sent: Any = _sent(form, "once")
    return sent or secrets.token_urlsafe(24)
