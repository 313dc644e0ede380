"""Who reads: what the console's pages need to know of a regulator who is signed in."""

from dataclasses import dataclass, field
from typing import Protocol

from fastapi import Request, Response

from api.http.web.forms import Form

PREFIX = "/regulator"
FACE = "regulator"


@dataclass(frozen=True, slots=True)
class Reader:
    """A regulator.

    Attributes:
        reader_id: what the log calls them; opaque.
        name: as they were entered.
        csrf_token: what a form of this session carries.
        language: of the account, or empty.
    """

    reader_id: str
    name: str
    csrf_token: str = field(repr=False)
    language: str = ""


class Readers(Protocol):
    """Finds who reads; one for a node's staff, one for the coordinator's regulators."""

    def require(self, request: Request) -> Reader:
        """Who is signed in as a regulator, by passkey.

        Raises:
            SeeOther: nobody, to where they can.
            CredenceError: somebody who may not read here.
        """
        ...

    def require_fresh(self, request: Request, back: str) -> Reader:
        """The same, having shown lately who they are; `back` is where they return to.

        Raises:
            SeeOther, CredenceError: as `require`.
        """
        ...

    def require_csrf(self, request: Request, form: Form) -> None:
        """Check that a form is of a page of ours, in this session.

        Raises:
            RequestNotOurs: it is not.
        """
        ...

    def sign_out(self, request: Request) -> Response:
        """End the session; the page to go to then."""
        ...
