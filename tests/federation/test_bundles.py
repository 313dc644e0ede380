"""A bundle is put in force at a node only when it is whole, signed, ours and not older."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from coordinator.federation.publication import Trained, make_bundle
from coordinator.registry import BundleRegistry, UnknownBundle
from coordinator.storage import bundles as registry_rows
from coordinator.storage.bundles import BundleRow
from models.bundle import BundleInvalid
from models.calibration import BINS
from models.weights import initial_weights
from node.bundles import BundleNotForUs, Bundles
from node.storage import bundles as rows
from protocols.documents import Document, to_proto
from protocols.errors import Malformed, SignatureInvalid
from protocols.keys import SigningKey
from protocols.v1.membership_pb2 import BundlePiece
from tests.federation.rounds import Campaign
from tests.federation.world import Bank, now_ms


def make(campaign: Campaign, version: str, at_ms: int, key: SigningKey | None = None) -> BundleRow:
    weights = initial_weights(campaign.plan.architecture, campaign.encoder, at_ms % 1000)
    trained = Trained(weights, np.full((BINS, 2), 20.0), 3, 0.4)
    plan, encoder = campaign.plan, campaign.encoder
    return make_bundle(plan, encoder, trained, ("bank-a",), version, key or campaign.key, at_ms)


def pieces_of(row: BundleRow) -> list[BundlePiece]:
    document = Document("bundle", 0, row.manifest, row.signature, row.key_id)
    tensors = row.tensors
    half = len(tensors) // 2
    return [
        BundlePiece(manifest=to_proto(document)),
        BundlePiece(tensors=tensors[:half]),
        BundlePiece(tensors=tensors[half:]),
    ]


class Source:
    """A coordinator's registry as seen from a node."""

    def __init__(self) -> None:
        self.pieces: list[BundlePiece] = []
        self.asked: list[str] = []

    def __call__(self, version: str) -> Iterator[BundlePiece]:
        self.asked.append(version)
        return iter(self.pieces)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def bundles(bank: Bank, campaign: Campaign, source: Source) -> Bundles:
    return Bundles(
        database=bank.node.database,
        audit=bank.node.audit,
        member_id="bank-a",
        directory_key=lambda: campaign.key.verify_key,
        catalogue=bank.node.documents.catalogue,
        fetch=source,
        now_ms=now_ms,
    )


def test_a_good_bundle_is_stored_activated_and_logged_once(bank, bundles, source, campaign):
    source.pieces = pieces_of(make(campaign, "model-0001", 1_000))
    before = bank.node.audit.head().size
    for _ in range(2):
        assert bundles.fetch_and_activate("model-0001") == "model-0001"
    assert bundles.fetch_and_activate() == "model-0001"
    assert source.asked == ["model-0001", ""]
    assert bundles.active_version() == "model-0001"
    assert bank.node.audit.head().size == before + 1


def test_a_newer_bundle_replaces_the_active_one(bank, bundles, source, campaign):
    for number in (1, 2):
        source.pieces = pieces_of(make(campaign, f"model-000{number}", 1_000 * number))
        bundles.fetch_and_activate()
    with bank.node.database.read() as connection:
        assert rows.active(connection).version == "model-0002"
        assert rows.find(connection, "model-0001").active is False


def test_an_older_bundle_is_refused(bundles, source, campaign):
    source.pieces = pieces_of(make(campaign, "model-0002", 2_000))
    bundles.fetch_and_activate()
    source.pieces = pieces_of(make(campaign, "model-0001", 1_000))
    with pytest.raises(BundleNotForUs):
        bundles.fetch_and_activate()
    assert bundles.active_version() == "model-0002"


def test_another_version_than_asked_for_is_refused(bundles, source, campaign):
    source.pieces = pieces_of(make(campaign, "model-0001", 1_000))
    with pytest.raises(BundleNotForUs):
        bundles.fetch_and_activate("model-0007")


def test_a_bundle_of_another_catalogue_is_refused(bundles, source, campaign):
    other = campaign.changed(catalogue_sha256="0" * 64)
    source.pieces = pieces_of(make(other, "model-0001", 1_000))
    with pytest.raises(BundleNotForUs):
        bundles.fetch_and_activate()


def test_two_bundles_of_one_version_are_refused(bundles, source, campaign):
    source.pieces = pieces_of(make(campaign, "model-0001", 1_000))
    bundles.fetch_and_activate()
    source.pieces = pieces_of(make(campaign, "model-0001", 1_001))
    with pytest.raises(BundleNotForUs):
        bundles.fetch_and_activate()


def test_a_bundle_signed_by_another_key_is_refused(bundles, source, campaign):
    source.pieces = pieces_of(make(campaign, "model-0001", 1_000, SigningKey.generate()))
    with pytest.raises(SignatureInvalid):
        bundles.fetch_and_activate()
    assert bundles.active_version() is None


def test_tensors_that_the_manifest_was_not_signed_for_are_refused(bundles, source, campaign):
    row = make(campaign, "model-0001", 1_000)
    flipped = row.tensors[:-1] + bytes([row.tensors[-1] ^ 1])
    source.pieces = pieces_of(replace(row, tensors=flipped))
    with pytest.raises(BundleInvalid):
        bundles.fetch_and_activate()


@pytest.mark.parametrize(
    "order", [[], [1], [1, 0, 2], [0, 0, 1, 2]], ids=["none", "no manifest", "late", "twice"]
)
def test_pieces_in_another_order_are_refused(bundles, source, campaign, order):
    pieces = pieces_of(make(campaign, "model-0001", 1_000))
    source.pieces = [pieces[at] for at in order]
    with pytest.raises(Malformed):
        bundles.fetch_and_activate()


def test_a_bundle_without_end_is_cut_off(bundles, source, campaign):
    manifest = pieces_of(make(campaign, "model-0001", 1_000))[0]
    source.pieces = [manifest, *[BundlePiece(tensors=bytes(1 << 20))] * 20]
    with pytest.raises(Malformed):
        bundles.fetch_and_activate()


def test_the_registry_serves_what_was_published(authority, campaign, bundles, source):
    registry = BundleRegistry(authority.database)
    with pytest.raises(UnknownBundle):
        list(registry.pieces("model-0042"))
    with authority.database.write() as connection:
        registry_rows.add(connection, make(campaign, "model-0042", 42_000))
    source.pieces = list(registry.pieces(""))
    assert bundles.fetch_and_activate("model-0042") == "model-0042"
