"""gRPC over mutual TLS: who may speak to this node, and how an error travels.

A server admits a call only when
  1. the connection is TLS with a client certificate of the network's CA (TLS itself refuses
     others: no certificate, another CA, expired),
  2. the certificate names exactly one member (SAN `<member>.members.credence`),
  3. that member is in the directory, and active,
  4. the certificate is the one the directory names, or one that it replaced within its overlap (an
     older one, or a second one, is refused),
  5. the call has a deadline, not too far off, and the member has not too many others under way: no
     member can occupy a server for all.
A call that came through the relay is admitted by its seal (`protocols.relay_seal`) in place of 1, 2
and 4. 2 to 5 are checked at every call, so that a revoked member is out at its next call even on a
connection that it opened before. Before that the node refreshes its directory when the caller says
that it holds a newer one (`node.network.announcing`).

A new certificate is in use without a restart: a server shows it from the next connection on, and a
channel is opened anew when it is next asked for.
"""

import threading
import time
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, TypeAlias

import grpc

from node.network.announcing import Announcer
from node.network.rpc_errors import PeerUnreachable
from protocols.certificates import COORDINATOR_DNS, fingerprint, member_dns, member_id_of
from protocols.directory import Directory
from protocols.errors import CredenceError

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class PeerNotAdmitted(CredenceError):
    """The caller's certificate is not the one the directory names for that member."""

    code = "peer_not_admitted"
    category = "forbidden"
    next_step = "Use the newest certificate; ask the operator if it was replaced without you."


class DeadlineRequired(CredenceError):
    """A call without a deadline, or with one too far off."""

    code = "deadline_required"
    category = "invalid"
    next_step = "Call with a deadline of at most half an hour."


@dataclass(frozen=True)
class TransportLimits:
    """How much a peer may send or occupy.

    Attributes:
        request_bytes: largest message that a server takes.
        answer_bytes: largest message that a caller takes.
        metadata_bytes: largest headers.
        workers: calls served at one time.
        waiting: calls that may wait beyond those; more are refused.
        calls_per_member: calls of one member served at one time.
        longest_call_s: how far off a call's deadline may be, seconds.
        subjects_per_s: how fast one member may ask in the long run.
        burst_subjects: how many it may ask about at once after a pause.
        patience_s: how long a stream is held back to that rate before it is refused, seconds.

    What one request may hold is in `protocols.exchange_rules.Limits`, the same at both sides.
    """

    request_bytes: int = 256 * 1024
    answer_bytes: int = 2 * 1024 * 1024
    metadata_bytes: int = 8 * 1024
    workers: int = 64
    waiting: int = 64
    calls_per_member: int = 32
    longest_call_s: float = 1800.0
    subjects_per_s: int = 20_000
    burst_subjects: int = 40_000
    patience_s: float = 5.0


@dataclass(frozen=True, repr=False)
class TlsIdentity:
    """What a node shows of itself in TLS, all PEM: the network's CA, its certificate, its key."""

    ca: bytes
    certificate: bytes
    key: bytes


class DirectorySource(Protocol):
    """Where the gate and the channels read the member directory."""

    def directory(self) -> Directory:
        """The directory in force."""
        ...

    def look_again(self) -> None:
        """Ask the coordinator, unless that was just done, or wait for it; never raises."""
        ...

    def heard_of(self, version: int, member_id: str) -> None:
        """A member says it holds this version: get it when it is newer; never raises."""
        ...


def server_credentials(identity: Callable[[], TlsIdentity]) -> grpc.ServerCredentials:
    """Credentials of a server that demands a client certificate of the network's CA.

    Args:
        identity: asked at every new connection, so that a renewed certificate is shown at once.
    """

    def configuration(shown: TlsIdentity) -> Any:
        pair = (shown.key, shown.certificate)
        return grpc.ssl_server_certificate_configuration([pair], shown.ca)

    shown = identity()

    def fetch() -> Any:
        nonlocal shown
        try:
            current = identity()
        except CredenceError:
            return None  # what is shown now stays
        if current == shown:
            return None
        shown = current
        return configuration(current)

    return grpc.dynamic_ssl_server_credentials(
        configuration(shown), fetch, require_client_authentication=True
    )


def server_options(limits: TransportLimits) -> list[tuple[str, Any]]:
    """Size limits; and a second server on the same port is an error, not a silent share."""
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", limits.request_bytes),
        ("grpc.max_metadata_size", limits.metadata_bytes),
        # What one connection has beyond this waits at its caller.
        ("grpc.max_concurrent_streams", 2 * limits.calls_per_member),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ]


def open_channel(
    endpoint: str, server_name: str, ca: bytes, client: TlsIdentity | None, limits: TransportLimits
) -> grpc.Channel:
    """A channel to `endpoint` that believes only `server_name` under `ca`.

    Args:
        endpoint: host:port.
        server_name: the DNS name that the server's certificate must hold.
        ca: PEM of the only root that is trusted.
        client: what to show of ourselves; None before there is a certificate.
        limits: size limits.
    """
    key, certificate = (client.key, client.certificate) if client else (None, None)
    credentials = grpc.ssl_channel_credentials(ca, key, certificate)
    return grpc.secure_channel(endpoint, credentials, channel_options(server_name, limits))


def channel_options(server_name: str, limits: TransportLimits) -> list[tuple[str, Any]]:
    """How a channel is opened that believes only `server_name`."""
    return [
        ("grpc.ssl_target_name_override", server_name),
        ("grpc.max_receive_message_length", limits.answer_bytes),
        ("grpc.max_metadata_size", limits.metadata_bytes),
        ("grpc.enable_http_proxy", 0),  # members are dialled directly
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 5_000),
    ]


def ready_within(channel: grpc.Channel, seconds: float) -> bool:
    """Wait until `channel` is connected, at most `seconds`; 0 or less does not wait: try it."""
    if seconds <= 0:
        return True
    try:
        grpc.channel_ready_future(channel).result(timeout=seconds)
    except grpc.FutureTimeoutError:
        return False
    return True


class MemberChannels(Protocol):
    """Gives channels to members, whichever way they go."""

    def to_member(self, member_id: str) -> grpc.Channel:
        """A channel to an active member; raises `UnknownMember`, `MemberNotActive`."""
        ...


class Channels:
    """One channel a peer, opened when first used and kept."""

    def __init__(
        self,
        identity: Callable[[], TlsIdentity],
        directory: Callable[[], Directory],
        limits: TransportLimits,
    ) -> None:
        self._identity = identity
        self._directory = directory
        self._limits = limits
        self._open: dict[tuple[str, str], tuple[TlsIdentity, grpc.Channel]] = {}
        self._replaced: list[tuple[float, grpc.Channel]] = []
        self._lock = threading.Lock()

    def to_member(self, member_id: str) -> grpc.Channel:
        """A channel to an active member, at the endpoint the directory names.

        Raises:
            UnknownMember: not in the directory.
            MemberNotActive: suspended or revoked.
            PeerUnreachable: it accepts no connections.
        """
        entry = self._directory().active_member(member_id)
        if entry.endpoint is None:
            raise PeerUnreachable(f"{member_id} accepts no connections")
        return self._channel(entry.endpoint, member_dns(member_id))

    def to_coordinator(self, endpoint: str) -> grpc.Channel:
        """A channel to the coordinator's member port."""
        return self._channel(endpoint, COORDINATOR_DNS)

    def _channel(self, endpoint: str, server_name: str) -> grpc.Channel:
        with self._lock:
            identity = self._identity()
            held = self._open.get((endpoint, server_name))
            if held is not None and held[0] == identity:
                return held[1]
            if held is not None:
                self._retire(held[1])
            opened = grpc.intercept_channel(
                open_channel(endpoint, server_name, identity.ca, identity, self._limits),
                Announcer(self._version),
            )
            self._open[endpoint, server_name] = identity, opened
            return opened

    def _version(self) -> int:
        try:
            return self._directory().version
        except CredenceError:
            return 0  # there is none here yet

    def _retire(self, channel: grpc.Channel) -> None:
        # Calls under way on it go on; when the longest of them must be over, it is closed.
        now = time.monotonic()
        for until, one in self._replaced:
            if until < now:
                one.close()
        self._replaced = [one for one in self._replaced if one[0] >= now]
        self._replaced.append((now + self._limits.longest_call_s, channel))

    def close(self) -> None:
        """Close all channels."""
        with self._lock:
            for _, channel in (*self._open.values(), *self._replaced):
                channel.close()
            self._open.clear()
            self._replaced.clear()


class RelayedContext(grpc.ServicerContext):
    """The context of a call that came through the relay: the seal told who calls, not TLS."""

    @property
    @abstractmethod
    def member_id(self) -> str:
        """The caller, an active member whose signature was verified."""


@lru_cache(maxsize=512)
def _certificate_facts(pem: bytes) -> tuple[str, bytes]:
    return member_id_of(pem), fingerprint(pem)


def peer_member(context: grpc.ServicerContext) -> str:
    """The authenticated caller's member id; behind a `MemberGate` it is an active member's.

    Raises:
        PeerNotAdmitted: no certificate.
    """
    if isinstance(context, RelayedContext):
        return context.member_id
    return presented(context)[0]


def presented(context: grpc.ServicerContext) -> tuple[str, bytes]:
    """The caller's member id and its certificate's SHA-256, from TLS.

    Raises:
        PeerNotAdmitted: no certificate, or more than one.
    """
    certificates = list(context.auth_context().get("x509_pem_cert", ()))
    if len(certificates) != 1:
        raise PeerNotAdmitted("the caller shows no certificate")
    return _certificate_facts(certificates[0])
