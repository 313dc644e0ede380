"""What opens one's account and where one is signed in: see it, take it away, sign out."""

from fastapi import APIRouter, Request, Response

from api.http.accounts.enrol import codes_page
from api.http.accounts.face import Face
from api.http.web.forms import SentForm
from api.http.web.routes import SeeOther, see_other
from node.people.factors import LastFactor
from node.people.sessions import Session, StaffSession
from protocols.canonical import b64url_decode, b64url_encode

MAX_CREDENTIAL = 1400


def add_security(router: APIRouter, face: Face) -> None:
    """Add the pages to a router of the face."""
    factors, page = face.people.factors, f"{face.prefix}/security"

    @router.get("/security")
    def security_page(request: Request) -> Response:
        """Passkeys, password, sessions."""
        session = face.sessions.find(request)
        if session is None:
            raise SeeOther(f"{face.prefix}/sign-in?next={page}")
        if session.method == "activation":
            raise SeeOther(f"{face.prefix}/enrol")
        return _security(face, request, session)

    @router.post("/security/passkeys/remove")
    def remove_passkey(request: Request, form: SentForm) -> Response:
        """Take a passkey away."""
        session = face.changing(request, page)
        face.sessions.require_csrf(request, form)
        credential = b64url_decode(form.text("passkey", max_length=MAX_CREDENTIAL))
        try:
            changed = factors.remove_passkey(session, credential, face.browser(request))
        except LastFactor:
            return _security(face, request, session, failed="last_factor")
        return face.enter(see_other(page), changed.token)

    @router.post("/security/password/remove")
    def remove_password(request: Request, form: SentForm) -> Response:
        """Take password, authenticator app and recovery codes away."""
        session = face.changing(request, page)
        face.sessions.require_csrf(request, form)
        try:
            changed = factors.remove_password(session, face.browser(request))
        except LastFactor:
            return _security(face, request, session, failed="last_factor")
        return face.enter(see_other(page), changed.token)

    @router.post("/security/recovery-codes")
    def recovery_codes(request: Request, form: SentForm) -> Response:
        """New recovery codes in place of the old ones."""
        session = face.changing(request, page)
        face.sessions.require_csrf(request, form)
        return codes_page(face, request, factors.new_recovery_codes(session))


def add_sessions(router: APIRouter, face: Face) -> None:
    """Add what ends sessions to a router of the face."""
    factors, page = face.people.factors, f"{face.prefix}/security"

    @router.post("/security/sessions/end")
    def end_session(request: Request, form: SentForm) -> Response:
        """Sign out another browser."""
        session = _signed_in(face, request)
        face.sessions.require_csrf(request, form)
        factors.end_session(session, form.text("session", max_length=40))
        return see_other(page)

    @router.post("/security/sessions/end-all")
    def end_everywhere(request: Request, form: SentForm) -> Response:
        """Sign out everywhere, here too."""
        session = _signed_in(face, request)
        face.sessions.require_csrf(request, form)
        factors.end_everywhere(session)
        response = see_other(f"{face.prefix}/sign-in")
        face.sessions.cookie.clear(response)
        return response


def _signed_in(face: Face, request: Request) -> Session | StaffSession:
    session = face.sessions.find(request)
    if session is None:
        raise SeeOther(f"{face.prefix}/sign-in")
    return session


def _security(
    face: Face, request: Request, session: Session | StaffSession, *, failed: str = ""
) -> Response:
    found = face.people.factors.of(session)
    return face.page(
        request,
        "accounts/security.html",
        session,
        status=409 if failed else 200,
        failed=failed,
        factors=found,
        passkeys=[(b64url_encode(one.credential_id), one) for one in found.passkeys],
        sessions=face.people.sessions.every(session.account_id),
        here_session=session.session_id,
    )
