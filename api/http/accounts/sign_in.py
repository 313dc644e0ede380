"""Sign in with a password and a code, activate an account, sign out."""

from fastapi import APIRouter, Request, Response

from api.http.accounts.face import Face
from api.http.web.forms import Form, SentForm
from api.http.web.routes import see_other
from node.people.accounts import ActivationRefused
from node.people.attempts import TooManyAttempts
from node.people.sign_in import MAX_PASSWORD, SignInRefused

MAX_NAME = 64
MAX_NEXT = 500
REFUSED = 422  # 401 would ask the browser for credentials of its own


def add_sign_in(router: APIRouter, face: Face) -> None:
    """Add the pages to a router of the face."""

    @router.get("/sign-in")
    def sign_in_page(request: Request) -> Response:
        """The ways to sign in."""
        next_page = face.next_page(request.query_params.get("next", ""))
        found = face.sessions.find(request)
        if found is not None and found.method != "activation":
            return see_other(next_page)
        came_back = request.query_params.get("failed") == "institution"
        return _sign_in(face, request, next_page, failed="not_returned" if came_back else "")

    @router.post("/sign-in")
    def sign_in(request: Request, form: SentForm) -> Response:
        """With a password and a code."""
        face.require_before(request, form.csrf)
        name, next_page = _given(form, "name"), face.next_page(_given(form, "next", MAX_NEXT))
        try:
            token = face.people.sign_in.with_password(
                face.realm,
                name,
                _given(form, "password", MAX_PASSWORD),
                _given(form, "code"),
                face.browser(request),
            )
        except SignInRefused:
            return _sign_in(face, request, next_page, name=name, failed="refused", status=REFUSED)
        except TooManyAttempts as error:
            return _later(_sign_in(face, request, next_page, failed="limited", status=429), error)
        return face.enter(see_other(next_page), token)

    @router.post("/sign-out")
    def sign_out(request: Request, form: SentForm) -> Response:
        """End this session."""
        face.sessions.require_csrf(request, form)
        token = face.sessions.cookie.read(request)
        if token is not None:
            face.people.sessions.end(token)
        response = see_other(f"{face.prefix}/sign-in")
        face.sessions.cookie.clear(response)
        return response


def add_activation(router: APIRouter, face: Face) -> None:
    """Add the pages to a router of the face."""

    @router.get("/activate")
    def activate_page(request: Request) -> Response:
        """Open an account for the first time, or after losing what opened it."""
        return _activate(face, request)

    @router.post("/activate")
    def activate(request: Request, form: SentForm) -> Response:
        """With the code that the institution handed out."""
        face.require_before(request, form.csrf)
        name = _given(form, "name")
        try:
            token = face.people.accounts.activate(
                face.realm, name, _given(form, "code"), face.browser(request)
            )
        except ActivationRefused:
            return _activate(face, request, name=name, failed="refused", status=REFUSED)
        except TooManyAttempts as error:
            return _later(_activate(face, request, failed="limited", status=429), error)
        return face.enter(see_other(f"{face.prefix}/enrol"), token)


def _sign_in(
    face: Face, request: Request, next_page: str, *, name: str = "", failed: str = "",
    status: int = 200,
) -> Response:  # fmt: skip
    return face.page_before(
        request,
        "accounts/sign_in.html",
        status=status,
        next_page=next_page,
        name=name,
        failed=failed,
        institution_sign_in=face.realm == "portal" and face.people.oidc is not None,
    )


def _activate(
    face: Face, request: Request, *, name: str = "", failed: str = "", status: int = 200
) -> Response:
    return face.page_before(
        request, "accounts/activate.html", status=status, name=name, failed=failed
    )


def _given(form: Form, field: str, max_length: int = MAX_NAME) -> str:
    return form.text(field, max_length=max_length, default="")


def _later(response: Response, error: TooManyAttempts) -> Response:
    response.headers["Retry-After"] = str(error.retry_after_s)
    return response
