"""Where the training worker's parts are put together; this loads torch and flwr."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc

from audit.witness_state import Operation
from models.catalogue import Catalogue
from models.encoder import Encoder
from models.privacy.accountant import Accountant
from node.federation.acceptance import Acceptance, Answer
from node.federation.client_app import build_client_app
from node.federation.flower import ClientApp
from node.federation.handler import ClientAppHandler
from node.federation.ledger_guard import LedgerGuard
from node.federation.ledger_wiring import build_guard, build_ledger, build_watch_policy
from node.federation.masking import Identity, Masking
from node.federation.policy import Limits, TrainingPolicy
from node.federation.record import Recorder
from node.federation.stream import Timing, TrainingStream
from node.federation.trainer import Trainer
from node.network.documents import NotJoined
from node.network.transport import open_channel
from node.parts import Node
from node.releases import Releases
from protocols.certificates import COORDINATOR_DNS
from protocols.directory import Directory
from protocols.documents import Document
from protocols.keys import VerifyKey

REFRESH_S = 5.0


@dataclass(frozen=True)
class Worker:
    """A node's training worker.

    Attributes:
        stream: what `run` holds open.
        trainer: what it does in a campaign.
        masking: its part in secure aggregation.
        releases: follows the network's models.
        app: its Flower app, which runs on any engine of Flower's.
        accept: answers a signed plan, which comes before the app's first message.
        guard: watches the ledger.
    """

    stream: TrainingStream
    trainer: Trainer
    masking: Masking
    releases: Releases
    app: ClientApp
    accept: Callable[[Document], Answer]
    guard: LedgerGuard

    def run(self, stop: threading.Event) -> None:
        """Train whenever the coordinator asks, until `stop` is set."""
        self.stream.run(stop)


@dataclass(frozen=True)
class Training:
    """What a node does in campaigns.

    Attributes:
        trainer: answers plans and rounds.
        masking: masks results.
        guard: watches the ledger.
    """

    trainer: Trainer
    masking: Masking
    guard: LedgerGuard


@dataclass
class _Encoders:
    """The encoder of the catalogue in force, made once a catalogue."""

    catalogue: Callable[[], Catalogue]
    _made: Encoder | None = field(default=None, init=False)

    def __call__(self) -> Encoder:
        catalogue = self.catalogue()
        if self._made is None or self._made.catalogue.sha256 != catalogue.sha256:
            self._made = Encoder(catalogue)
        return self._made


def build_training(node: Node, accountant: Accountant) -> Training:
    """What the node does in campaigns, with its own limits, and how its results are masked.

    Args:
        node: an opened node.
        accountant: for the trainer's thread alone.

    Raises:
        NotJoined: the node has not joined a network.
    """
    _, directory_key = _network(node)
    settings = node.settings
    limits = Limits(
        max_epsilon=settings.max_epsilon,
        delta=settings.delta,
        minimum_cohort=settings.minimum_cohort,
        minimum_quorum=settings.minimum_quorum,
        masked_only=settings.masked_only,
        max_hidden=settings.max_hidden,
        architectures=settings.architectures,
        purposes=settings.train_purposes,
        max_epsilon_alone=settings.max_epsilon_alone,
    )
    ledger, guard = build_ledger(node, accountant), build_guard(node)
    catalogue = node.documents.catalogue
    recorder = Recorder(node.audit, node.member_id, ledger, guard)
    acceptance = Acceptance(
        database=node.database,
        recorder=recorder,
        member_id=node.member_id,
        policy=TrainingPolicy(node.member_id, limits, directory_key, catalogue, accountant),
        ledger=ledger,
        encoder=_Encoders(catalogue),
        now_ms=now_ms,
        guard=guard,
        admit=lambda: node.witnessing.gate.require(Operation.TRAINING),
        split_key=node.keys.local_key,
        watched=build_watch_policy(node, accountant),
    )
    trainer = Trainer(
        database=node.database, recorder=recorder, acceptance=acceptance, now_ms=now_ms
    )

    def directory() -> Directory:
        node.documents.refresh_if_older_than(REFRESH_S)
        return node.documents.fresh_directory()

    masking = Masking(
        database=node.database,
        identity=Identity(
            member_id=node.member_id,
            role=settings.role,
            signing=lambda: node.keys.signing,
            kek=node.keys.kek,
            directory=directory,
        ),
        acceptance=acceptance,
        recorder=recorder,
        now_ms=now_ms,
    )
    return Training(trainer, masking, guard)


def build_worker(
    node: Node, timing: Timing | None = None, accountant: Accountant | None = None
) -> Worker:
    """The training worker of a node that has joined.

    Args:
        node: an opened node.
        timing: how patient its stream is.
        accountant: for this worker alone; None: a new one.

    Raises:
        NotJoined: it has not.
    """
    endpoint, _ = _network(node)
    training = build_training(node, accountant or Accountant())
    trainer, masking, guard = training.trainer, training.masking, training.guard

    def accept(document: Document) -> Answer:
        # This process keeps a copy of the catalogue of its own; a plan may be for a newer one.
        node.documents.refresh_if_older_than(REFRESH_S)
        node.documents.fresh_directory()  # nothing leaves by a directory that is too old
        return trainer.accept(document)

    def follow() -> str:
        return node.releases.follow() or ""

    app = build_client_app(trainer, masking, follow, guard.statement)
    handler = ClientAppHandler(app, accept, follow, guard.remind)

    def dial() -> grpc.Channel:
        # Read anew each time: the certificate is replaced while we run.
        identity = node.identity()
        return open_channel(endpoint, COORDINATOR_DNS, identity.ca, identity, node.transport_limits)

    stream = TrainingStream(dial, node.member_id, handler, timing=timing)
    return Worker(stream, trainer, masking, node.releases, app, accept, guard)


def now_ms() -> int:
    """The clock, UTC milliseconds."""
    return int(time.time() * 1000)


def _network(node: Node) -> tuple[str, VerifyKey]:
    settings = node.settings
    if settings.coordinator_endpoint is None or settings.directory_key is None:
        raise NotJoined("this node is in no network yet")
    return settings.coordinator_endpoint, VerifyKey(bytes.fromhex(settings.directory_key))
