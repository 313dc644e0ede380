"""Who calls: the bearer token of an API client, and the scope a route needs.

A scope lets a client call; it never grants anything about a person. That takes a consent, named in
the call and checked by the node.
"""

from typing import Annotated

from fastapi import Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from node.scoring.clients import Client, Clients, TokenRefused

Credentials = Annotated[
    HTTPAuthorizationCredentials | None,
    Security(
        HTTPBearer(
            auto_error=False,
            scheme_name="client token",
            description="A token of `credence client add HOME --name NAME`.",
        )
    ),
]


def caller(
    clients: Clients, credentials: HTTPAuthorizationCredentials | None, scope: str | None
) -> Client:
    """The calling client, which has `scope`; None: any will do, or what it calls asks for one.

    Raises:
        TokenRefused: no token, or not one of a valid client.
        ScopeMissing: the token lacks the scope.
    """
    if credentials is None:
        raise TokenRefused("no bearer token")
    client = clients.recognise(credentials.credentials)
    if scope is not None:
        clients.require(client, scope)
    return client
