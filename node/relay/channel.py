"""A `grpc.Channel` to a member behind the relay: stubs do not know the difference."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import grpc

from node.network.transport import DirectorySource
from node.relay.calling import Codec, RelayedCall
from protocols.errors import CredenceError
from protocols.keys import SigningKey
from protocols.relay import RelayFrameRefused
from protocols.relay_seal import SealedCall, open_call
from protocols.v1.relay_pb2 import RelayOpening, RelayTicket
from protocols.v1.relay_pb2_grpc import RelayStub


class RelayDialler:
    """Makes channels through the relay.

    Args:
        member_id: this node.
        signing: its identity; read at every call, for keys rotate.
        source: the directory.
        coordinator: a channel to the relay; may raise `NotJoined`.
        answer_bytes: longest answer that is taken.
    """

    def __init__(
        self,
        *,
        member_id: str,
        signing: Callable[[], SigningKey],
        source: DirectorySource,
        coordinator: Callable[[], grpc.Channel],
        answer_bytes: int,
    ) -> None:
        self._member_id = member_id
        self._signing = signing
        self._source = source
        self._coordinator = coordinator
        self._answer_bytes = answer_bytes

    def channel(
        self, callee: str, unreachable: Callable[[], None] = lambda: None
    ) -> "RelayChannel":
        """A channel to an active member; nothing is sent before a call.

        Args:
            callee: whom to call.
            unreachable: told when the relay does not reach it either.
        """
        return RelayChannel(self, callee, unreachable)

    def call(
        self,
        callee: str,
        method: str,
        requests: Iterator[Any],
        serialize: Callable[[Any], bytes],
        deserialize: Callable[[bytes], Any],
        timeout: float | None,
        unreachable: Callable[[], None],
    ) -> RelayedCall:
        """Begin a call; arguments as a stub and `channel` give them."""

        def opened(ticket: RelayTicket, timeout_ms: int) -> tuple[RelayOpening, SealedCall]:
            return self._opened(callee, method, ticket, timeout_ms)

        stub = RelayStub(self._coordinator())
        return RelayedCall(
            callee,
            requests,
            Codec(serialize, deserialize, self._answer_bytes),
            open_call=opened,
            start=lambda frames, seconds: stub.Call(frames, timeout=seconds),
            timeout=timeout,
            unreachable=unreachable,
        )

    def _opened(
        self, callee: str, method: str, ticket: RelayTicket, timeout_ms: int
    ) -> tuple[RelayOpening, SealedCall]:
        def attempt() -> tuple[RelayOpening, SealedCall]:
            directory = self._source.directory()
            return open_call(
                caller=self._member_id,
                key=self._signing(),
                callee=directory.active_member(callee),
                ticket=ticket,
                method=method,
                timeout_ms=timeout_ms,
                directory_version=directory.version,
                now_ms=int(time.time() * 1000),
            )

        try:
            return attempt()
        except CredenceError:
            # The directory here may be older than the callee's keys.
            self._source.look_again()
            return attempt()


class RelayChannel(grpc.Channel):
    """To one member."""

    def __init__(self, dialler: RelayDialler, callee: str, unreachable: Callable[[], None]) -> None:
        self._dialler = dialler
        self._callee = callee
        self._unreachable = unreachable

    def unary_unary(self, *arguments: Any, **more: Any) -> Any:
        """A method with one message each way."""
        return self._method(*arguments, one_request=True, one_answer=True, **more)

    def unary_stream(self, *arguments: Any, **more: Any) -> Any:
        """A method with one question and many answers."""
        return self._method(*arguments, one_request=True, one_answer=False, **more)

    def stream_unary(self, *arguments: Any, **more: Any) -> Any:
        """A method with many questions and one answer."""
        return self._method(*arguments, one_request=False, one_answer=True, **more)

    def stream_stream(self, *arguments: Any, **more: Any) -> Any:
        """A method with many messages each way."""
        return self._method(*arguments, one_request=False, one_answer=False, **more)

    def subscribe(
        self,
        callback: Callable[[grpc.ChannelConnectivity], None],
        try_to_connect: bool = False,  # noqa: ARG002, FBT001, FBT002, RUF100 - gRPC's signature
    ) -> None:
        """Whether a call comes through is known when it is made."""
        callback(grpc.ChannelConnectivity.READY)

    def unsubscribe(self, callback: Callable[[grpc.ChannelConnectivity], None]) -> None:
        """Nothing changes."""

    def close(self) -> None:
        """The way to the relay is shared; nothing is this channel's own."""

    def __enter__(self) -> "RelayChannel":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _method(
        self,
        method: str,
        request_serializer: Callable[[Any], bytes] | None = None,
        response_deserializer: Callable[[bytes], Any] | None = None,
        *,
        one_request: bool,
        one_answer: bool,
        **_: Any,
    ) -> Callable[..., Any]:
        serialize = request_serializer or bytes
        deserialize = response_deserializer or bytes

        def call(requests: Any, timeout: float | None = None) -> Any:
            given: Iterable[Any] = (requests,) if one_request else requests
            relayed = self._dialler.call(
                self._callee,
                method,
                iter(given),
                serialize,
                deserialize,
                timeout,
                self._unreachable,
            )
            return _only(relayed) if one_answer else relayed

        return call


def _only(answers: RelayedCall) -> Any:
    try:
        answer = next(answers)
        for _ in answers:
            raise RelayFrameRefused("more than one answer")
    except StopIteration:
        raise RelayFrameRefused("no answer") from None
    return answer
