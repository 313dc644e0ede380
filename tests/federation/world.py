"""A coordinator and three banks in one process: real homes, real mutual TLS on loopback.

The banks' training workers run in threads. Consents are signed artefacts; signals are made up.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import grpc
import numpy as np

from audit.leaf import Entry
from consent.artefact import Artefact, Notice, Recipient, TrainingTerms, grant, new_consent_id
from consent.authority import device_key
from consent.lifecycle import State
from coordinator.bootstrap import Coordinator, init_coordinator, open_coordinator
from coordinator.federation.office import Patience
from coordinator.federation.runner import CampaignRunner, attach_federation
from coordinator.membership import JoinAttempt
from coordinator.proposals import Proposals, make_proposals
from coordinator.server import MembershipService
from coordinator.settings import make_settings
from coordinator.storage import campaigns as campaign_rows
from coordinator.transport import MEMBER_LIMITS, MemberGate, listen, make_server, member_credentials
from models.catalogue import Catalogue, load_default
from models.plan import CampaignPlan
from models.privacy.accountant import Accountant
from node.bootstrap import init_node, open_node
from node.federation.stream import Timing
from node.federation.wiring import Worker, build_worker
from node.network.joining import store_membership
from node.parts import Node
from node.storage import consents, outcomes, signals
from node.storage.consents import NewConsent
from node.storage.outcomes import Outcome
from node.storage.signals import OWN, SignalVector
from protocols.certificates import make_csr
from protocols.joining import Declaration, sign_join
from protocols.keys import SigningKey
from protocols.v1.membership_pb2_grpc import add_MembershipServicer_to_server
from tests.models.population import make as make_population

BANKS = ("bank-a", "bank-b", "bank-c")
DAY_MS = 86_400_000
AS_OF_MS = 1_128_124_800_000  # 2005-10-01
QUICK = Timing(heartbeat=0.5, silence=5.0, first_wait=0.05, longest_wait=0.2)
IMPATIENT = Patience(answers=15.0, grace=0.3, pause=1.0, attempts=2, bundle=5.0)


def now_ms() -> int:
    """UTC milliseconds."""
    return int(time.time() * 1000)


def person(bank: int, number: int) -> bytes:
    """A pseudonym."""
    return bytes([bank]) * 28 + number.to_bytes(4, "big")


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something another thread does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@dataclass
class Bank:
    """One bank: its home, and its worker while it runs."""

    home: Path
    node: Node
    worker: Worker
    people: list[bytes] = field(default_factory=list)
    consent_of: dict[bytes, str] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @property
    def member_id(self) -> str:
        """Its id."""
        return self.node.member_id

    def moved_to(self, home: Path, accountant: Accountant) -> "Bank":
        """The same bank opened on a copy of its home."""
        node = open_node(home)
        worker = build_worker(node, QUICK, accountant)
        return Bank(home, node, worker, self.people, self.consent_of)

    def start(self) -> None:
        """Run the worker."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.worker.run, args=(self._stop,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the worker, as an operator would."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(10)
            self._thread = None

    def restart(self) -> None:
        """A new process on the same home: nothing but the home survives."""
        self.stop()
        self.node.close()
        self.node = open_node(self.home)
        self.worker = build_worker(self.node, QUICK)
        self.start()

    def withdraw(self, pseudonym: bytes) -> None:
        """The subject withdraws; in effect when this returns."""
        node, consent_id = self.node, self.consent_of[pseudonym]
        with node.database.write() as connection:
            leaf = node.audit.append(connection, _entry(node, "consent.withdrawn", pseudonym))
            consents.set_state(connection, [consent_id], State.WITHDRAWN, [leaf.seq])


@dataclass
class World:
    """The network."""

    coordinator: Coordinator
    server: grpc.Server
    port: int
    runner: CampaignRunner
    catalogue: Catalogue
    banks: dict[str, Bank] = field(default_factory=dict)

    @property
    def proposals(self) -> Proposals:
        """What an operator asks with."""
        return make_proposals(self.coordinator)

    def propose(self, **options: object) -> CampaignPlan:
        """Propose a small campaign."""
        values: dict[str, object] = {
            "epsilon": 3.0,
            "rounds": 4,
            "follow_up_rounds": 2,
            "count_noise": 4.0,  # the count of 80 stays above the minimum by ten deviations
            "minimum_cohort": 40,
            "round_deadline_s": 10.0,
        }
        return self.proposals.propose(tuple(self.banks), now_ms(), **(values | options))

    def campaign(self, campaign_id: str) -> campaign_rows.CampaignRow:
        """The campaign as stored."""
        with self.coordinator.database.read() as connection:
            row = campaign_rows.find(connection, campaign_id)
        assert row is not None
        return row

    def rounds(self, campaign_id: str) -> list[campaign_rows.RoundRow]:
        """Its completed rounds."""
        with self.coordinator.database.read() as connection:
            return campaign_rows.rounds(connection, campaign_id)

    def finish(self, campaign_id: str, seconds: float = 40.0) -> campaign_rows.CampaignRow:
        """Wait for the campaign's end."""
        final = {"completed", "failed", "aborted"}
        wait_until(lambda: self.campaign(campaign_id).state in final, seconds)
        return self.campaign(campaign_id)


def add_bank(coordinator: Coordinator, root: Path, member_id: str, endpoint: str) -> Bank:
    """Make a bank's home and let it join."""
    home = root / member_id
    init_node(
        home,
        member_id=member_id,
        name=member_id.title(),
        role="bank",
        holds=("credit_account",),
        listen="127.0.0.1:0",
        max_epsilon=8.0,
        minimum_cohort=40,
    )
    fresh = open_node(home)
    joined = coordinator.membership.join(_attempt(coordinator, fresh), now_ms())
    keys = coordinator.keys.directory.verify_key.bytes
    fresh.close()
    store_membership(home, coordinator.identity.ca, joined.certificate_der, endpoint, keys)
    node = open_node(home)
    node.documents.install(joined.directory, joined.catalogue)
    return Bank(home, node, build_worker(node, QUICK))


def populate(bank: Bank, index: int, size: int, catalogue: Catalogue) -> None:
    """Give a bank customers with signals, outcomes and consents."""
    population = make_population(catalogue, size, seed=index, banks=1)
    bank.people = [person(index, number) for number in range(size)]
    made = [_consent(bank.node, pseudonym) for pseudonym in bank.people]
    bank.consent_of = {one.pseudonym: one.artefact.consent_id for one in made}
    vectors = []
    for row, pseudonym in enumerate(bank.people):
        status, value = population.status[row], population.value[row]
        for own in (True, False):
            held = {
                spec.id: (int(status[at]), float(value[at]))
                for at, spec in enumerate(catalogue.signals)
                if spec.derived is None and (spec.block == "bank") is own
            }
            vectors.append(_vector(bank, pseudonym, held, own=own))
    with bank.node.database.write() as connection:
        entries = [_entry(bank.node, "consent.granted", one.pseudonym) for one in made]
        leaves = bank.node.audit.append_many(connection, entries)
        rows = [replace(one, leaf_seq=leaf.seq) for one, leaf in zip(made, leaves, strict=True)]
        consents.add_many(connection, rows)
        signals.put_many(connection, vectors)
        labels = zip(bank.people, population.label, strict=True)
        outcomes.replace_all(connection, [Outcome(p, int(y), AS_OF_MS) for p, y in labels])


@contextmanager
def open_coordinator_side(home: Path, patience: Patience, port: int = 0) -> Iterator[World]:
    """A serving coordinator on `home`, as one process would run it."""
    coordinator = open_coordinator(home)
    gate = MemberGate(coordinator.membership.directory, coordinator.presence.note)
    server = make_server(MEMBER_LIMITS, gate, "members")
    service = MembershipService(coordinator.membership, coordinator.registry, coordinator.running)
    add_MembershipServicer_to_server(service, server)
    bound = listen(server, f"127.0.0.1:{port}", member_credentials(coordinator.own_certificate))
    try:
        with attach_federation(server, coordinator, patience) as runner:
            server.start()
            yield World(coordinator, server, bound, runner, load_default())
    finally:
        server.stop(0.2).wait()
        coordinator.close()


@contextmanager
def open_world(
    root: Path,
    *,
    size: int = 150,
    patience: Patience = IMPATIENT,
    names: tuple[str, ...] = BANKS,
) -> Iterator[World]:
    """A coordinator and banks with `size` consented customers each, workers running."""
    home = root / "coordinator"
    init_coordinator(home, make_settings(name="test", campaign_poll_s=0.05), now_ms())
    with open_coordinator_side(home, patience) as world:
        try:
            for index, member_id in enumerate(names):
                bank = add_bank(world.coordinator, root, member_id, f"127.0.0.1:{world.port}")
                populate(bank, index, size, world.catalogue)
                world.banks[member_id] = bank
                bank.start()
            yield world
        finally:
            for bank in world.banks.values():
                bank.stop()
            for bank in world.banks.values():
                bank.node.close()


def _attempt(coordinator: Coordinator, node: Node) -> JoinAttempt:
    invitation = coordinator.membership.invite(node.member_id, "bank", 3600, now_ms())
    declaration = Declaration(
        member_id=node.member_id,
        name=node.settings.name,
        role="bank",
        licence="",
        contact="",
        holds=node.settings.holds,
        signing_key=node.keys.signing.verify_key.bytes,
        sealing_key=node.keys.sealing.public,
        endpoint="127.0.0.1:1",
    ).to_body()
    csr = make_csr(node.keys.tls, node.member_id)
    signature = sign_join(declaration, csr, node.keys.signing)
    token = invitation.token
    return JoinAttempt(invitation.invitation_id, token, csr, declaration, signature)


def _consent(node: Node, pseudonym: bytes, epsilon: str = "8") -> NewConsent:
    subject_key = SigningKey.generate()
    start = now_ms() - 1000
    artefact = Artefact(
        consent_id=new_consent_id(),
        version=1,
        prev_hash=None,
        template_id="test",
        template_sha256=bytes(32),
        jurisdiction="CN",
        controller=node.member_id,
        recipients=(Recipient(node.member_id, "Bank", ""),),
        holders=("payments", "public-records"),
        handles={"payments": bytes(32), "public-records": bytes(32)},
        handle_epoch=0,
        purposes=("score", "train"),
        data_categories=("credit_account", "payment", "public_record"),
        valid_from_ms=start,
        valid_until_ms=start + 30 * DAY_MS,
        data_life_s=86_400,
        max_uses=1000,
        notice=Notice(1, "en", bytes(32)),
        adverse_notice_sha256=None,
        automated_decision=True,
        training=TrainingTerms(epsilon, "0.00001"),
        authority=device_key(subject_key.verify_key.bytes),
    )
    return NewConsent(artefact, grant(artefact, subject_key, node.keys.signing), pseudonym, 0)


def _vector(
    bank: Bank, pseudonym: bytes, held: dict[str, tuple[int, float]], *, own: bool
) -> SignalVector:
    return SignalVector(
        pseudonym=pseudonym,
        source=bank.member_id if own else "payments",
        purpose=OWN if own else "train",
        as_of_ms=AS_OF_MS,
        catalogue_version=1,
        signals=held,
        consent_id=None if own else bank.consent_of[pseudonym],
        expires_at_ms=None if own else now_ms() + DAY_MS,
    )


def _entry(node: Node, kind: str, pseudonym: bytes) -> Entry:
    return Entry(
        kind=kind,
        actor=node.member_id,
        purpose="consent",
        correlation="",
        payload={},
        subject=pseudonym,
        at_ms=now_ms(),
    )


def weights_of(world: World, version: str) -> dict[str, np.ndarray]:
    """The weights of a published bundle."""
    from models.bundle import Bundle

    row = world.coordinator.registry.find(version)
    return Bundle.load(row.manifest, row.tensors).weights
