"""Who calls: the bearer token of an API client, and the scope a route needs.

A scope lets a client call; it never grants anything about a person. That takes a consent, named in
the call and checked by the node.
"""

from collections.abc import Callable
from typing import Annotated, Protocol

from fastapi import Depends, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from node.clients import Client, TokenRefused

_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="client token",
    description="A token of `credence client add HOME --name NAME`.",
)


class Recogniser(Protocol):
    """Finds the client of a token."""

    def recognise(self, token: str) -> Client:
        """The client whose token this is; raises `TokenRefused`."""
        ...


def client_with(clients: Recogniser, scope: str) -> Callable[..., Client]:
    """A dependency: the calling client, which has `scope`.

    Raises (when called):
        TokenRefused: no token, or not one of a valid client.
        ScopeMissing: the token lacks the scope.
    """

    def caller(
        credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    ) -> Client:
        if credentials is None:
            raise TokenRefused("no bearer token")
        client = clients.recognise(credentials.credentials)
        client.require(scope)
        return client

    return caller


__all__ = ["Client", "Depends", "Recogniser", "client_with"]
