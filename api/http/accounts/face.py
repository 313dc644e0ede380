"""What the routes of accounts need of the face they stand on: portal or desk."""

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, Request, Response

from api.http.accounts.cookies import Cookie
from api.http.accounts.site import agent_label, safe_next
from api.http.desk.session import DeskSessions
from api.http.portal.session import PortalSessions
from api.http.web.pages import Pages
from api.http.web.routes import SeeOther
from node.people.browser import Browser
from node.people.secrets import TOKEN_BYTES, new_token
from node.people.sessions import Session, StaffSession, csrf_token
from node.people.wiring import People
from protocols.canonical import b64url_decode, b64url_encode
from protocols.errors import CredenceError, Malformed

MAX_CALL_BYTES = 32 * 1024
REGULATOR = "/regulator"


class NotSignedIn(CredenceError):
    """A page's script asked for something, and its session has ended."""

    code = "not_signed_in"
    category = "unauthenticated"
    next_step = "Reload the page and sign in."


class ConfirmFirst(CredenceError):
    """What was asked for needs somebody who has shown lately who they are."""

    code = "confirm_first"
    category = "forbidden"
    next_step = "Reload the page, show again who you are, and ask again."


async def _whole(request: Request) -> bytes:
    body = await request.body()
    if len(body) > MAX_CALL_BYTES:
        raise Malformed(f"a call has at most {MAX_CALL_BYTES} bytes")
    return body


RawBody = Annotated[bytes, Depends(_whole)]
"""A route's parameter of this type is the body as it came."""


@dataclass(frozen=True)
class Face:
    """One face, with everything that its account pages need.

    Attributes:
        sessions: who is signed in there.
        pages: renders.
        people: the accounts.
        before: cookie of a browser in which nobody has signed in yet; its forms are bound to it.
    """

    sessions: PortalSessions | DeskSessions
    pages: Pages
    people: People
    before: Cookie

    @classmethod
    def of(cls, sessions: PortalSessions | DeskSessions, pages: Pages, people: People) -> "Face":
        """The face on which `sessions` are."""
        cookie = sessions.cookie
        return cls(sessions, pages, people, Cookie(f"{cookie.name}-before", cookie.secure))

    @property
    def realm(self) -> str:
        """`portal` or `desk`."""
        return "portal" if isinstance(self.sessions, PortalSessions) else "desk"

    @property
    def prefix(self) -> str:
        """What the addresses of its pages begin with."""
        return f"/{self.realm}"

    def browser(self, request: Request) -> Browser:
        """The browser that asks."""
        return Browser(
            address=self.sessions.site.address(request),
            agent=agent_label(request.headers.get("user-agent", "")[:500]),
            language=self.pages.language(request),
            token=self.sessions.cookie.read(request),
        )

    def next_page(self, given: str) -> str:
        """Where to go afterwards: a page of this face, or of the regulator's, who are staff."""
        if self.realm == "desk" and (given == REGULATOR or given.startswith(f"{REGULATOR}/")):
            return safe_next(given, REGULATOR)
        return safe_next(given, self.prefix)

    def holder(self, request: Request) -> str | None:
        """The token of the browser before sign-in, if it has one of ours."""
        token = self.before.read(request)
        try:
            return token if token and len(b64url_decode(token)) == TOKEN_BYTES else None
        except Malformed:
            return None

    def page_before(
        self, request: Request, template: str, *, status: int = 200, **context: Any
    ) -> Response:
        """A page with forms for somebody who has not signed in."""
        holder = self.holder(request)
        token = holder or b64url_encode(new_token())
        response = self.pages.render(
            request,
            template,
            status=status,
            face=self.realm,
            prefix=self.prefix,
            csrf=csrf_token(token),
            **context,
        )
        if holder is None:
            self.before.write(response, token)
        return response

    def page(
        self,
        request: Request,
        template: str,
        session: Session | StaffSession,
        *,
        status: int = 200,
        token: str | None = None,
        **context: Any,
    ) -> Response:
        """A page with forms for somebody who has; without navigation while they activate.

        Args:
            request: the call it answers.
            template: path below `templates/`.
            session: theirs.
            status: HTTP status.
            token: a new one that the session has from now on.
            context: names the template uses.
        """
        response = self.pages.render(
            request,
            template,
            session=None if session.method == "activation" else session,
            status=status,
            face=self.realm,
            prefix=self.prefix,
            csrf=csrf_token(token) if token is not None else session.csrf_token,
            activating=session.method == "activation",
            **context,
        )
        if token is not None:
            self.sessions.cookie.write(response, token)
        return response

    def require_before(self, request: Request, sent: str) -> str:
        """Check a form or call of somebody who has not signed in; the token of their browser.

        Raises:
            RequestNotOurs: it did not come from a page of ours.
        """
        holder = self.holder(request)
        self.sessions.site.require_token(request, holder, sent)
        return holder or ""

    def enter(self, response: Response, token: str) -> Response:
        """Let `response` carry a session that was opened."""
        self.sessions.cookie.write(response, token)
        self.before.clear(response)
        return response

    def changing(self, request: Request, back: str) -> Session | StaffSession:
        """Who changes what their account is opened with: signed in, lately.

        Raises:
            SeeOther: to where they sign in, or show again who they are.
        """
        session = self.sessions.find(request)
        if session is None:
            raise SeeOther(f"{self.prefix}/sign-in")
        if not self.people.sessions.is_fresh(session):
            raise SeeOther(f"{self.prefix}/confirm?{urlencode({'next': back})}")
        return session

    def calling(self, request: Request, *, fresh: bool = False) -> Session | StaffSession:
        """Who calls from a script: signed in, and from a page of ours.

        Raises:
            NotSignedIn: nobody.
            RequestNotOurs: from elsewhere.
            ConfirmFirst: not lately, where that is needed.
        """
        session = self.sessions.find(request)
        if session is None:
            raise NotSignedIn("the session has ended")
        self.sessions.require_csrf(request)
        if fresh and not self.people.sessions.is_fresh(session):
            raise ConfirmFirst("it has been a while since this person showed who they are")
        return session
