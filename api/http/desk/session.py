"""Who is signed in at the desk, and what they may do."""

from urllib.parse import urlencode

from fastapi import Request

from api.http.accounts.cookies import Cookie
from api.http.accounts.site import Site
from api.http.web.forms import Form
from api.http.web.routes import SeeOther
from node.people.sessions import RoleMissing, Sessions, StaffSession

PREFIX = "/desk"


class DeskSessions:
    """Finds the session of a request; see `api.http.portal.session.PortalSessions`."""

    def __init__(self, sessions: Sessions, site: Site) -> None:
        self._sessions = sessions
        self.site = site
        self.cookie = Cookie("credence-desk", site.secure, "strict")

    def find(self, request: Request) -> StaffSession | None:
        """Who is signed in, or None; also somebody who has just activated their account."""
        token = self.cookie.read(request)
        return None if token is None else self._sessions.staff(token)

    def require(self, request: Request, *roles: str) -> StaffSession:
        """Who is signed in, with one of `roles`; with no roles named, anybody of the staff.

        Raises:
            SeeOther: nobody, to the page where they can; or somebody whose account has nothing yet
                that opens it, to where they add it.
            RoleMissing: they have none of the roles.
        """
        session = self.find(request)
        if session is None:
            here = request.url.path if request.method == "GET" else PREFIX + "/"
            raise SeeOther(f"{PREFIX}/sign-in?{urlencode({'next': here})}")
        if session.method == "activation":
            raise SeeOther(f"{PREFIX}/enrol")
        if roles and not session.roles.intersection(roles):
            raise RoleMissing(f"this needs one of the roles {', '.join(sorted(roles))}")
        return session

    def require_csrf(self, request: Request, form: Form | None = None) -> None:
        """Check that a change was asked for by a page of ours, in this session.

        Raises:
            RequestNotOurs: it was not.
        """
        sent = form.csrf if form is not None else ""
        self.site.require_token(request, self.cookie.read(request), sent)

    def require_fresh(
        self, request: Request, session: StaffSession, back: str | None = None
    ) -> None:
        """Check that they have shown lately who they are.

        Raises:
            SeeOther: they have not, to where they can.
        """
        if not self._sessions.is_fresh(session):
            to = back if back is not None else request.url.path
            raise SeeOther(f"{PREFIX}/confirm?{urlencode({'next': to})}")
