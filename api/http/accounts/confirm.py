"""Show again who one is, before something that is hard to undo."""

from fastapi import APIRouter, Request, Response

from api.http.accounts.face import Face
from api.http.web.forms import SentForm
from api.http.web.routes import SeeOther, see_other
from node.people.attempts import TooManyAttempts
from node.people.sessions import Session, StaffSession
from node.people.sign_in import MAX_PASSWORD, SignInRefused


def add_confirm(router: APIRouter, face: Face) -> None:
    """Add the pages to a router of the face."""

    @router.get("/confirm")
    def confirm_page(request: Request) -> Response:
        """The ways to show it."""
        next_page = face.next_page(request.query_params.get("next", ""))
        return _confirm(face, request, _signed_in(face, request), next_page)

    @router.post("/confirm")
    def confirm(request: Request, form: SentForm) -> Response:
        """With password and code."""
        session = _signed_in(face, request)
        face.sessions.require_csrf(request, form)
        next_page = face.next_page(form.text("next", max_length=500, default=""))
        try:
            token = face.people.sign_in.again_with_password(
                session,
                form.text("password", max_length=MAX_PASSWORD, default=""),
                form.text("code", max_length=64, default=""),
                face.browser(request),
            )
        except SignInRefused:
            return _confirm(face, request, session, next_page, failed="refused", status=422)
        except TooManyAttempts as error:
            page = _confirm(face, request, session, next_page, failed="limited", status=429)
            page.headers["Retry-After"] = str(error.retry_after_s)
            return page
        return face.enter(see_other(next_page), token)


def _signed_in(face: Face, request: Request) -> Session | StaffSession:
    session = face.sessions.find(request)
    if session is None or session.method == "activation":
        raise SeeOther(f"{face.prefix}/sign-in")
    return session


def _confirm(
    face: Face,
    request: Request,
    session: Session | StaffSession,
    next_page: str,
    *,
    failed: str = "",
    status: int = 200,
) -> Response:
    return face.page(
        request,
        "accounts/confirm.html",
        session,
        status=status,
        next_page=next_page,
        failed=failed,
        factors=face.people.factors.of(session),
        institution_sign_in=face.realm == "portal" and face.people.oidc is not None,
    )
