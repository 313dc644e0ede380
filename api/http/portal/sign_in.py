"""The portal's doors: all account pages of people."""

from fastapi import APIRouter

from api.http.accounts.confirm import add_confirm
from api.http.accounts.enrol import add_enrol
from api.http.accounts.face import Face
from api.http.accounts.institution import add_institution
from api.http.accounts.passkey_calls import passkey_calls
from api.http.accounts.security import add_security, add_sessions
from api.http.accounts.sign_in import add_activation, add_sign_in
from api.http.portal.session import PortalSessions
from api.http.web.pages import Pages
from api.http.web.routes import page_router
from node.people.wiring import People


def portal_account_routes(
    people: People, sessions: PortalSessions, pages: Pages
) -> list[APIRouter]:
    """Sign in, activate, confirm, enrol, security settings; also the institution's own sign-in."""
    face = Face.of(sessions, pages, people)
    router = page_router(pages, face.prefix, face=face.realm)
    add_sign_in(router, face)
    add_activation(router, face)
    add_confirm(router, face)
    add_enrol(router, face)
    add_security(router, face)
    add_sessions(router, face)
    if people.oidc is not None:
        add_institution(router, face, people.oidc)
    return [router, passkey_calls(face)]
