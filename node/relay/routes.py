"""Which way to a member: directly when it can be dialled, else through the relay.

Clients ask for a channel and do not know which way it goes. A direct way that failed is not tried
again for a while, so that a member behind a wall costs one wait and not one a call; when the relay
cannot reach the member either, the direct way is tried at once.
"""

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc
import structlog

from node.network.transport import Channels
from node.relay.channel import RelayDialler
from protocols.directory import Directory, MemberEntry, UnknownMember

CONNECT_S = 1.0
CHECK_EVERY_S = 5.0
AVOID_DIRECT_S = 30.0

log = structlog.get_logger(__name__)


@dataclass
class _Way:
    """What is known of the direct way to an endpoint, monotonic seconds."""

    good_until: float = float("-inf")
    bad_until: float = float("-inf")
    lock: threading.Lock = field(default_factory=threading.Lock)


class Routes:
    """Channels to members; thread-safe.

    Args:
        channels: direct ones.
        directory: the directory in force.
        relay: makes relayed ones.
        look_again: gets the newest directory; for a member that is not in the one in force yet.
        connect_s: how long a direct connection may take.
        avoid_s: how long a direct way that failed is left alone.
    """

    def __init__(
        self,
        channels: Channels,
        directory: Callable[[], Directory],
        relay: RelayDialler,
        *,
        look_again: Callable[[], None] = lambda: None,
        connect_s: float = CONNECT_S,
        avoid_s: float = AVOID_DIRECT_S,
    ) -> None:
        self._channels = channels
        self._directory = directory
        self._relay = relay
        self._look_again = look_again
        self._connect_s = connect_s
        self._avoid_s = avoid_s
        self._lock = threading.Lock()
        self._ways: dict[tuple[str, str], _Way] = {}

    def to_member(self, member_id: str) -> grpc.Channel:
        """A channel to an active member, whichever way reaches it.

        Raises:
            UnknownMember: not in the directory.
            MemberNotActive: suspended or revoked.
        """
        entry = self._entry(member_id)
        if entry.endpoint is None:
            return self._relay.channel(member_id)
        with self._lock:
            way = self._ways.setdefault((member_id, entry.endpoint), _Way())
        with way.lock:  # who comes while it is tried waits for the outcome
            now = time.monotonic()
            if now < way.good_until:
                return self._channels.to_member(member_id)
            if now >= way.bad_until:
                if _connects(entry.endpoint, self._connect_s):
                    way.good_until = time.monotonic() + CHECK_EVERY_S
                    return self._channels.to_member(member_id)
                way.bad_until = time.monotonic() + self._avoid_s
                log.info("route.relayed", member=member_id)

        def unreachable() -> None:
            way.bad_until = float("-inf")

        return self._relay.channel(member_id, unreachable)

    def _entry(self, member_id: str) -> MemberEntry:
        try:
            return self._directory().active_member(member_id)
        except UnknownMember:
            self._look_again()
            return self._directory().active_member(member_id)


def _connects(endpoint: str, seconds: float) -> bool:
    """Whether something takes connections at `endpoint` within `seconds`.

    Whether it is the member, TLS finds out in the call: who answers in its place is no reason to
    go another way. (gRPC's own watch of a channel polls in a thread that outlives the channel.)
    """
    host, _, port = endpoint.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), seconds).close()
    except OSError:
        return False
    return True
