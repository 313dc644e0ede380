"""What `credence node run` runs: the member port, and the threads and the worker beside it.

The HTTP API is made by `api/`, which may know a node; a node knows only that it has a face.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from audit.configuration import note_configuration
from node.bootstrap import open_node
from node.exchange.engine import Engine, stamp
from node.federation.supervisor import Supervisor
from node.home import only_process
from node.network.gate import MemberGate
from node.network.server import member_server
from node.parts import Node
from node.periodic import Periodic
from node.relay.line import RelayLine
from node.relay.wiring import relay_line
from node.retention.wiring import retention_of
from node.storage import monitors, score_inputs, signals
from protocols.errors import CredenceError

PUSH_EVERY_S = 0.5
STATUS_EVERY_S = 0.1
JOBS_EVERY_S = 0.1
TIDY_EVERY_S = 30.0
CEREMONY_EVERY_S = 0.1
WITNESS_EVERY_S = 1.0
RETENTION_EVERY_S = 600.0
WEBHOOKS_EVERY_S = 0.5
MONITORS_EVERY_S = 1.0

log = structlog.get_logger("node.process")


class Face(Protocol):
    """A server beside the member port; it is bound when it is made, before anything is served."""

    def start(self) -> None:
        """Answer calls from now on."""
        ...

    def stop(self) -> None:
        """Let running calls end, then close."""
        ...


@dataclass(frozen=True)
class Running:
    """A node that serves.

    Attributes:
        node: its parts.
        port: the member port that was bound; None: it accepts no connections.
        line: its line to the relay; None: it keeps none.
    """

    node: Node
    port: int | None
    line: RelayLine | None


@contextmanager
def running(
    home: Path, clock: Callable[[], int], face: Callable[[Node], Face] | None = None
) -> Iterator[Running]:
    """Serve the node in `home` until the block ends.

    Args:
        home: of a node that has joined.
        clock: UTC milliseconds.
        face: makes what serves people and clients; it begins when members are served, before the
            threads beside it, and stops first.

    Raises:
        AlreadyRunning: another process runs on `home`.
        NotJoined: the node is no member yet.
        PortInUse: a port is taken; nothing was started.
        HomeUnusable, SettingsInvalid, DatabaseUnavailable: it cannot be opened.
    """
    with only_process(home), ExitStack() as stack:
        node = open_node(home)
        stack.callback(node.close)
        node.documents.directory()
        stack.callback(_keep_comparison, node)
        node.witnessing.rounds.start()  # an old state of the log is found before it is served
        _number_entries(node, stack)
        note_configuration(
            node.audit,
            node.database,
            node.keys.audit_index,
            node.settings.model_dump(mode="json"),
            actor=node.member_id,
            now_ms=clock(),
        )
        outward = face(node) if face else None
        if outward is not None:
            stack.callback(outward.stop)  # its port is let go whatever fails below
        engine = Engine(home, lambda: stamp(node), node.exchange.answer_group)
        stack.callback(engine.stop)
        node.exchange.hand_over(engine)
        gate = MemberGate(node.documents, node.transport_limits)
        port = _serve(node, gate, stack)
        line = _attach(node, gate, stack)
        if outward is not None:
            outward.start()
        for work in _background(node, clock):
            work.start()
            stack.callback(work.stop)
        if outward is not None:
            stack.callback(outward.stop)
        log.info("node.serving", member=node.member_id, port=port)
        yield Running(node, port, line)
        log.info("node.stopping", member=node.member_id)


def _number_entries(node: Node, stack: ExitStack) -> None:
    sequencer = node.audit.sequencer
    if sequencer is not None:  # a server database
        stack.callback(sequencer.stop)
        sequencer.start()


def _serve(node: Node, gate: MemberGate, stack: ExitStack) -> int | None:
    if not node.settings.listen:
        return None
    server = member_server(node, gate)
    stack.callback(server.stop)
    port = server.bind(node.settings.listen)
    server.start()
    return port


def _attach(node: Node, gate: MemberGate, stack: ExitStack) -> RelayLine | None:
    if not node.settings.keeps_relay:
        return None
    line = relay_line(node, gate)
    stack.callback(line.stop)
    line.start()
    return line


def _keep_comparison(node: Node) -> None:
    with suppress(CredenceError):  # the node ends either way
        node.shadow.flush()


def follow_models(node: Node) -> None:
    """One turn: write down how the challenger compares; do what the newest release says."""
    node.shadow.flush()
    node.releases.follow()


def _background(node: Node, clock: Callable[[], int]) -> list[Periodic | Supervisor]:
    refresh_s = node.settings.refresh_s

    def tidy() -> None:
        node.consents.expire_due()
        with node.database.write() as connection:
            signals.delete_expired(connection, clock())
            score_inputs.delete_expired(connection, clock())
            monitors.delete_expired_lenders(connection, clock())
        node.exchange.forget(clock())
        node.people.attempts.prune()
        node.around_scores.runner.tidy()
        node.access.tidy()
        node.webhooks.deliverer.forget()

    work: list[Periodic | Supervisor] = [
        Periodic(
            "documents", refresh_s, lambda: node.documents.refresh_if_older_than(refresh_s / 2)
        ),
        Periodic("models", refresh_s, lambda: follow_models(node)),
        Periodic("ceremony", CEREMONY_EVERY_S, node.trustee.participation.step),
        Periodic("keys", refresh_s, node.key_care.tend),
        Periodic("consents-push", PUSH_EVERY_S, node.consents.push_pending),
        Periodic("status", STATUS_EVERY_S, node.statuses.keeper.step),
        Periodic("rights-push", PUSH_EVERY_S, node.rights.push_pending),
        Periodic("witness", WITNESS_EVERY_S, node.witnessing.rounds.tick),
        Periodic("witness-desk", WITNESS_EVERY_S, node.witnessing.desk.tick),
        Periodic("monitors", MONITORS_EVERY_S, node.monitoring.looking.step),
        Periodic("webhooks", WEBHOOKS_EVERY_S, node.webhooks.deliverer.step),
        Periodic("score-jobs", JOBS_EVERY_S, node.around_scores.runner.step),
        Periodic("tidy", TIDY_EVERY_S, tidy),
    ]
    if node.settings.retention_runs:
        work.append(Periodic("retention", RETENTION_EVERY_S, retention_of(node).run_if_due))
    if node.settings.trains:
        work.append(Supervisor(node.home))
    return work
