"""Where the coordinator's witnessing is put together."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
import structlog

from audit.database import Connection, Database
from audit.incidents import fork_recorder
from audit.store import AuditLog
from audit.verifier.cosignature import CosignatureKey
from audit.verifier.note import NoteKey
from audit.verifier.policy import Witness as PolicyWitness
from audit.witness import Witness
from audit.witness_http import HttpWitness
from audit.witness_keeper import LogKeeper, OwnLog
from audit.witness_peers import (
    COORDINATOR,
    ExternalWitness,
    network_witnesses,
    watched_keys,
    witness_keys,
    witness_name,
)
from audit.witness_round import Rounds, WitnessPeer
from audit.witness_state import Gate, rules
from coordinator.keystore import CoordinatorKeys
from coordinator.membership.authority import ACTOR
from coordinator.settings import CoordinatorSettings
from coordinator.witnessing.service import DeskService, WitnessService
from protocols.directory import Directory
from protocols.errors import CredenceError
from protocols.v1.witness_pb2_grpc import (
    add_WitnessDeskServicer_to_server,
    add_WitnessServicer_to_server,
)

TICK_S = 1.0

log = structlog.get_logger("coordinator.witnessing")


@dataclass(frozen=True)
class Witnessing:
    """The coordinator before witnesses, and as one.

    Attributes:
        gate: what may be done, as the log stands.
        keeper: its own log's heads.
        rounds: signs them, and asks the witnesses outside the network.
        witness: cosigns for members.
    """

    gate: Gate
    keeper: LogKeeper
    rounds: Rounds
    witness: Witness


def make_witnessing(
    settings: CoordinatorSettings,
    *,
    database: Database,
    audit: AuditLog,
    keys: CoordinatorKeys,
    directory: Callable[[], Directory],
    document: Callable[[], bytes],
    now_ms: Callable[[], int],
) -> Witnessing:
    """The parts."""
    external = [ExternalWitness.parse(line) for line in settings.witnesses]
    base = coordinator_origin(settings)

    def witnesses() -> list[PolicyWitness]:
        outside = [one.witness for one in external]
        return [*network_witnesses(directory(), COORDINATOR, now_ms()), *outside]

    def peers() -> list[WitnessPeer]:
        return [HttpWitness(one, document) for one in external]

    def watched(connection: Connection, origin: str) -> list[NoteKey]:
        own = origin.partition("/")[0] == settings.name
        return [] if own else list(watched_keys(directory(), connection, origin, now_ms()))

    gate = Gate(
        database,
        now_ms,
        minimum=settings.witness_minimum,
        table=rules(settings.witness_degraded_s, settings.witness_stopped_s),
    )
    own = OwnLog(
        base, ACTOR, database, audit, lambda: keys.directory,
        lambda: [keys.directory.verify_key],
    )  # fmt: skip
    keeper = LogKeeper(own, witnesses, settings.witness_minimum, now_ms)
    rounds = Rounds(keeper, base, peers, gate, now_ms, heartbeat_s=settings.witness_heartbeat_s)
    forked = fork_recorder(audit, ACTOR)
    witness = Witness(witness_name(COORDINATOR), lambda: keys.directory, watched, forked)
    return Witnessing(gate, keeper, rounds, witness)


def coordinator_origin(settings: CoordinatorSettings) -> str:
    """The first origin of the coordinator's log."""
    return f"{settings.name}/coordinator"


@contextmanager
def attach_witnessing(
    server: grpc.Server,
    witnessing: Witnessing,
    database: Database,
    directory: Callable[[], Directory],
) -> Iterator[None]:
    """Serve witness and desk on `server`, and keep the heartbeat, until the block ends.

    Args:
        server: the member port; not started yet.
        witnessing: the parts.
        database: the coordinator's.
        directory: the one in force.
    """

    def keys(member_id: str) -> list[CosignatureKey]:
        return witness_keys(directory(), member_id, now_ms())

    add_WitnessServicer_to_server(WitnessService(witnessing.witness, database, now_ms), server)
    add_WitnessDeskServicer_to_server(DeskService(witnessing.keeper, keys), server)
    witnessing.rounds.start()
    stopping = threading.Event()
    beating = threading.Thread(
        target=_beat, args=(witnessing.rounds, stopping), name="witness-heartbeat", daemon=True
    )
    beating.start()
    try:
        yield
    finally:
        stopping.set()
        beating.join(timeout=5.0)


def now_ms() -> int:
    """The clock, UTC milliseconds."""
    return int(time.time() * 1000)


def _beat(rounds: Rounds, stopping: threading.Event) -> None:
    failing = ""
    while not stopping.wait(TICK_S):
        try:
            rounds.tick()
            failing = ""
        except CredenceError as error:
            if error.code != failing:
                log.warning("witness.heartbeat_failing", code=error.code)
            failing = error.code
        except Exception as error:  # noqa: BLE001 - the thread must outlive it
            log.error("witness.heartbeat_failed", error=type(error).__name__)  # noqa: TRY400
