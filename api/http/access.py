"""Who calls: an access token with the proof that it is the caller's, and the scope a route needs.

A scope lets a client call; it never grants anything about a person. That takes a consent, named in
the call and checked by the node. What is checked of a call stands in `node.access.clients`.
"""

import binascii
import re
from base64 import b64decode
from dataclasses import replace
from functools import lru_cache
from typing import Annotated

from fastapi import Request, Security
from fastapi.openapi.models import OAuth2, OAuthFlowClientCredentials, OAuthFlows
from fastapi.security.base import SecurityBase
from starlette.datastructures import Headers
from starlette.types import Scope

from node.access.clients import Clients
from node.access.grants import TOKEN_PATH
from node.access.presented import SCOPES, Client, Presented
from node.access.wiring import Front
from protocols.canonical import b64url_encode, sha256
from protocols.errors import InvalidInput
from protocols.oauth import normalised_address

_MAX_CERTIFICATE = 16 * 1024
_HEX = re.compile(r"[0-9A-Fa-f]{64}")
_BYTES = re.compile(r":([A-Za-z0-9+/]+={0,2}):")  # RFC 9440, a byte sequence of RFC 8941


class AccessToken(SecurityBase):
    """A dependency: what a call presents. Nothing is checked before `caller`."""

    def __init__(self) -> None:
        self.model = OAuth2(
            flows=OAuthFlows(
                clientCredentials=OAuthFlowClientCredentials(
                    tokenUrl=TOKEN_PATH, scopes={scope: _MEANING[scope] for scope in SCOPES}
                )
            ),
            description="Client credentials with `private_key_jwt` (RFC 7523). Tokens are bound to "
            "the client's key: `Authorization: DPoP <token>` with a fresh `DPoP` proof for every "
            "call (RFC 9449), or to its TLS certificate (RFC 8705).",
        )
        self.scheme_name = "oauth2"

    async def __call__(self, request: Request) -> Presented:
        """What the request presents."""
        return presented(request.scope)


_MEANING = {
    "scores:write": "Ask for scores.",
    "scores:read": "Read the scores it was given.",
    "batches:write": "Score many subjects at once.",
    "monitor:write": "Subscribe to changes.",
    "outcomes:write": "Report what became of credits.",
    "webhooks:write": "Say where it is told of events.",
    "log:read": "Read the node's log and its proofs.",
}
Credentials = Annotated[Presented, Security(AccessToken())]


def caller(
    clients: Clients, credentials: Presented, scope: str | None, *, asked_again: bool = False
) -> Client:
    """The calling client, which has `scope`; None: any will do, or what it calls asks for one.

    `asked_again` as in `Clients.recognise`.

    Raises:
        TokenRefused: no token, or not one of a valid client.
        ProofRefused: the token without the proof that it is the caller's.
        RateLimited, QuotaExceeded: too many calls.
        ScopeMissing: the token lacks the scope.
    """
    client = credentials.client or clients.recognise(credentials, asked_again=asked_again)
    if scope is not None:
        clients.require(client, scope)
    return client


def presented(scope: Scope) -> Presented:
    """What an HTTP request presents of who sends it; of one recognised before, who it is."""
    state = scope.setdefault("state", {})
    headers, front = Headers(scope=scope), front_of(scope)
    path = scope.get("raw_path", b"").decode("latin-1") or scope["path"]
    return Presented(
        authorization=headers.getlist("authorization"),
        proofs=headers.getlist("dpop"),
        method=scope["method"],
        addresses=[_address(origin + path) for origin in origins(scope)],
        certificate=_certificate(scope, headers, front) if front.certificate_header else None,
        told=state.setdefault("headers", {}),
        client=state.get("client"),
    )


def recognise(clients: Clients, scope: Scope) -> Client:
    """The calling client, before a route asks: `caller` will find who it is.

    Raises:
        CredenceError: as `caller`.
    """
    found = clients.recognise(replace(presented(scope), client=None))
    scope["state"]["client"] = found
    return found


def front_of(scope: Scope) -> Front:
    """What is in front of the application."""
    return getattr(scope["app"].state, "front", None) or Front()


def origins(scope: Scope) -> tuple[str, ...]:
    """What this server is called, the name that clients know first; never what a caller says."""
    front = front_of(scope)
    server = scope.get("server") or ("", None)
    return _origins(front.origins, server[1] or 80)


@lru_cache(maxsize=64)
def _origins(configured: tuple[str, ...], port: int) -> tuple[str, ...]:
    names = configured or (f"http://localhost:{port}", f"http://127.0.0.1:{port}")
    return tuple(normalised_address(name).removesuffix("/") for name in names)


def _address(address: str) -> str:
    if "%" not in address and address.isascii():
        return address
    try:
        return normalised_address(address)
    except InvalidInput:
        return ""


def _certificate(scope: Scope, headers: Headers, front: Front) -> str | None:
    """The client's certificate as a proxy of ours tells it; whoever else says so is not heard."""
    peer = (scope.get("client") or ("", 0))[0]
    values = headers.getlist(front.certificate_header)
    if peer not in front.proxies or len(values) != 1 or len(values[0]) > _MAX_CERTIFICATE:
        return None
    value = values[0].strip()
    if _HEX.fullmatch(value):
        return b64url_encode(bytes.fromhex(value))
    match = _BYTES.fullmatch(value)
    try:
        return b64url_encode(sha256(b64decode(match[1], validate=True))) if match else None
    except binascii.Error:
        return None
