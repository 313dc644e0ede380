"""Where the relay's parts are put together."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import structlog

from coordinator.bootstrap import Coordinator
from coordinator.relay.ledger import CarriedLedger
from coordinator.relay.service import RelayService
from coordinator.relay.switchboard import Switchboard
from protocols.errors import CredenceError
from protocols.relay import DEFAULT_RELAY_LIMITS, RelayLimits
from protocols.v1.relay_pb2_grpc import add_RelayServicer_to_server

SWEEP_EVERY_S = 2.0
WRITE_EVERY_S = 60.0

log = structlog.get_logger(__name__)


@contextmanager
def attach_relay(
    server: grpc.Server, coordinator: Coordinator, limits: RelayLimits = DEFAULT_RELAY_LIMITS
) -> Iterator[Switchboard]:
    """Carry members' calls on `server` until the block ends.

    Args:
        server: the member port; not started yet.
        coordinator: its parts.
        limits: what lines and calls may hold.
    """
    ledger = CarriedLedger(coordinator.database, coordinator.audit, lambda: int(time.time() * 1000))
    board = Switchboard(coordinator.membership.directory, ledger.add, limits=limits)
    add_RelayServicer_to_server(RelayService(board), server)
    stopping = threading.Event()
    sweeper = threading.Thread(
        target=_sweep, args=(board, ledger, stopping), name="relay-sweep", daemon=True
    )
    sweeper.start()
    try:
        yield board
    finally:
        stopping.set()
        board.close()
        sweeper.join()


def _sweep(board: Switchboard, ledger: CarriedLedger, stopping: threading.Event) -> None:
    written_at = time.monotonic()
    ended = False
    while not ended:
        ended = stopping.wait(SWEEP_EVERY_S)
        try:
            board.sweep()
            if ended or time.monotonic() - written_at >= WRITE_EVERY_S:
                ledger.write()
                written_at = time.monotonic()
        except CredenceError as error:
            log.warning("relay.sweep_failed", code=error.code)
