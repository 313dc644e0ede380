"""gRPC at the coordinator: who may call, how an error travels, what a port takes.

The member port admits a call only when
  1. the connection is TLS with a client certificate of the network's CA (TLS itself refuses
     others: no certificate, another CA, expired),
  2. the certificate names exactly one member (SAN `<member>.members.credence`),
  3. that member is in the directory, and active,
  4. the certificate is the one the directory names, or one it replaced within its overlap.
2 to 4 are checked at every call, so that a suspended member is out at its next call even on a
connection that it opened before.

A `CredenceError` becomes a gRPC status by its category; its code travels in the trailing metadata
`credence-code`.
"""

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from traceback import extract_tb
from typing import Any, NoReturn, TypeAlias

import grpc
import structlog

from protocols.announcement import version_in
from protocols.certificates import fingerprint, member_id_of
from protocols.directory import Directory
from protocols.errors import Category, CredenceError, PortInUse

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"

CODE_KEY = "credence-code"
MAX_DETAILS = 300

STATUS: dict[Category, grpc.StatusCode] = {
    "invalid": grpc.StatusCode.INVALID_ARGUMENT,
    "unauthenticated": grpc.StatusCode.UNAUTHENTICATED,
    "forbidden": grpc.StatusCode.PERMISSION_DENIED,
    "not_found": grpc.StatusCode.NOT_FOUND,
    "conflict": grpc.StatusCode.FAILED_PRECONDITION,
    "unavailable": grpc.StatusCode.UNAVAILABLE,
    "internal": grpc.StatusCode.INTERNAL,
}

_log = structlog.get_logger(__name__)


class CallerNotAdmitted(CredenceError):
    """The caller's certificate is not the current certificate of an active member."""

    code = "caller_not_admitted"
    category = "forbidden"
    next_step = "Ask the operator whether the membership is active and the certificate current."


@dataclass(frozen=True)
class PortLimits:
    """How much callers of one port may send or occupy.

    Attributes:
        message_bytes: largest message that is taken.
        metadata_bytes: largest headers.
        workers: calls served at one time; a training stream, a line to the relay and a relayed
            call occupy one each while they live.
        waiting: calls that may wait beyond those; more are refused.
    """

    message_bytes: int
    workers: int
    waiting: int
    metadata_bytes: int = 8 * 1024


# A join request is some KiB; who calls there is a stranger still.
ENROLMENT_LIMITS = PortLimits(message_bytes=64 * 1024, workers=4, waiting=16)
# Model updates come in pieces of 1 MiB.
MEMBER_LIMITS = PortLimits(message_bytes=2 * 1024 * 1024, workers=256, waiting=128)


@dataclass(frozen=True, repr=False)
class TlsIdentity:
    """What the coordinator shows of itself in TLS, all PEM: the CA, its certificate, its key."""

    ca: bytes
    certificate: bytes
    key: bytes


def enrolment_credentials(identity: Callable[[], TlsIdentity]) -> grpc.ServerCredentials:
    """TLS without a client certificate; the CA's own is sent along, to be pinned by its hash.

    Args:
        identity: asked at every new connection, so that a renewed certificate is shown at once.
    """

    def configuration(shown: TlsIdentity) -> Any:
        chain = shown.certificate + shown.ca
        return grpc.ssl_server_certificate_configuration([(shown.key, chain)])

    return _credentials(identity, configuration, demands_client=False)


def member_credentials(identity: Callable[[], TlsIdentity]) -> grpc.ServerCredentials:
    """TLS that demands a client certificate of the network's CA.

    Args:
        identity: as for `enrolment_credentials`.
    """

    def configuration(shown: TlsIdentity) -> Any:
        pair = (shown.key, shown.certificate)
        return grpc.ssl_server_certificate_configuration([pair], shown.ca)

    return _credentials(identity, configuration, demands_client=True)


def _credentials(
    identity: Callable[[], TlsIdentity],
    configuration: Callable[[TlsIdentity], Any],
    *,
    demands_client: bool,
) -> grpc.ServerCredentials:
    shown = identity()

    def fetch() -> Any:
        nonlocal shown
        current = identity()
        if current == shown:
            return None
        shown = current
        return configuration(current)

    return grpc.dynamic_ssl_server_credentials(
        configuration(shown), fetch, require_client_authentication=demands_client
    )


def make_server(limits: PortLimits, interceptor: grpc.ServerInterceptor, name: str) -> grpc.Server:
    """A server with `limits`; nothing listens yet."""
    return grpc.server(
        ThreadPoolExecutor(limits.workers, thread_name_prefix=name),
        interceptors=[interceptor],
        maximum_concurrent_rpcs=limits.workers + limits.waiting,
        options=[
            # A second server on the same port is an error, not a silent share.
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", limits.message_bytes),
            ("grpc.max_metadata_size", limits.metadata_bytes),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ],
    )


def listen(server: grpc.Server, endpoint: str, credentials: grpc.ServerCredentials) -> int:
    """Bind `endpoint`; the port that was bound.

    Raises:
        PortInUse: it cannot be bound.
    """
    _probe(endpoint)
    try:
        port = server.add_secure_port(endpoint, credentials)
    except RuntimeError as error:
        raise PortInUse(f"cannot listen on {endpoint}: the port is in use or not ours") from error
    if port == 0:
        raise PortInUse(f"cannot listen on {endpoint}: the port is in use or not ours")
    return port


def _probe(endpoint: str) -> None:
    # gRPC tells a taken port in a line of its own on standard error; so it is not asked to.
    host, _, port = endpoint.rpartition(":")
    host = host.strip("[]")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, int(port)))
        except OSError as error:
            raise PortInUse(f"cannot listen on {endpoint}: {error.strerror}") from error


def peer_member(context: grpc.ServicerContext) -> str:
    """The member id in the caller's certificate; behind a `MemberGate` an active member's.

    Raises:
        CallerNotAdmitted: no certificate.
    """
    return _presented(context)[0]


def peer_certificate(context: grpc.ServicerContext) -> bytes:
    """The caller's certificate, PEM.

    Raises:
        CallerNotAdmitted: it shows none.
    """
    presented = list(context.auth_context().get("x509_pem_cert", ()))
    if len(presented) != 1:
        raise CallerNotAdmitted("the caller shows no certificate")
    return bytes(presented[0])


@lru_cache(maxsize=512)
def _certificate_facts(pem: bytes) -> tuple[str, bytes]:
    return member_id_of(pem), fingerprint(pem)


def _presented(context: grpc.ServicerContext) -> tuple[str, bytes]:
    return _certificate_facts(peer_certificate(context))


class ErrorsAsStatus(grpc.ServerInterceptor):
    """Around every handler: admits the call, and turns what it raises into a status."""

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Wrap the method's handler."""
        handler = continuation(handler_call_details)
        if handler is None:
            return None
        return _wrapped(handler, self.admit, handler_call_details.method)

    def admit(self, context: grpc.ServicerContext) -> None:
        """Let anyone in: the enrolment port's rule."""


class MemberGate(ErrorsAsStatus):
    """Admits active members only.

    Args:
        directory: the directory in force.
        seen: told, of every call that is admitted, the member id and the directory version that
            the member says it holds.
    """

    def __init__(
        self, directory: Callable[[], Directory], seen: Callable[[str, int], None]
    ) -> None:
        self._directory = directory
        self._seen = seen

    def admit(self, context: grpc.ServicerContext) -> None:
        """Checks 2 to 4 of the module's list.

        Raises:
            CredenceError: one of them fails.
        """
        member_id, presented = _presented(context)  # 2
        entry = self._directory().active_member(member_id)  # 3
        if not entry.admits(presented, int(time.time() * 1000)):  # 4
            raise CallerNotAdmitted("the certificate is not the one the directory names")
        self._seen(member_id, version_in(context.invocation_metadata()))


def _wrapped(handler: Any, admit: Callable[[grpc.ServicerContext], None], method: str) -> Handler:
    behaviour = (
        handler.stream_stream or handler.stream_unary or handler.unary_stream or handler.unary_unary
    )

    def one(request: Any, context: grpc.ServicerContext) -> Any:
        with _errors_as_status(context, method):
            admit(context)
            return behaviour(request, context)

    def many(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        with _errors_as_status(context, method):
            admit(context)
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


@contextmanager
def _errors_as_status(context: grpc.ServicerContext, method: str) -> Iterator[None]:
    try:
        yield
    except CredenceError as error:
        _log.info("rpc.refused", method=method, code=error.code)
        _abort(context, error)
    except grpc.RpcError:
        raise  # the caller went away while we read its stream
    except Exception as error:
        if not context.is_active():
            raise
        # The exception's text may quote data; its type and places do not.
        places = [f"{frame.name}:{frame.lineno}" for frame in extract_tb(error.__traceback__)]
        _log.error("rpc.failed", method=method, error=type(error).__name__, at=places[-6:])
        _abort(context, CredenceError("the request failed inside the coordinator"))


def _abort(context: grpc.ServicerContext, error: CredenceError) -> NoReturn:
    context.set_trailing_metadata(((CODE_KEY, error.code),))
    context.abort(STATUS[error.category], error.message[:MAX_DETAILS])
