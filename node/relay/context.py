"""The context of a relayed call: what a servicer sees in place of gRPC's own."""

import math
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn

import grpc

from node.network.transport import RelayedContext
from protocols.announcement import VERSION_KEY
from protocols.errors import CredenceError
from protocols.relay_seal import AcceptedCall


class CallAborted(Exception):
    """A servicer ended its call with a status; the status is in the context."""


class SealedContext(RelayedContext):
    """Of one call; thread-safe where a servicer's threads may meet."""

    def __init__(self, accepted: AcceptedCall) -> None:
        """Of a call whose seal holds; a timeout of 0 is for ever, which no gate lets pass."""
        timeout_ms = accepted.timeout_ms
        self._member_id = accepted.caller
        self._metadata = ((VERSION_KEY, str(accepted.directory_version)),)
        self._ends_at = time.monotonic() + timeout_ms / 1000 if timeout_ms else math.inf
        self._lock = threading.Lock()
        self._over = False
        self._callbacks: list[Callable[[], None]] = []
        self._trailing: tuple[tuple[str, str | bytes], ...] = ()
        self._code: grpc.StatusCode | None = None
        self._details = ""

    @property
    def member_id(self) -> str:
        """The caller that the seal authenticated."""
        return self._member_id

    def finish(self) -> None:
        """The call is over: servicers that asked to be told are told."""
        with self._lock:
            if self._over:
                return
            self._over = True
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def is_active(self) -> bool:
        """Whether the caller still waits."""
        return not self._over

    def time_remaining(self) -> float:
        """Seconds until the caller's deadline."""
        return max(0.0, self._ends_at - time.monotonic())

    def cancel(self) -> bool:
        """End the call."""
        self.finish()
        return True

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """Call back at the end of the call; False when it is over."""
        with self._lock:
            if self._over:
                return False
            self._callbacks.append(callback)
            return True

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        """What goes with the status."""
        self._trailing = tuple(trailing_metadata)

    def trailing_metadata(self) -> Any:
        """What goes with the status."""
        return self._trailing

    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        """End the call with a status."""
        self._code, self._details = code, details
        raise CallAborted

    def abort_with_status(self, status: grpc.Status) -> NoReturn:
        """End the call with a status."""
        self._trailing = tuple(status.trailing_metadata or ())
        self.abort(status.code, status.details)

    def set_code(self, code: grpc.StatusCode) -> None:
        """The status to end with."""
        self._code = code

    def set_details(self, details: str) -> None:
        """And its text."""
        self._details = details

    def code(self) -> grpc.StatusCode | None:
        """The status set so far."""
        return self._code

    def details(self) -> str:
        """Its text."""
        return self._details

    def invocation_metadata(self) -> Any:
        """What a direct caller would announce."""
        return self._metadata

    def peer(self) -> str:
        """Not an address: the relay's is of no interest."""
        return "relay"

    def peer_identities(self) -> Any:
        """None of TLS."""
        return None

    def peer_identity_key(self) -> Any:
        """None of TLS."""
        return None

    def auth_context(self) -> Any:
        """None of TLS."""
        return {}

    def send_initial_metadata(self, initial_metadata: Any) -> None:  # noqa: ARG002
        """None travels through the relay."""
        raise CredenceError("a relayed call has no initial metadata")

    def set_compression(self, compression: Any) -> None:
        """Sealed bytes are not compressed."""

    def disable_next_message_compression(self) -> None:
        """Sealed bytes are not compressed."""
