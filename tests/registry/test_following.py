"""A node follows the network's releases, and answers with nothing that they do not name."""

from dataclasses import replace

import pytest

from models.bundle import BundleInvalid
from node.bundles import BundleNotForUs
from node.network.rpc_errors import PeerUnreachable
from node.releases import ModelNotReleased, ModelWithdrawn
from node.storage import bundles, documents
from protocols.documents import sign_document
from protocols.errors import Malformed, NotFound, SignatureInvalid
from protocols.keys import SigningKey
from protocols.releases import ReleaseRollback
from protocols.v1.membership_pb2 import BundlePiece
from tests.registry.world import Follower, Registry, pieces_of


@pytest.fixture
def bank(registry: Registry) -> Follower:
    return registry.follower("bank-a")


@pytest.fixture
def other(registry: Registry) -> Follower:
    return registry.follower("bank-b")


def in_use(bank: Follower) -> tuple[str | None, str | None]:
    with bank.node.database.read() as connection:
        return bundles.in_use(connection)


def test_before_the_first_release_there_is_nothing_to_answer_with(bank):
    assert bank.follow() is None
    assert bank.leaves() == 0


def test_the_champion_is_fetched_once_put_in_force_and_logged(registry, bank):
    registry.publish("m1")
    assert bank.follow() == "m1"
    leaves = bank.leaves()
    assert bank.follow() == "m1"
    assert (bank.asked, bank.leaves()) == (["m1"], leaves)
    assert leaves == 2  # the release, and what is answered with
    assert bank.told == [("", 0), ("m1", 1), ("m1", 1)]  # again at once, after the change


def test_a_staged_version_is_answered_with_by_its_members_alone(registry, bank, other):
    registry.publish("m1")
    registry.publish("m2")
    registry.coordinator.releases.stage("m2", ["bank-b"], registry.order())
    assert (bank.follow(), other.follow()) == ("m1", "m2")
    registry.coordinator.releases.drop("m2", registry.order())
    assert (bank.follow(), other.follow()) == ("m1", "m1")
    assert "m2" not in bank.asked


def test_the_challenger_is_kept_in_the_shadow_and_never_the_answer(registry, bank):
    registry.publish("m1")
    registry.publish("m2")
    registry.coordinator.releases.challenge("m2", registry.order())
    assert bank.follow() == "m1"
    assert in_use(bank) == ("m1", "m2")
    registry.coordinator.releases.promote("m2", registry.order())
    assert bank.follow() == "m2"
    assert in_use(bank) == ("m2", None)


def test_a_rollback_needs_no_new_fetch(registry, bank):
    registry.publish("m1")
    bank.follow()
    registry.publish("m2", promote=True)
    bank.follow()
    registry.coordinator.releases.rollback(registry.order())
    bank.asked.clear()
    assert (bank.follow(), bank.asked) == ("m1", [])


def test_an_older_release_is_refused_also_after_a_restart(registry, bank):
    """Whoever serves yesterday's release brings no withdrawn or former model back."""
    registry.publish("m1")
    old = registry.document()
    registry.publish("m2", promote=True)
    bank.follow()
    again = Follower(registry, bank.node, "bank-a", documents=[old])
    for one in (bank, again):
        one.documents = [old]
        with pytest.raises(ReleaseRollback):
            one.follow()
        assert one.releases.active_version() == "m2"


def test_two_releases_of_one_serial_and_a_withdrawal_taken_back_are_refused(registry, bank):
    registry.publish("m1")
    registry.publish("m2", promote=True)
    registry.coordinator.releases.withdraw("m1", registry.order())
    bank.follow()
    release = bank.releases.standing().release
    forked = replace(release, at_ms=release.at_ms + 1)
    pardoned = replace(release, serial=release.serial + 1, withdrawn=())
    for forged in (forked, pardoned):
        bank.documents = [sign_document("release", forged.to_body(), registry.key)]
        with pytest.raises(ReleaseRollback):
            bank.follow()
    assert bank.releases.standing().release == release


def test_a_release_signed_by_another_key_or_of_another_kind_is_refused(registry, bank):
    registry.publish("m1")
    body = registry.document().body
    forged = [
        (SignatureInvalid, sign_document("release", body, SigningKey.generate())),
        (SignatureInvalid, replace(registry.document(), body=body.replace(b"m1", b"m9"))),
        (Malformed, sign_document("plan", body, registry.key)),
        (SignatureInvalid, replace(sign_document("plan", body, registry.key), kind="release")),
    ]
    for error, document in forged:
        bank.documents = [document]
        with pytest.raises(error):
            bank.follow()
    assert bank.releases.standing().release is None
    assert bank.asked == []


def test_a_bundle_that_is_not_the_release_s_is_refused(registry, bank):
    """A bundle is used when it is the very one named: signed by the network is not enough."""
    row = registry.publish("m1")
    flipped = row.tensors[:-1] + bytes([row.tensors[-1] ^ 1])
    forged = {
        "unsigned": (SignatureInvalid, registry.bundle("m1", key=SigningKey.generate())),
        "another of that name": (BundleNotForUs, registry.bundle("m1", seed=2)),
        "another version": (BundleNotForUs, registry.bundle("m2")),
        "other tensors": (BundleInvalid, replace(row, tensors=flipped)),
    }
    for error, made in forged.values():
        bank.pieces = {"m1": pieces_of(made)}
        with pytest.raises(error):
            bank.follow()
        assert bank.releases.active_version() is None
    bank.pieces = {}
    assert bank.follow() == "m1"


@pytest.mark.parametrize(
    "order", [[], [1], [1, 0, 2], [0, 0, 1, 2]], ids=["none", "no manifest", "late", "twice"]
)
def test_pieces_in_another_order_are_refused(registry, bank, order):
    pieces = pieces_of(registry.publish("m1"))
    bank.pieces = {"m1": [pieces[at] for at in order]}
    with pytest.raises(Malformed):
        bank.follow()


def test_a_bundle_without_end_is_cut_off(registry, bank):
    manifest = pieces_of(registry.publish("m1"))[0]
    bank.pieces = {"m1": [manifest, *[BundlePiece(tensors=bytes(1 << 20))] * 20]}
    with pytest.raises(Malformed):
        bank.follow()


def test_a_bundle_of_another_catalogue_is_not_put_in_force(registry, bank):
    registry.publish("m1")
    body = registry.catalogue.to_body().replace(b'"version":1', b'"version":2', 1)
    registry.catalogue = type(registry.catalogue).from_body(body)
    with pytest.raises(BundleNotForUs):
        bank.follow()
    assert bank.releases.active_version() is None


def test_a_withdrawal_bites_before_anything_is_fetched(registry, bank):
    """A withdrawn version is not answered with, though no other can be had yet."""
    registry.publish("m1")
    registry.publish("m2")
    bank.follow()
    registry.coordinator.releases.promote("m2", registry.order())
    registry.coordinator.releases.withdraw("m1", registry.order())
    bank.pieces = {"m2": []}  # what is served of it is no bundle
    with pytest.raises(Malformed):
        bank.follow()
    assert bank.releases.active_version() is None
    bank.pieces = {}
    assert bank.follow() == "m2"


def test_a_new_champion_that_cannot_be_had_leaves_the_old_one_in_force(registry, bank):
    registry.publish("m1")
    bank.follow()
    registry.publish("m2", promote=True)
    bank.pieces = {"m2": []}
    with pytest.raises(Malformed):
        bank.follow()
    assert bank.releases.active_version() == "m1"
    bank.cut_off = PeerUnreachable("the coordinator cannot be reached")
    with pytest.raises(PeerUnreachable):
        bank.follow()
    assert bank.releases.active_version() == "m1"


def test_a_broken_challenger_does_not_keep_the_champion_away(registry, bank):
    registry.publish("m1")
    registry.publish("m2")
    registry.coordinator.releases.challenge("m2", registry.order())
    bank.pieces = {"m2": []}
    with pytest.raises(Malformed):
        bank.follow()
    assert in_use(bank) == ("m1", None)


def test_a_pinned_version_is_answered_with_alone(registry, bank):
    registry.publish("m1")
    bank.follow()
    leaves = bank.leaves()
    assert bank.releases.pin("m1", "validated in May") == "m1"
    assert bank.leaves() == leaves + 1
    registry.publish("m2", promote=True)
    assert bank.follow() == "m1"
    assert bank.releases.standing().named == "m2"
    assert bank.releases.unpin() == "m1"  # what is named is not here yet
    assert bank.follow() == "m2"
    assert bank.releases.pin("m1", "") == "m1"
    registry.coordinator.releases.withdraw("m1", registry.order())
    assert bank.follow() is None  # nothing else was approved here
    with pytest.raises(ModelWithdrawn):
        bank.releases.pin("m1", "")
    assert bank.releases.unpin() == "m2"
    with pytest.raises(NotFound):
        bank.releases.unpin()


def test_a_pin_fetches_a_version_that_is_not_here(registry, bank):
    registry.publish("m1")
    registry.publish("m2", promote=True)
    bank.follow()
    assert bank.releases.pin("m1", "") == "m1"
    assert bank.asked == ["m2", "m1"]
    for version in ("m9", "m-unknown"):
        with pytest.raises(ModelNotReleased):
            bank.releases.pin(version, "")


def test_a_refused_version_is_never_answered_with(registry, bank):
    registry.publish("m1")
    bank.follow()
    registry.publish("m2")
    registry.coordinator.releases.challenge("m2", registry.order())
    bank.follow()
    assert bank.releases.refuse("m2", "not validated") == "m1"
    assert in_use(bank) == ("m1", None)
    registry.coordinator.releases.promote("m2", registry.order())
    assert bank.follow() == "m1"
    assert bank.releases.unpin("m2") == "m2"
    assert bank.releases.refuse("m2", "") is None or in_use(bank)[0] != "m2"


def test_old_releases_are_forgotten_and_the_newest_kept(registry, bank):
    registry.publish("m1")
    registry.publish("m2")
    for _ in range(6):
        registry.coordinator.releases.challenge("m2", registry.order())
        bank.follow()
        registry.coordinator.releases.drop("m2", registry.order())
        bank.follow()
    with bank.node.database.read() as connection:
        kept = documents.every(connection, "release")
    assert len(kept) == 8
    assert kept[0].version == registry.document().version
