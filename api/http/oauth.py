"""`/oauth`: access tokens for clients, and what describes this server to them (RFC 6749, 8414)."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from api.http.access import front_of, origins, presented
from api.http.problems import request_id_of, status_of
from node.access.grants import GRANT_TYPE, TOKEN_PATH, TokenRequestInvalid
from node.access.presented import SCOPES
from node.access.wiring import Access
from protocols.errors import CredenceError
from protocols.jose import ALGORITHMS
from protocols.oauth import ASSERTION_TYPE

JWKS_PATH = "/oauth/jwks"
METADATA_PATH = "/.well-known/oauth-authorization-server"
MAX_FIELDS = 16
_UNAVAILABLE = "temporarily_unavailable"


class TokenAnswer(BaseModel):
    """An access token."""

    access_token: str = Field(examples=["eyJhbGciOiJFZERTQSIsImtpZCI6..."])
    token_type: str = Field(examples=["DPoP"], description="`Bearer` when bound to a certificate.")
    expires_in: int = Field(examples=[300], description="Seconds.")
    scope: str = Field(examples=["scores:read scores:write"])


class TokenProblem(BaseModel):
    """Why there is no token (RFC 6749 section 5.2), with the fields of a problem document."""

    error: str = Field(examples=["invalid_client"])
    error_description: str = Field(examples=["the assertion was shown before"])
    code: str = Field(examples=["client_assertion_refused"])
    request_id: str = Field(examples=["req_0r4kq1x2c9m5w7v8"])
    retryable: bool = Field(examples=[False])
    next_step: str = Field(examples=["Sign a fresh assertion with a registered key."])


class Jwks(BaseModel):
    """A JWK Set (RFC 7517)."""

    keys: list[dict[str, str]] = Field(
        examples=[[{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKx...", "kid": "d75a980182b10ab7"}]]
    )


class ServerMetadata(BaseModel):
    """What this authorization server is and does (RFC 8414)."""

    issuer: Annotated[str, Field(examples=["https://scores.bank.example"])]
    token_endpoint: str = Field(examples=["https://scores.bank.example/oauth/token"])
    jwks_uri: str = Field(examples=["https://scores.bank.example/oauth/jwks"])
    scopes_supported: list[str]
    response_types_supported: list[str]
    grant_types_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]
    token_endpoint_auth_signing_alg_values_supported: list[str]
    dpop_signing_alg_values_supported: list[str]
    tls_client_certificate_bound_access_tokens: bool


_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": ["grant_type", "client_assertion_type", "client_assertion"],
                    "properties": {
                        "grant_type": {"type": "string", "const": GRANT_TYPE},
                        "client_assertion_type": {"type": "string", "const": ASSERTION_TYPE},
                        "client_assertion": {
                            "type": "string",
                            "description": "JWT by a key of the client: iss and sub its id, aud "
                            "the issuer, exp within five minutes, jti used once.",
                        },
                        "client_id": {"type": "string"},
                        "scope": {"type": "string", "description": "Of the client's; else all."},
                    },
                },
                "example": {
                    "grant_type": GRANT_TYPE,
                    "client_assertion_type": ASSERTION_TYPE,
                    "client_assertion": "eyJhbGciOiJFZERTQSIsImtpZCI6...",
                    "scope": "scores:write",
                },
            }
        },
    },
    "parameters": [
        {
            "name": "DPoP",
            "in": "header",
            "required": False,
            "description": "Proof of possession of the key that the token is bound to (RFC 9449); "
            "left out when the connection has a client certificate.",
            "schema": {"type": "string", "maxLength": 4096},
            "example": "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6...",
        }
    ],
}
_STATUSES = {
    400: "The request, its scope or its DPoP proof is not what it must be.",
    401: "The client's assertion is refused.",
    429: "Too many calls; `Retry-After` says when to go on.",
    503: "The node cannot answer now; try again.",
}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": TokenProblem, "description": text} for status, text in _STATUSES.items()
}


def oauth_routes(access: Access) -> APIRouter:
    """The routes of a node's authorization server."""
    router = APIRouter(tags=["access"])

    @router.post(
        TOKEN_PATH,
        operation_id="createToken",
        summary="Get an access token",
        response_model=TokenAnswer,
        responses=_REFUSALS,
        openapi_extra=_FORM,
    )
    async def create_token(request: Request) -> Any:
        """The client credentials grant with a signed assertion, for a token that is bound.

        An assertion and a DPoP proof are good once. A token lives five minutes, and ends earlier
        when its client is revoked, its keys are replaced without overlap, or the node restarts:
        then calls are answered `token_refused`, and a client asks for another.
        """
        shown = presented(request.scope)
        try:
            form = parse_form(await request.body())
            granted = await run_in_threadpool(
                access.grants.grant, form, shown, origins(request.scope)
            )
        except CredenceError as error:
            return _refusal(error, request_id_of(request))
        return TokenAnswer(
            access_token=granted.token,
            token_type=granted.token_type,
            expires_in=granted.expires_in_s,
            scope=granted.scope,
        )

    @router.get(
        JWKS_PATH,
        operation_id="getTokenKeys",
        summary="Keys that access tokens are signed with",
        response_model=Jwks,
    )
    async def jwks() -> Any:
        """The public keys of this process; they change daily and when the node restarts."""
        return access.tokens.jwks()

    @router.get(
        METADATA_PATH,
        operation_id="getServerMetadata",
        summary="Describe this authorization server",
        response_model=ServerMetadata,
    )
    async def metadata(request: Request) -> Any:
        """RFC 8414. What this server is called is its setting `public_url`, whoever asks."""
        return _metadata(
            origins(request.scope)[0], bound=bool(front_of(request.scope).certificate_header)
        )

    return router


def _metadata(issuer: str, *, bound: bool) -> Mapping[str, Any]:
    return {
        "issuer": issuer,
        "token_endpoint": issuer + TOKEN_PATH,
        "jwks_uri": issuer + JWKS_PATH,
        "scopes_supported": list(SCOPES),
        "response_types_supported": [],
        "grant_types_supported": [GRANT_TYPE],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "dpop_signing_alg_values_supported": list(ALGORITHMS),
        "tls_client_certificate_bound_access_tokens": bound,
    }


def parse_form(body: bytes) -> list[tuple[str, str]]:
    """The fields of a token request, in order.

    Raises:
        TokenRequestInvalid: not a form, or one with too many fields.
    """
    try:
        return parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError as error:
        raise TokenRequestInvalid("the body is not a form with few fields") from error


def _refusal(error: CredenceError, request_id: str) -> JSONResponse:
    status = status_of(error)
    if error.category == "internal":
        raise error
    oauth = getattr(error, "oauth", _UNAVAILABLE if status in {429, 503} else "invalid_request")
    content = {
        "error": oauth,
        # RFC 6749 section 5.2 allows neither quotes nor what is not ASCII.
        "error_description": error.message.encode("ascii", "replace").decode().replace('"', "'"),
        "code": error.code,
        "request_id": request_id,
        "retryable": error.retryable,
        "next_step": error.next_step,
    }
    # Section 5.2 of RFC 6749: 401 is for who the client is, 400 for all else that is the client's.
    if status == 401 and oauth != "invalid_client":
        status = 400
    return JSONResponse(content, status_code=status)
