"""A bank that scores: real nodes on loopback, people, consents, a signed model bundle."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from consent.policy import Terms
from models.bundle import Bundle, Manifest
from models.calibration import BINS, Calibration, bands
from models.catalogue import load_default
from models.encoder import Encoder
from models.plan import Architecture, PrivacyPlan
from models.scale import Scale
from models.weights import initial_weights
from node.access.clients import Clients
from node.bootstrap import Node
from node.network.documents import Documents
from node.scoring.requests import ScoreRequest
from node.scoring.service import ScoringService
from node.storage import bundles, subjects
from node.storage.subjects import Subject
from protocols.documents import sign_document
from tests.network import MEMBERS, Network, now_ms, open_network, person

BANK = "bank-a"
HOLDERS = ("payments", "public-records")
PRESENT, NONE, NOT_HELD = 1, 2, 3

ACCOUNT = {
    "credit_limit": (PRESENT, 50_000.0),
    "current_status": (PRESENT, 0.0),
    "worst_status_3m": (PRESENT, 2.0),
    "worst_status_6m": (PRESENT, 2.0),
    "late_months_6m": (PRESENT, 2.0),
    "months_since_late": (PRESENT, 1.0),
}
PAYMENT = {"statement_balance": (PRESENT, 45_000.0), "paid_ratio_1m": (PRESENT, 0.05)}
PUBLIC = {"dishonest_debtor": (NONE, 0.0), "tax_arrears": (NONE, 0.0)}


PRIVACY = PrivacyPlan(
    epsilon=3.0,
    delta=1e-5,
    mode="local",
    noise_multiplier=2.0,
    sampling_rate=0.2,
    clip=6.0,
    loss_weight=0.2,
    tally_noise=12.0,
    count_noise=20.0,
    follow_up_rounds=0,
)


@dataclass
class World:
    """The bank's scoring parts and the network around it."""

    network: Network
    clock: list[int] = field(default_factory=lambda: [0])  # milliseconds ahead of the real one

    @property
    def node(self) -> Node:
        return self.network.node(BANK)

    @property
    def scoring(self) -> ScoringService:
        return self.node.scoring

    @property
    def clients(self) -> Clients:
        return self.node.clients

    @property
    def documents(self) -> Documents:
        return self.node.documents

    def enrol(self, *numbers: int, everywhere: bool = True) -> list[bytes]:
        """Let the bank know people, and with `everywhere` the other holders too."""
        people = [person(number) for number in numbers]
        with self.node.database.write() as connection:
            subjects.replace_all(
                connection,
                [
                    *subjects.all_subjects(connection),
                    *(Subject(one, ref(one), one.hex(), now_ms()) for one in people),
                ],
            )
        self.network.enrol_many(BANK, dict.fromkeys(people, ACCOUNT))
        if everywhere:
            self.network.enrol_many("payments", dict.fromkeys(people, PAYMENT))
            self.network.enrol_many("public-records", dict.fromkeys(people, PUBLIC))
        return people

    def consent(self, one: bytes, **changes) -> Terms:
        """A consent of a person for the bank's scores."""
        terms = {"holders": (BANK, *HOLDERS), **changes}
        return self.network.consent(BANK, [one], **terms)[0]

    def score(self, one: bytes, terms: Terms, **changes):
        """Ask for a score as a client would."""
        asked = {
            "subject_ref": ref(one),
            "consent_id": terms.consent_id,
            "purpose": "score",
            "client_id": "cli_test",
        }
        return self.scoring.score(ScoreRequest(**(asked | changes)))

    def publish(self, version: str, *, seed: int = 1, active: bool = True) -> None:
        """Put a signed bundle into the bank's database."""
        body, tensors = make_bundle(version, seed).pack()
        document = sign_document("bundle", body, self.network.directory_key)
        row = bundles.BundleRow(
            version, document.body, document.signature, document.key_id, tensors, False, now_ms()
        )
        with self.node.database.write() as connection:
            bundles.add(connection, row)
            if active:
                bundles.activate(connection, version)

    def leaves(self) -> int:
        return self.node.audit.head().size


def ref(one: bytes) -> str:
    """The bank's reference for a person."""
    return f"sub_{one.hex()[:26]}"


def make_bundle(version: str, seed: int) -> Bundle:
    """An untrained model that still tells people apart."""
    catalogue = load_default()
    encoder, architecture = Encoder(catalogue), Architecture()
    weights = dict(initial_weights(architecture, encoder, seed))
    rng = np.random.default_rng(seed)
    weights["wide.weight"] = rng.normal(0.3, 0.2, weights["wide.weight"].shape).astype(np.float32)
    counts = np.full((BINS, 2), 100.0)
    calibration, scale = Calibration(), Scale()
    manifest = Manifest(
        version=version,
        created_at_ms=seed,
        campaign_id="cmp_test",
        plan_sha256="0" * 64,
        catalogue_version=catalogue.version,
        catalogue_sha256=catalogue.sha256,
        architecture=architecture,
        width=encoder.width,
        calibration=calibration,
        scale=scale,
        bands=bands(counts, calibration, scale),
        privacy=PRIVACY,
        epsilon=3.0,
        rounds=60,
        members=("bank-a", "bank-b"),
        metrics={},
    )
    return Bundle(manifest, weights)


@contextmanager
def open_world(root: Path, *, model: bool = True, database_url: str = "") -> Iterator[World]:
    """A network in which the bank can score, with a model in use; `database_url`: the bank's."""
    bank, _, *holders = MEMBERS
    bank = replace(bank, options={"database_url": database_url})
    with open_network(root, [bank, *holders]) as network:
        node = network.node(BANK)
        ahead = [0]

        def clock() -> int:
            return now_ms() + ahead[0]

        world = World(network, ahead)
        around = node.around_scores
        for part in (
            node.scoring._groups,
            node.scoring._reader,
            around.jobs,
            around.runner,
            around.rescoring,
            around.adverse_actions,
            around.what_if,
        ):
            part._now_ms = clock
        if model:
            world.publish("test-1")
        yield world
