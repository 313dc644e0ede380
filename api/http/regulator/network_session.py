"""A regulator at the coordinator: a passkey opens a session of its own, beside the operator's."""

from urllib.parse import urlencode

from fastapi import Request, Response

from api.http.accounts.cookies import Cookie
from api.http.accounts.site import Site
from api.http.regulator.reader import PREFIX, Reader
from api.http.web.forms import Form
from api.http.web.routes import SeeOther, see_other
from coordinator.browser_tokens import digest_of
from coordinator.oversight.access import SESSION_MS, RegulatorAccess
from node.people.sessions import csrf_token


class NetworkReaders:
    """Finds the regulator of a request; see `Readers`."""

    def __init__(self, access: RegulatorAccess, site: Site) -> None:
        self.access = access
        self.site = site
        self.cookie = Cookie("credence-regulator", site.secure, "strict")
        self._before = Cookie("credence-regulator-before", site.secure)

    def find(self, request: Request) -> Reader | None:
        """Who is signed in, or None."""
        token = self.cookie.read(request)
        row = None if token is None else self.access.find(token)
        if row is None or token is None:
            return None
        return Reader(row.regulator_id, row.name, csrf_token(token))

    def require(self, request: Request) -> Reader:
        """See `Readers.require`."""
        found = self.find(request)
        if found is None:
            here = request.url.path if request.method == "GET" else f"{PREFIX}/"
            raise SeeOther(f"{PREFIX}/sign-in?{urlencode({'next': here})}")
        return found

    def require_fresh(self, request: Request, back: str) -> Reader:  # noqa: ARG002
        """See `Readers.require_fresh`: nothing here is about people, no session is too old."""
        return self.require(request)

    def require_csrf(self, request: Request, form: Form) -> None:
        """See `Readers.require_csrf`."""
        self.site.require_token(request, self.cookie.read(request), form.csrf)

    def sign_out(self, request: Request) -> Response:
        """See `Readers.sign_out`."""
        token = self.cookie.read(request)
        if token is not None:
            self.access.sign_out(token)
        response = see_other(f"{PREFIX}/sign-in")
        self.cookie.clear(response)
        return response

    def holder(self, request: Request) -> str | None:
        """The token of a browser that has not signed in, if it has one of ours."""
        token = self._before.read(request)
        return token if token is not None and digest_of(token) is not None else None

    def keep_holder(self, response: Response, token: str) -> None:
        """Give a browser such a token."""
        self._before.write(response, token)

    def enter(self, response: Response, token: str) -> Response:
        """Let `response` carry a session that was opened."""
        self.cookie.write(response, token, SESSION_MS // 1000)
        self._before.clear(response)
        return response
