"""New keys with an overlap: signed by both, honoured side by side, the old ones destroyed."""

import pytest

from coordinator.membership import renewal
from node.bootstrap import open_node
from node.keystore import SETTLING_MS, open_keystore
from node.network.rpc_errors import PeerTooSlow, PeerUnreachable, remote_errors
from protocols.canonical import sha256
from protocols.certificates import fingerprint, make_csr, make_tls_key
from protocols.errors import CredenceError, SignatureInvalid
from protocols.keys import SealingKey, SigningKey
from protocols.member_keys import MAX_EARLIER_KEYS
from protocols.rotation import Rotation, RotationReplayed, sign_rotation
from protocols.v1.membership_pb2 import RotateRequest
from protocols.v1.membership_pb2_grpc import MembershipStub
from tests.membership.test_renewal import losing_answers
from tests.membership.test_suspension import admitted
from tests.membership.world import kinds_of, now_ms

HOUR_S = 3600


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(renewal, "SOONEST_RENEWAL_MS", -1)


def clock_of(node, ms):
    """Let a node's own keys be looked at so much later."""
    node.keys._clock = lambda: now_ms() + ms
    node.key_care._clock = node.keys._clock


def test_a_command_beside_a_running_node_gives_it_new_keys(world):
    running, before = world.nodes["bank-a"], world.directory.member("bank-a")
    beside = open_node(running.home)
    try:
        entry = beside.key_care.rotate(HOUR_S)
    finally:
        beside.close()
    assert entry.signing_key != before.signing_key
    assert entry.sealing_key != before.sealing_key
    assert entry.certificate_sha256 != before.certificate_sha256
    (earlier,) = entry.earlier_keys
    assert (earlier.signing_key, earlier.sealing_key) == (before.signing_key, before.sealing_key)
    running.documents.refresh()
    assert running.keys.current().public == entry.signing_key
    assert fingerprint(running.identity().certificate) == entry.certificate_sha256
    assert admitted(world, "bank-a", "payments")
    assert admitted(world, "payments", "bank-a")


def test_a_node_signs_with_the_old_key_until_everybody_knows_the_new_one(world):
    bank, before = world.nodes["bank-a"], world.directory.member("bank-a")
    entry = bank.key_care.rotate(HOUR_S)
    assert bank.keys.signing.verify_key.bytes == before.signing_key
    assert bank.keys.sealing.public == before.sealing_key
    clock_of(bank, SETTLING_MS + 1000)
    assert bank.keys.signing.verify_key.bytes == entry.signing_key
    assert bank.keys.sealing.public == entry.sealing_key
    assert [key.public for key in bank.keys.sealing_keys()] == [
        entry.sealing_key, before.sealing_key
    ]  # fmt: skip


def test_without_an_overlap_the_new_key_signs_at_once_and_the_old_one_is_gone(world):
    bank, before = world.nodes["bank-a"], world.directory.member("bank-a")
    entry = bank.key_care.rotate(0)
    assert bank.keys.signing.verify_key.bytes == entry.signing_key
    bank.key_care.tend()
    assert before.verify_key.key_id not in "".join(bank.keys.file.read())
    signature = SigningKey.generate().sign("request", b"x")
    with pytest.raises(SignatureInvalid):
        entry.verify("request", b"x", signature, now_ms())


def test_old_signatures_verify_during_the_overlap_and_not_after(world):
    bank = world.nodes["bank-a"]
    old = bank.keys.signing
    entry = bank.key_care.rotate(HOUR_S)
    signature = old.sign("request", b"asked")
    entry.verify("request", b"asked", signature, now_ms())
    with pytest.raises(SignatureInvalid):
        entry.verify("request", b"asked", signature, now_ms() + HOUR_S * 1000 + 1000)
    # A consent outlives the key that signed it.
    assert entry.signer_among({old.verify_key.key_id}) == old.verify_key


def test_old_keys_are_destroyed_when_the_overlap_is_over_and_not_before(world):
    bank = world.nodes["bank-a"]
    old = bank.keys.signing
    bank.key_care.rotate(HOUR_S)
    bank.key_care.tend()
    assert f"signing_{old.verify_key.key_id}" in bank.keys.file.read()
    clock_of(bank, HOUR_S * 1000 + 1000)
    bank.key_care.tend()
    kept = bank.keys.file.read()
    assert old.seed not in kept.values()
    assert set(kept) == {"signing", "sealing", "tls", "local_key", "audit_index"}
    assert kinds_of(bank.audit)[-1] == "membership.keys_destroyed"
    again = open_keystore(bank.home)
    assert again.signing.verify_key.bytes == world.directory.member("bank-a").signing_key


def test_a_rotation_is_a_leaf_at_both(world):
    bank = world.nodes["bank-a"]
    bank.key_care.rotate(HOUR_S)
    assert kinds_of(world.coordinator.audit)[-1] == "member.keys_rotated"
    assert kinds_of(bank.audit)[-2:] == [
        "membership.keys_rotated", "membership.certificate_renewed"
    ]  # fmt: skip


def test_a_rotation_whose_answer_was_lost_goes_on_with_the_same_keys(world):
    bank = world.nodes["bank-a"]
    with losing_answers(bank.key_care), pytest.raises(PeerTooSlow):
        bank.key_care.rotate(HOUR_S)
    named = world.directory.member("bank-a")
    assert admitted(world, "bank-a", "payments")
    entry = bank.key_care.rotate(HOUR_S)
    assert entry.signing_key == named.signing_key
    assert bank.keys.current().public == named.signing_key
    bank.key_care.tend()  # renews the certificate that was lost
    entry = world.directory.member("bank-a")
    assert fingerprint(bank.identity().certificate) == entry.certificate_sha256
    assert len(entry.earlier_keys) == 1
    assert admitted(world, "bank-a", "payments")


def test_a_request_that_never_arrived_is_made_again_with_the_same_keys(world):
    bank, care = world.nodes["bank-a"], world.nodes["bank-a"].key_care
    asked, real = [], care._membership

    class Unreachable:
        def rotate(self, request):
            asked.append(request)
            raise PeerUnreachable("nobody there")

    care._membership = Unreachable()
    for _ in range(2):
        with pytest.raises(PeerUnreachable):
            care.rotate(HOUR_S)
    assert bank.keys.current().public == world.directory.member("bank-a").signing_key
    care._membership = real
    entry = care.rotate(HOUR_S)
    # Had one of them arrived after all, its keys would be here.
    assert {Rotation.from_body(one.body).signing_key for one in asked} == {entry.signing_key}


def test_keys_are_rotated_again_while_an_overlap_is_under_way(world):
    bank = world.nodes["bank-a"]
    keys = {world.directory.member("bank-a").signing_key}
    for _ in range(3):
        keys.add(bank.key_care.rotate(HOUR_S).signing_key)
    entry = world.directory.member("bank-a")
    assert {entry.signing_key, *(one.signing_key for one in entry.earlier_keys)} == keys
    assert admitted(world, "bank-a", "payments")


def test_replaced_keys_are_listed_up_to_a_limit(world):
    bank = world.nodes["bank-a"]
    for _ in range(MAX_EARLIER_KEYS):
        bank.key_care.rotate(HOUR_S)
    with pytest.raises(renewal.TooManyRotations):
        bank.key_care.rotate(HOUR_S)


# What is not a rotation of one's own keys, now, by both.


def make(world, member_id="bank-b", *, by_old=None, by_new=None, **changes):
    """A request of bank-b, as its owner would make it but for `changes`."""
    keys = world.nodes["bank-b"].keys.current()
    new, sealing, csr = SigningKey.generate(), SealingKey.generate(), None
    new = changes.pop("new", new)
    csr = make_csr(make_tls_key(), "bank-b")
    values = {
        "member_id": member_id,
        "old_signing_key": keys.public,
        "signing_key": new.verify_key.bytes,
        "sealing_key": sealing.public,
        "csr_sha256": sha256(csr),
        "overlap_s": HOUR_S,
        "issued_at_ms": now_ms(),
    }
    body = Rotation(**(values | changes)).to_body()
    old_signature, new_signature = sign_rotation(body, by_old or keys.signing, by_new or new)
    return RotateRequest(
        body=body, csr_der=csr, old_signature=old_signature, new_signature=new_signature
    )


def ask(world, member_id, request):
    node = world.nodes[member_id]
    stub = MembershipStub(node.channels.to_coordinator(node.settings.coordinator_endpoint))
    with remote_errors("the coordinator"):
        return stub.Rotate(request, timeout=10)


def signed_by_the_new_key_alone(world):
    new = SigningKey.generate()
    return make(world, new=new, by_old=new)


def signed_by_the_old_key_alone(world):
    return make(world, by_new=world.nodes["bank-b"].keys.signing)


def of_another_member(world):
    return make(world, "bank-a")


def of_another_members_key(world):
    return make(world, old_signing_key=world.directory.member("bank-a").signing_key)


def to_another_members_key(world):
    return make(world, new=world.nodes["bank-a"].keys.signing)


def to_another_members_sealing_key(world):
    return make(world, sealing_key=world.directory.member("bank-a").sealing_key)


def to_the_key_it_has(world):
    return make(world, new=world.nodes["bank-b"].keys.signing)


def of_ten_minutes_ago(world):
    return make(world, issued_at_ms=now_ms() - 600_000)


def of_ten_minutes_from_now(world):
    return make(world, issued_at_ms=now_ms() + 600_000)


def with_another_csr(world):
    request = make(world)
    request.csr_der = make_csr(make_tls_key(), "bank-b")
    return request


def with_a_csr_of_another_member(world):
    csr = make_csr(make_tls_key(), "bank-a")
    request = make(world, csr_sha256=sha256(csr))
    request.csr_der = csr
    return request


def truncated(world):
    request = make(world)
    request.body = request.body[:-1]
    return request


def bit_flipped(world):
    request = make(world)
    request.body = request.body.replace(b'"overlap_s":3600', b'"overlap_s":3601')
    return request


def oversized(world):
    request = make(world)
    request.body = request.body + bytes(8000)
    return request


def deeply_nested(world):
    request = make(world)
    request.body = b'{"member_id":' + b"[" * 500 + b"]" * 500 + b"}"
    return request


@pytest.mark.parametrize(
    ("attack", "code"),
    [
        (signed_by_the_new_key_alone, "signature_invalid"),
        (signed_by_the_old_key_alone, "signature_invalid"),
        (of_another_member, "rotation_for_other"),
        (of_another_members_key, "rotation_replayed"),
        (to_another_members_key, "key_in_use"),
        (to_another_members_sealing_key, "key_in_use"),
        (to_the_key_it_has, "key_in_use"),
        (of_ten_minutes_ago, "rotation_expired"),
        (of_ten_minutes_from_now, "rotation_expired"),
        (with_another_csr, "invalid_input"),
        (with_a_csr_of_another_member, "certificate_refused"),
        (truncated, "malformed"),
        (bit_flipped, "signature_invalid"),
        (oversized, "invalid_input"),
        (deeply_nested, "malformed"),
    ],
)
def test_what_is_no_rotation_changes_nothing(world, attack, code):
    request = attack(world)
    before, size = world.directory, world.coordinator.audit.head().size
    with pytest.raises(CredenceError) as caught:
        ask(world, "bank-b", request)
    assert caught.value.code == code
    assert world.directory == before
    assert world.coordinator.audit.head().size == size
    assert admitted(world, "bank-b", "payments")


def test_a_rotation_works_once(world):
    request = make(world)
    ask(world, "bank-b", request)
    before = world.directory
    with pytest.raises(RotationReplayed):
        ask(world, "bank-b", request)
    assert world.directory == before


def test_an_earlier_rotation_never_works_again(world):
    """Back to a key that was replaced: by a request kept from the time when it was current."""
    kept = make(world)
    ask(world, "bank-b", make(world))
    with pytest.raises(RotationReplayed):
        ask(world, "bank-b", kept)


def test_nobody_rotates_another_members_keys_with_its_signed_request(world):
    request = make(world)
    with pytest.raises(CredenceError) as caught:
        ask(world, "bank-a", request)
    assert caught.value.code == "rotation_for_other"
