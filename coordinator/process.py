"""What `credence coordinator run` runs: both ports, training streams and campaigns, ceremonies."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import grpc
import structlog

from coordinator.acts import note_certificate, note_settings
from coordinator.bootstrap import Coordinator, open_coordinator
from coordinator.ceremonies.service import attach_ceremonies
from coordinator.federation.runner import attach_federation
from coordinator.home import only_process
from coordinator.relay.wiring import attach_relay
from coordinator.server import EnrolmentService, MembershipService
from coordinator.transport import (
    ENROLMENT_LIMITS,
    MEMBER_LIMITS,
    ErrorsAsStatus,
    MemberGate,
    enrolment_credentials,
    listen,
    make_server,
    member_credentials,
)
from coordinator.watch.keeper import Keeper
from coordinator.watch.wiring import make_keeper
from coordinator.witnessing.wiring import attach_witnessing
from protocols.errors import CredenceError
from protocols.v1.membership_pb2_grpc import (
    add_EnrolmentServicer_to_server,
    add_MembershipServicer_to_server,
)

GRACE_S = 2.0
SEEN_EVERY_S = 5.0

_log = structlog.get_logger(__name__)


class Face(Protocol):
    """A server beside both ports; it is bound when it is made, before anything is served."""

    def start(self) -> None:
        """Answer calls from now on."""
        ...

    def stop(self) -> None:
        """Let running calls end, then close."""
        ...


@dataclass(frozen=True)
class Ports:
    """The ports that were bound."""

    enrolment: int
    members: int


@contextmanager
def serving(coordinator: Coordinator) -> Iterator[Ports]:
    """Serve both ports and run campaigns until the block ends.

    Raises:
        PortInUse: a port cannot be bound; nothing was started.
    """
    with ExitStack() as stack:
        enrolment, enrolment_port = _enrolment_server(coordinator)
        stack.callback(_stop, enrolment)
        members, members_port = _member_server(coordinator)
        stack.callback(_stop, members)
        stack.enter_context(attach_federation(members, coordinator))
        stack.enter_context(attach_ceremonies(members, coordinator))
        stack.enter_context(attach_relay(members, coordinator))
        stack.enter_context(
            attach_witnessing(
                members,
                coordinator.witnessing,
                coordinator.database,
                coordinator.membership.directory,
            )
        )
        enrolment.start()
        members.start()
        yield Ports(enrolment_port, members_port)


def run(
    home: Path,
    stop: threading.Event,
    ready: Callable[[Ports], None],
    face: Callable[[Coordinator], Face | None] | None = None,
) -> None:
    """Open the coordinator in `home` and serve until `stop` is set.

    Args:
        home: a directory that `init_coordinator` made.
        stop: set by whoever wants the end, for example a signal handler.
        ready: called once when both ports answer.
        face: makes what serves the operator, if anything; it begins last and stops first.

    Raises:
        AlreadyRunning: another process runs on `home`.
        PortInUse: a port cannot be bound.
        HomeUnusable: `home` is not a coordinator's.
    """
    with only_process(home), ExitStack() as stack:
        coordinator = open_coordinator(home)
        stack.callback(coordinator.close)
        note_settings(coordinator)
        _renew_certificate(coordinator)
        sequencer = coordinator.audit.sequencer
        if sequencer is not None:  # a server database
            stack.callback(sequencer.stop)
            sequencer.start()
        outward = face(coordinator) if face else None
        if outward is not None:
            stack.callback(outward.stop)  # its port is let go whatever fails below
        ports = stack.enter_context(serving(coordinator))
        stack.callback(_write_sightings, coordinator)
        _reissue_directory(coordinator)
        if outward is not None:
            stack.callback(outward.stop)
            outward.start()
        _log.info("coordinator.ready", enrolment=ports.enrolment, members=ports.members)
        ready(ports)
        keeper = make_keeper(coordinator)
        while not stop.wait(SEEN_EVERY_S):
            _write_sightings(coordinator)
            _follow_schedules(keeper)
            _reissue_directory(coordinator)
            _renew_certificate(coordinator)
        _log.info("coordinator.stopping")


def _enrolment_server(coordinator: Coordinator) -> tuple[grpc.Server, int]:
    server = make_server(ENROLMENT_LIMITS, ErrorsAsStatus(), "enrolment")
    add_EnrolmentServicer_to_server(EnrolmentService(coordinator.membership), server)
    endpoint = coordinator.settings.listen_enrolment
    return server, listen(server, endpoint, enrolment_credentials(coordinator.own_certificate))


def _member_server(coordinator: Coordinator) -> tuple[grpc.Server, int]:
    gate = MemberGate(coordinator.membership.directory, coordinator.presence.note)
    server = make_server(MEMBER_LIMITS, gate, "members")
    service = MembershipService(coordinator.membership, coordinator.registry, coordinator.running)
    add_MembershipServicer_to_server(service, server)
    endpoint = coordinator.settings.listen_members
    return server, listen(server, endpoint, member_credentials(coordinator.own_certificate))


def _stop(server: grpc.Server) -> None:
    server.stop(GRACE_S).wait()


def _write_sightings(coordinator: Coordinator) -> None:
    seen = coordinator.presence.take()
    if not seen:
        return
    try:
        coordinator.membership.note_seen(seen)
    except CredenceError as error:
        # Not worth a coordinator: the next sighting comes in seconds.
        _log.warning("coordinator.sightings_lost", code=error.code)


def _reissue_directory(coordinator: Coordinator) -> None:
    try:
        coordinator.membership.reissue_if_due(int(time.time() * 1000))
    except CredenceError as error:
        _log.error("coordinator.directory_not_reissued", code=error.code)


def _follow_schedules(keeper: Keeper) -> None:
    try:
        keeper.tick(int(time.time() * 1000))
    except CredenceError as error:
        # What was due stays due: the next look is in seconds.
        _log.error("coordinator.schedules_not_followed", code=error.code)


def _renew_certificate(coordinator: Coordinator) -> None:
    try:
        now_ms = int(time.time() * 1000)
        if coordinator.own_certificate.renew_if_due(now_ms, partial(note_certificate, coordinator)):
            _log.info("coordinator.certificate_renewed")
    except CredenceError as error:
        _log.error("coordinator.certificate_not_renewed", code=error.code)
