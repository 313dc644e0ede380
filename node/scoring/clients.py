"""The names of `node.access` that were here."""

from node.access.clients import ClientExists, Clients
from node.access.presented import DEFAULT_SCOPES as SCOPES
from node.access.presented import LOG_SCOPE, Client, ScopeMissing, TokenRefused

__all__ = [
    "LOG_SCOPE",
    "SCOPES",
    "Client",
    "ClientExists",
    "Clients",
    "ScopeMissing",
    "TokenRefused",
]
