"""Sign in through the institution's own service: there and back (OpenID Connect)."""

from fastapi import APIRouter, Request, Response

from api.http.accounts.cookies import Cookie
from api.http.accounts.face import Face
from api.http.web.routes import SeeOther, see_other
from node.people.oidc import FLOW_MS, Oidc, Returned
from node.people.sign_in import SignInRefused

MAX_RETURNED = 2000


def add_institution(router: APIRouter, face: Face, oidc: Oidc) -> None:
    """Add the two addresses to a router of the portal."""
    cookie = Cookie("credence-oidc", face.sessions.cookie.secure)

    @router.get("/sign-in/institution")
    def begin(request: Request) -> Response:
        """Send the person there; somebody who is signed in shows again who they are."""
        session = face.sessions.find(request)
        begun = oidc.begin(
            face.next_page(request.query_params.get("next", "")),
            again=session.account_id if session is not None else None,
        )
        response = see_other(begun.location)
        cookie.write(response, begun.ticket, FLOW_MS // 1000)
        return response

    @router.get("/sign-in/institution/return")
    def end(request: Request) -> Response:
        """They come back."""
        given = request.query_params
        returned = Returned(
            state=given.get("state", "")[:MAX_RETURNED],
            code=given.get("code", "")[: MAX_RETURNED + 1],
            issuer=given.get("iss"),
            error=given.get("error", "")[:100],
        )
        try:
            entered = oidc.finish(cookie.read(request) or "", returned, face.browser(request))
        except SignInRefused as error:
            raise SeeOther(f"{face.prefix}/sign-in?failed=institution") from error
        response = face.enter(see_other(face.next_page(entered.next_page)), entered.token)
        cookie.clear(response)
        return response
