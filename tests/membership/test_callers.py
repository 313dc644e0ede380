"""Who is let in, over real mutual TLS, at a holder and at the coordinator; each attack's code."""

from dataclasses import replace

import pytest

from node.network.rpc_errors import remote_errors
from node.network.transport import TlsIdentity, open_channel
from protocols.certificates import (
    COORDINATOR_DNS,
    create_ca,
    issue_certificate,
    issue_server_certificate,
    make_csr,
    make_tls_key,
    to_pem,
)
from protocols.errors import CredenceError
from protocols.member_keys import EarlierCertificate
from protocols.v1.membership_pb2 import GetDocumentRequest
from protocols.v1.membership_pb2_grpc import MembershipStub
from tests.membership.world import DAY_MS, LIMITS, now_ms


def certified(world, member_id, *, ca=None, at_ms=None, days=30):
    """A certificate for a key that its holder really has."""
    coordinator = world.coordinator
    ca_key, ca_pem = ca or (coordinator.keys.ca, coordinator.identity.ca)
    key = make_tls_key()
    csr = make_csr(key, member_id)
    made = issue_certificate(ca_key, ca_pem, csr, member_id, "bank", at_ms or now_ms(), days)
    return TlsIdentity(coordinator.identity.ca, to_pem(made), key)


def none(world):
    return None


def unknown(world):
    return certified(world, "bank-x")


def expired(world):
    return certified(world, "bank-a", at_ms=now_ms() - 40 * DAY_MS)


def not_yet_valid(world):
    return certified(world, "bank-a", at_ms=now_ms() + DAY_MS)


def without_a_members_name(world):
    key, coordinator = make_tls_key(), world.coordinator
    made = issue_server_certificate(coordinator.keys.ca, coordinator.identity.ca, key, now_ms(), 30)
    return TlsIdentity(coordinator.identity.ca, to_pem(made), key)


def of_another_ca(world):
    return certified(world, "bank-a", ca=create_ca("test members", now_ms(), 30))


def that_the_directory_does_not_name(world):
    return certified(world, "bank-a")


def replaced_and_past_its_overlap(world):
    """A revoked certificate: it was bank-a's, and the directory says until when."""
    held = world.nodes["bank-a"].identity()
    publisher = world.coordinator.membership._publisher

    def replaced(entry):
        return replace_certificate(entry, until_ms=now_ms() - 1)

    with world.coordinator.database.write() as connection:
        publisher.change_member(connection, "bank-a", replaced, now_ms())
    world.nodes["payments"].documents.refresh()
    return held


def replace_certificate(entry, until_ms):
    earlier = EarlierCertificate(entry.certificate_sha256, until_ms)
    return replace(entry, certificate_sha256=bytes(32), earlier_certificates=(earlier,))


def of_a_suspended_member(world):
    world.coordinator.membership.set_status("bank-a", "suspended", now_ms())
    world.nodes["payments"].documents.refresh()
    return world.nodes["bank-a"].identity()


ATTACKS = [
    (none, "peer_unreachable", "peer_unreachable"),  # TLS itself refuses
    (unknown, "unknown_member", "unknown_member"),
    (expired, "peer_unreachable", "peer_unreachable"),
    (not_yet_valid, "peer_unreachable", "peer_unreachable"),
    (without_a_members_name, "peer_unreachable", "peer_unreachable"),
    (of_another_ca, "peer_unreachable", "peer_unreachable"),
    (that_the_directory_does_not_name, "peer_not_admitted", "caller_not_admitted"),
    (replaced_and_past_its_overlap, "peer_not_admitted", "caller_not_admitted"),
    (of_a_suspended_member, "member_not_active", "member_not_active"),
]


@pytest.mark.parametrize(
    ("attack", "at_holder", "at_coordinator"),
    ATTACKS,
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_caller_with_a_certificate_is_turned_away(world, attack, at_holder, at_coordinator):
    identity = attack(world)
    sizes = {name: node.audit.head().size for name, node in world.nodes.items()}
    with pytest.raises(CredenceError) as caught:
        world.call_as(identity, "payments")
    assert caught.value.code == at_holder
    assert {name: node.audit.head().size for name, node in world.nodes.items()} == sizes
    endpoint = world.coordinator.settings.dialled_by_members
    ca = world.coordinator.identity.ca
    with (
        open_channel(endpoint, COORDINATOR_DNS, ca, identity, LIMITS) as channel,
        pytest.raises(CredenceError) as caught,
        remote_errors("the coordinator"),
    ):
        MembershipStub(channel).GetDocument(GetDocumentRequest(kind="directory"), timeout=10)
    assert caught.value.code == at_coordinator


def test_a_certificate_within_its_overlap_is_admitted(world):
    held = world.nodes["bank-a"].identity()
    publisher = world.coordinator.membership._publisher
    with world.coordinator.database.write() as connection:
        publisher.change_member(
            connection,
            "bank-a",
            lambda entry: replace_certificate(entry, now_ms() + 60_000),
            now_ms(),
        )
    world.nodes["payments"].documents.refresh()
    with pytest.raises(CredenceError) as caught:
        world.call_as(held, "payments")
    assert caught.value.code == "suite_unsupported"  # an empty request, but it was looked at
