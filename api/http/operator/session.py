"""Whose browser is looking at the console."""

from dataclasses import dataclass

from fastapi import Request

from api.http.accounts.cookies import Cookie
from api.http.accounts.site import Site
from api.http.web.forms import Form
from api.http.web.routes import SeeOther
from coordinator.console.access import ConsoleAccess
from coordinator.storage.console_access import SessionRow
from node.people.sessions import csrf_token

PREFIX = "/operator"


@dataclass(frozen=True, slots=True)
class OperatorSession:
    """An open session; `csrf_token` stands in its forms."""

    row: SessionRow
    csrf_token: str


class OperatorSessions:
    """Finds the session of a request."""

    def __init__(self, access: ConsoleAccess, site: Site) -> None:
        self.access = access
        self.site = site
        self.cookie = Cookie("credence-console", site.secure, "strict")

    def find(self, request: Request) -> OperatorSession | None:
        """Whose it is, or None."""
        token = self.cookie.read(request)
        row = None if token is None else self.access.find(token)
        return None if row is None or token is None else OperatorSession(row, csrf_token(token))

    def require(self, request: Request) -> OperatorSession:
        """Whose it is.

        Raises:
            SeeOther: nobody's, to the page that says how to get in.
        """
        found = self.find(request)
        if found is None:
            raise SeeOther(f"{PREFIX}/sign-in")
        return found

    def require_csrf(self, request: Request, form: Form) -> None:
        """Check that a change was asked for by a page of ours, in this session.

        Raises:
            RequestNotOurs: it was not.
        """
        self.site.require_token(request, self.cookie.read(request), form.csrf)
