"""Who is signed in at the portal, for every page of it."""

from urllib.parse import urlencode

from fastapi import Request

from api.http.accounts.cookies import Cookie
from api.http.accounts.site import Site
from api.http.web.forms import Form
from api.http.web.routes import SeeOther
from node.consents.personal import AccountProof
from node.people.sessions import Session, Sessions
from protocols.errors import CredenceError

PREFIX = "/portal"


class SecondFactorMissing(CredenceError):
    """The session was opened with one factor; a consent given in it would prove too little."""

    code = "second_factor_missing"
    category = "forbidden"
    next_step = "Show again who you are, with a passkey or with password and code."


class PortalSessions:
    """Finds the session of a request.

    In a route:

        session = portal.require(request)            # or the person is sent to sign in
        portal.require_csrf(request, form)           # before anything is changed
        portal.require_fresh(request, session, back) # before what is hard to undo
        proof = portal.account_proof(request, session, back) # where the session itself is the proof
    """

    def __init__(self, sessions: Sessions, site: Site) -> None:
        self._sessions = sessions
        self.site = site
        self.cookie = Cookie("credence", site.secure)

    def find(self, request: Request) -> Session | None:
        """Who is signed in, or None; also somebody who has just activated their account."""
        token = self.cookie.read(request)
        return None if token is None else self._sessions.person(token)

    def require(self, request: Request) -> Session:
        """Who is signed in.

        Raises:
            SeeOther: nobody, to the page where they can; or somebody whose account has nothing yet
                that opens it, to where they add it.
        """
        session = self.find(request)
        if session is None:
            raise SeeOther(f"{PREFIX}/sign-in?{urlencode({'next': _here(request)})}")
        if session.method == "activation":
            raise SeeOther(f"{PREFIX}/enrol")
        return session

    def require_csrf(self, request: Request, form: Form | None = None) -> None:
        """Check that a change was asked for by a page of ours, in this session.

        Args:
            request: the call.
            form: its form; None: the token is in the header `X-CSRF-Token`.

        Raises:
            RequestNotOurs: it was not.
        """
        sent = form.csrf if form is not None else ""
        self.site.require_token(request, self.cookie.read(request), sent)

    def require_fresh(self, request: Request, session: Session, back: str | None = None) -> None:
        """Check that the person has shown lately who they are.

        Args:
            request: the call.
            session: theirs.
            back: the page to come back to; None: that of the request.

        Raises:
            SeeOther: they have not, to where they can.
        """
        if not self._sessions.is_fresh(session):
            to = back if back is not None else _here(request)
            raise SeeOther(f"{PREFIX}/confirm?{urlencode({'next': to})}")

    def account_proof(
        self, request: Request, session: Session, back: str | None = None
    ) -> AccountProof:
        """That the person confirmed in this session, with a second factor and lately.

        To withdraw and to pause no more than a session is asked for: make the proof there directly.

        Args:
            request: the call.
            session: theirs.
            back: the page to come back to; None: that of the request.

        Raises:
            SecondFactorMissing: one factor opened it.
            SeeOther: it is not fresh, to where they show again who they are.
        """
        if not session.second_factor or session.method == "activation":
            raise SecondFactorMissing("this session was opened with one factor")
        self.require_fresh(request, session, back)
        return AccountProof(session.method)


def _here(request: Request) -> str:
    """The page to come back to; after a form it is the page's address alone."""
    query = request.url.query if request.method == "GET" else ""
    return request.url.path + (f"?{query}" if query else "")
