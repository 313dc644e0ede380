"""A regulator at a node: an account of its staff with the role `regulator` and nothing beside it.

1. The account has that role alone: who supervises an institution does not work there.
2. It was opened with a passkey; a password with a code does not open this console.
3. What shows a payload asks for somebody who has shown lately who they are.
"""

from urllib.parse import urlencode

from fastapi import Request, Response

from api.http.desk.session import PREFIX as DESK
from api.http.desk.session import DeskSessions
from api.http.regulator.reader import PREFIX, Reader
from api.http.web.forms import Form
from api.http.web.routes import SeeOther, see_other
from node.people.sessions import RoleMissing, Sessions, StaffSession
from protocols.errors import CredenceError

ROLE = "regulator"


class PasskeyNeeded(CredenceError):
    """The regulator's console opens with a passkey only."""

    code = "passkey_needed"
    category = "forbidden"
    next_step = "Add a passkey on the page of your account, sign out, and sign in with it."


class StaffReaders:
    """Finds the regulator of a request among the sessions of the desk."""

    def __init__(self, desk: DeskSessions, sessions: Sessions) -> None:
        self._desk = desk
        self._sessions = sessions

    def require(self, request: Request) -> Reader:
        """See `Readers.require`."""
        return _reader(self._session(request))

    def require_fresh(self, request: Request, back: str) -> Reader:
        """See `Readers.require_fresh`."""
        session = self._session(request)
        self._desk.require_fresh(request, session, back)  # 3
        return _reader(session)

    def require_csrf(self, request: Request, form: Form) -> None:
        """See `Readers.require_csrf`."""
        self._desk.require_csrf(request, form)

    def sign_out(self, request: Request) -> Response:
        """See `Readers.sign_out`."""
        token = self._desk.cookie.read(request)
        if token is not None:
            self._sessions.end(token)
        response = see_other(f"{DESK}/sign-in")
        self._desk.cookie.clear(response)
        return response

    def _session(self, request: Request) -> StaffSession:
        session = self._desk.find(request)
        if session is None:
            here = request.url.path if request.method == "GET" else f"{PREFIX}/"
            raise SeeOther(f"{DESK}/sign-in?{urlencode({'next': here})}")
        if session.method == "activation":
            raise SeeOther(f"{DESK}/enrol")
        if session.roles != frozenset({ROLE}):  # 1
            raise RoleMissing("this console is for the role regulator, and no other beside it")
        if session.method != "passkey":  # 2
            raise PasskeyNeeded("this session was not opened with a passkey")
        return session


def _reader(session: StaffSession) -> Reader:
    return Reader(session.staff_id, session.name, session.csrf_token, session.language)
