"""Where a node's witnessing is put together."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import grpc
import structlog

from audit.database import Connection, Database
from audit.incidents import fork_recorder
from audit.store import AuditLog
from audit.verifier.note import NoteKey
from audit.verifier.policy import Witness as PolicyWitness
from audit.witness import Witness
from audit.witness_http import HttpWitness
from audit.witness_keeper import LogKeeper, OwnLog
from audit.witness_peers import (
    COORDINATOR,
    ExternalWitness,
    all_keys,
    asked_members,
    is_coordinators,
    network_witnesses,
    watched_keys,
    witness_keys,
    witness_name,
)
from audit.witness_request import parse_request
from audit.witness_round import DEADLINE_S, Rounds, WitnessPeer
from audit.witness_state import Gate, Operation, rules
from audit.witness_store import all_held
from node.keystore import NodeKeys
from node.network.documents import NotJoined
from node.settings import NodeSettings
from node.witnessing.rpc import CoordinatorDesk, GrpcWitness
from protocols.certificates import member_dns
from protocols.directory import Directory, UnknownMember
from protocols.keys import VerifyKey

log = structlog.get_logger("node.witnessing")


@dataclass(frozen=True)
class Witnessing:
    """A node before witnesses, and as one.

    Attributes:
        gate: what may be done, as the log stands.
        keeper: its own log's heads.
        rounds: asks the witnesses.
        witness: cosigns for others.
        desk: comes for the coordinator's heads.
    """

    gate: Gate
    keeper: LogKeeper
    rounds: Rounds
    witness: Witness
    desk: "DeskVisits"


class DeskVisits:
    """Cosigns the coordinator's log; for one thread at a time."""

    def __init__(
        self,
        desk: CoordinatorDesk,
        witness: Witness,
        database: Database,
        now_ms: Callable[[], int],
        heartbeat_s: float,
    ) -> None:
        """Visit `desk` every `heartbeat_s`."""
        self._desk = desk
        self._witness = witness
        self._database = database
        self._now_ms = now_ms
        self._every_ms = int(heartbeat_s * 1000)
        self._retry_ms = int(min(5.0, heartbeat_s) * 1000)
        self._due_ms = 0

    def tick(self) -> None:
        """One visit, if it is time for one; what fails is tried again soon."""
        now_ms = self._now_ms()
        if now_ms < self._due_ms:
            return
        self._due_ms = now_ms + self._retry_ms
        if self.visit():
            self._due_ms = now_ms + self._every_ms

    def visit(self) -> bool:
        """Say what is held here, and cosign what is offered; whether something was.

        Raises:
            CredenceError: the coordinator does not answer, or offers what is no request.
        """
        with self._database.read() as connection:
            held = [one for one in all_held(connection) if is_coordinators(one.checkpoint.origin)]
        body = self._desk.offered([one.note for one in held], DEADLINE_S)
        if not body:
            return False
        _, checkpoint = parse_request(body).parsed()
        answer = self._witness.answer(self._database, body, self._now_ms())
        if answer.status != 200:
            log.error("witness.refused", origin=checkpoint.origin, status=answer.status)
        self._desk.cosigned(checkpoint.size, answer, DEADLINE_S)
        return True


def make_gate(settings: NodeSettings, database: Database, now_ms: Callable[[], int]) -> Gate:
    """What lets a node's operations pass, in every process of it."""
    return Gate(
        database,
        now_ms,
        minimum=settings.witness_minimum,
        table=rules(settings.witness_degraded_s, settings.witness_stopped_s),
        # The privacy ledger counts in the log: what was spent in lost entries is unknown.
        lost_for_good=frozenset({Operation.TRAINING}),
    )


def make_witnessing(
    settings: NodeSettings,
    *,
    gate: Gate,
    database: Database,
    audit: AuditLog,
    keys: NodeKeys,
    directory: Callable[[], Directory],
    document: Callable[[], bytes],
    to_member: Callable[[str], grpc.Channel],
    to_coordinator: Callable[[], grpc.Channel],
    now_ms: Callable[[], int],
) -> Witnessing:
    """The parts, for a node that may not have joined yet."""
    own = settings.member_id
    external = [ExternalWitness.parse(line) for line in settings.witnesses]

    def own_keys() -> list[VerifyKey]:
        try:
            known = all_keys(directory().member(own))
        except (NotJoined, UnknownMember):
            known = []
        return [keys.signing.verify_key, *known]

    def witnesses() -> list[PolicyWitness]:
        outside = [one.witness for one in external]
        try:
            return [*network_witnesses(directory(), own, now_ms()), *outside]
        except NotJoined:
            return outside

    def peers() -> list[WitnessPeer]:
        outside: list[WitnessPeer] = [HttpWitness(one, document) for one in external]
        try:
            return [
                *_network_peers(directory(), own, to_member, to_coordinator, now_ms()),
                *outside,
            ]
        except NotJoined:
            return outside

    def watched(connection: Connection, origin: str) -> list[NoteKey]:
        try:
            return list(watched_keys(directory(), connection, origin, now_ms()))
        except NotJoined:
            return []

    keeper = LogKeeper(
        OwnLog(member_dns(own), own, database, audit, lambda: keys.signing, own_keys),
        witnesses,
        settings.witness_minimum,
        now_ms,
    )
    witness = Witness(witness_name(own), lambda: keys.signing, watched, fork_recorder(audit, own))
    heartbeat_s = settings.witness_heartbeat_s
    return Witnessing(
        gate=gate,
        keeper=keeper,
        rounds=Rounds(keeper, member_dns(own), peers, gate, now_ms, heartbeat_s=heartbeat_s),
        witness=witness,
        desk=DeskVisits(CoordinatorDesk(to_coordinator), witness, database, now_ms, heartbeat_s),
    )


def _network_peers(
    directory: Directory,
    own: str,
    to_member: Callable[[str], grpc.Channel],
    to_coordinator: Callable[[], grpc.Channel],
    now_ms: int,
) -> list[WitnessPeer]:
    found: list[WitnessPeer] = [
        GrpcWitness(COORDINATOR, witness_keys(directory, COORDINATOR, now_ms), to_coordinator)
    ]
    for member_id in asked_members(directory, own):
        keys = witness_keys(directory, member_id, now_ms)
        found.append(GrpcWitness(member_id, keys, partial(to_member, member_id)))
    return found
