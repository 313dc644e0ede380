"""The desk's doors: all account pages of staff."""

from fastapi import APIRouter

from api.http.accounts.confirm import add_confirm
from api.http.accounts.enrol import add_enrol
from api.http.accounts.face import Face
from api.http.accounts.passkey_calls import passkey_calls
from api.http.accounts.security import add_security, add_sessions
from api.http.accounts.sign_in import add_activation, add_sign_in
from api.http.desk.session import DeskSessions
from api.http.web.pages import Pages
from api.http.web.routes import page_router
from node.people.wiring import People


def desk_account_routes(people: People, sessions: DeskSessions, pages: Pages) -> list[APIRouter]:
    """Sign in, activate, confirm, enrol, security settings."""
    face = Face.of(sessions, pages, people)
    router = page_router(pages, face.prefix, face=face.realm)
    add_sign_in(router, face)
    add_activation(router, face)
    add_confirm(router, face)
    add_enrol(router, face)
    add_security(router, face)
    add_sessions(router, face)
    return [router, passkey_calls(face)]
