"""Who is let in: the checks at every call of the member port, and of the relay.

They are 2 to 5 of `node.network.transport`.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import grpc

from node.network.announcing import announced_version
from node.network.rpc_errors import TooManyRequests, errors_as_status
from node.network.transport import (
    DeadlineRequired,
    DirectorySource,
    Handler,
    PeerNotAdmitted,
    RelayedContext,
    TransportLimits,
    presented,
)
from protocols.errors import CredenceError


class MemberGate(grpc.ServerInterceptor):
    """Admits active members only, and turns errors into statuses, around every handler."""

    def __init__(self, source: DirectorySource, limits: TransportLimits) -> None:
        self._source = source
        self._limits = limits
        self._under_way: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def admitted(self, context: grpc.ServicerContext) -> Iterator[str]:
        """Around a call: checks 2 to 5 of the module's list; the caller's member id.

        Raises:
            PeerNotAdmitted: check 2 or 4 fails.
            UnknownMember: check 3: not in the directory.
            MemberNotActive: check 3: suspended or revoked.
            DeadlineRequired, TooManyRequests: check 5.
        """
        with self.counted(context, self.identify(context)) as member_id:
            yield member_id

    @contextmanager
    def counted(self, context: grpc.ServicerContext, member_id: str) -> Iterator[str]:
        """Around a call of a member that passed 2 to 4: check 5.

        Raises:
            DeadlineRequired, TooManyRequests: it fails.
        """
        left_s: Any = context.time_remaining()  # None in a loop: there is no deadline
        if left_s is None or not left_s <= self._limits.longest_call_s:  # 5
            raise DeadlineRequired("the call has no deadline, or one too far off")
        with self._lock:
            if self._under_way[member_id] >= self._limits.calls_per_member:
                raise TooManyRequests(f"{member_id} has too many calls under way")
            self._under_way[member_id] += 1
        try:
            yield member_id
        finally:
            with self._lock:
                self._under_way[member_id] -= 1

    def identify(self, context: grpc.ServicerContext) -> str:
        """Checks 2 to 4; may wait for a newer directory.

        Raises:
            PeerNotAdmitted, UnknownMember, MemberNotActive: one fails.
        """
        if isinstance(context, RelayedContext):  # in place of 1, 2 and 4, the seal
            member_id, certificate = context.member_id, None
        else:
            member_id, certificate = presented(context)  # 2
        self._source.heard_of(announced_version(context), member_id)
        try:
            self._check(member_id, certificate)
        except CredenceError:
            # The directory here may be older than the member's certificate.
            self._source.look_again()
            self._check(member_id, certificate)
        return member_id

    def identified_at_once(self, context: grpc.ServicerContext) -> str | None:
        """As `identify`, never waits; None: it must be done by `identify`."""
        try:
            member_id, certificate = presented(context)
            if announced_version(context) > self._source.directory().version:
                return None
            self._check(member_id, certificate)
        except CredenceError:
            return None
        return member_id

    def _check(self, member_id: str, certificate: bytes | None) -> None:
        entry = self._source.directory().active_member(member_id)  # 3
        if certificate is not None and not entry.admits(certificate, int(time.time() * 1000)):  # 4
            raise PeerNotAdmitted("the certificate is not the one that the directory names")

    def intercept_service(
        self,
        continuation: "Callable[[grpc.HandlerCallDetails], Handler | None]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "Handler | None":
        """Wrap the method's handler."""
        handler = continuation(handler_call_details)
        if handler is None:
            return None
        return _wrapped(handler, self.admitted, handler_call_details.method)


def _wrapped(
    handler: Any,
    admitted: Callable[[grpc.ServicerContext], AbstractContextManager[str]],
    method: str,
) -> "Handler":
    behaviour = (
        handler.stream_stream or handler.stream_unary or handler.unary_stream or handler.unary_unary
    )

    def one(request: Any, context: grpc.ServicerContext) -> Any:
        with errors_as_status(context, method), admitted(context):
            return behaviour(request, context)

    def many(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        with errors_as_status(context, method), admitted(context):
            yield from behaviour(request, context)

    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[handler.request_streaming, handler.response_streaming]
    return make(
        many if handler.response_streaming else one,
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )
