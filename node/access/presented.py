"""What a call shows of who makes it, and who it was found to be."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import ClassVar

from protocols.errors import CredenceError, Unavailable

SCOPES = (
    "scores:write",
    "scores:read",
    "batches:write",
    "monitor:write",
    "outcomes:write",
    "webhooks:write",
    "log:read",
)
DEFAULT_SCOPES = ("scores:read", "scores:write")
"""What a client gets when nothing else is said."""
LOG_SCOPE = "log:read"


class TokenRefused(CredenceError):
    """No access token, an unknown or expired one, or one of a revoked client; which is not said."""

    code = "token_refused"
    category = "unauthenticated"
    next_step = "Ask /oauth/token for a new access token; docs/access.md says how."
    oauth: ClassVar[str] = "invalid_token"


class ScopeMissing(CredenceError):
    """The token does not carry the scope that this call needs."""

    code = "scope_missing"
    category = "forbidden"
    next_step = "Ask for a token with this scope, or the node's operator for a client that has it."
    oauth: ClassVar[str] = "insufficient_scope"


class RateLimited(Unavailable):
    """The client makes more calls a second than it may."""

    code = "rate_limited"
    next_step = "Wait as long as Retry-After says; RateLimit says how many calls are left."


class QuotaExceeded(Unavailable):
    """The client has made all calls that it may make on one UTC day."""

    code = "quota_exceeded"
    next_step = "Wait until midnight UTC, or ask the node's operator for a larger quota."


@dataclass(frozen=True)
class Client:
    """A client that was recognised.

    Attributes:
        generation: of its access tokens, when it was recognised.
    """

    client_id: str
    name: str
    scopes: frozenset[str]
    generation: int = 0

    def require(self, scope: str) -> None:
        """Check for a scope.

        Raises:
            ScopeMissing: the client lacks it.
        """
        if scope not in self.scopes:
            raise ScopeMissing(f"this token does not carry the scope {scope}")


@dataclass(frozen=True, slots=True)
class Presented:
    """What came with a call.

    Attributes:
        authorization: values of that header.
        proofs: values of the DPoP header.
        method: of the call.
        addresses: what the call's address may be called, each normalised; the first is the one
            that clients know.
        certificate: SHA-256 of the client's TLS certificate as a trusted proxy told it, base64url;
            None: there is none.
        told: headers of the answer that access adds.
        client: who it was found to be before; None: it has to be found out.
    """

    authorization: Collection[str]
    proofs: Collection[str]
    method: str
    addresses: Collection[str]
    certificate: str | None = None
    told: dict[str, str] = field(default_factory=dict)
    client: Client | None = None

    @classmethod
    def bearer(cls, token: str) -> "Presented":
        """A bearer token and nothing else."""
        return cls((f"Bearer {token}",), (), "GET", ())
