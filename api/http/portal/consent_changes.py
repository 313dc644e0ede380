"""Stopping a consent, in one step, and taking it up again.

Stopping asks for no more than being signed in: it is never harder than granting. Taking up again
gives something away, so it asks who is there.
"""

from fastapi import APIRouter, Request, Response
from node.consents.personal import AccountProof, PersonalConsents

from api.http.portal.consents import CONSENTS
from api.http.portal.session import PREFIX, PortalSessions
from api.http.web.forms import SentForm
from api.http.web.pages import Pages
from api.http.web.routes import page_router, see_other


def change_routes(pages: Pages, sessions: PortalSessions, personal: PersonalConsents) -> APIRouter:
    """What is posted below `/portal/consents/ID`."""
    router = page_router(pages, PREFIX)

    @router.post("/consents/{consent_id}/withdraw")
    def withdraw(request: Request, consent_id: str, form: SentForm) -> Response:
        session = sessions.require(request)
        sessions.require_csrf(request, form)
        personal.withdraw(session.pseudonym, consent_id, AccountProof(session.method))
        return see_other(f"{CONSENTS}/{consent_id}/withdrawal")

    @router.post("/consents/{consent_id}/pause")
    def pause(request: Request, consent_id: str, form: SentForm) -> Response:
        session = sessions.require(request)
        sessions.require_csrf(request, form)
        personal.pause(session.pseudonym, consent_id, AccountProof(session.method))
        return see_other(f"{CONSENTS}/{consent_id}?done=paused")

    @router.post("/consents/{consent_id}/resume")
    def resume(request: Request, consent_id: str, form: SentForm) -> Response:
        session = sessions.require(request)
        sessions.require_csrf(request, form)
        sessions.require_fresh(request, session, f"{CONSENTS}/{consent_id}")
        personal.resume(session.pseudonym, consent_id, AccountProof(session.method))
        return see_other(f"{CONSENTS}/{consent_id}?done=resumed")

    return router
