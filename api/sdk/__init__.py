"""The Python SDK for a node's API: `Client` and `AsyncClient`, typed results, errors and proofs.

    from api.sdk import Client, ClientKey, Identity

    with Client(url, Identity("cli_...", ClientKey.read("client.jwk"))) as node:
        score = node.score("sub_...", "con_...")

Proofs are in `api.sdk.proofs` and webhooks in `api.sdk.webhooks`: who does not check any does not
load the verifier.
"""

from api.sdk.async_client import AsyncClient
from api.sdk.core import Identity, Patience
from api.sdk.errors import ApiError, SdkError
from api.sdk.keys import ClientKey
from api.sdk.results import Score
from api.sdk.sync_client import Client

__all__ = [
    "ApiError",
    "AsyncClient",
    "Client",
    "ClientKey",
    "Identity",
    "Patience",
    "Score",
    "SdkError",
]
