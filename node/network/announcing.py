"""Every call tells which directory version its caller holds.

It stands in the metadata `credence-directory`. Whoever is called and holds an older one refreshes
before it decides on the call: so a change of membership reaches a node that is cut off from the
coordinator with the first call of any member that knows it. The number is a hint only; what is
then fetched is believed by its signature.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import grpc

from protocols.announcement import VERSION_KEY, version_in

__all__ = ["VERSION_KEY", "Announcer", "announced_version"]


class _Details(NamedTuple):
    """`grpc.ClientCallDetails` with one more entry of metadata."""

    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class Announcer(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Adds the version to every call of a channel."""

    def __init__(self, version: Callable[[], int]) -> None:
        self._version = version

    def _announced(self, details: Any) -> Any:
        metadata = (*(details.metadata or ()), (VERSION_KEY, str(self._version())))
        return _Details(
            details.method,
            details.timeout,
            metadata,
            details.credentials,
            details.wait_for_ready,
            details.compression,
        )

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        """One question, one answer."""
        return continuation(self._announced(details), request)

    def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        """One question, many answers."""
        return continuation(self._announced(details), request)

    def intercept_stream_unary(self, continuation: Any, details: Any, requests: Any) -> Any:
        """Many questions, one answer."""
        return continuation(self._announced(details), requests)

    def intercept_stream_stream(self, continuation: Any, details: Any, requests: Any) -> Any:
        """Many questions, many answers."""
        return continuation(self._announced(details), requests)


def announced_version(context: grpc.ServicerContext) -> int:
    """The directory version that a caller says it holds; 0 when it says none."""
    return version_in(context.invocation_metadata())
