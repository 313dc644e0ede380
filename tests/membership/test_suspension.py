"""A suspended member is out: at the coordinator at once, at every holder, whoever is cut off."""

import sqlite3
import time
from dataclasses import replace

import pytest
import structlog

from node.network.rpc_errors import PeerUnreachable, remote_errors
from node.process import running
from protocols.directory import Directory, LicenceExpired, MemberNotActive
from protocols.documents import sign_document
from protocols.errors import CredenceError, StateConflict
from protocols.keys import SigningKey
from protocols.v1.membership_pb2 import DirectoryRequest, GetDocumentRequest
from protocols.v1.membership_pb2_grpc import GossipStub, MembershipStub
from tests.membership.world import held, kinds_of, now_ms


def admitted(world, caller, holder):
    with pytest.raises(CredenceError) as caught:
        world.call(caller, holder)
    return caught.value.code == "suite_unsupported"  # an empty request, but it was looked at


def set_status(world, member_id, status):
    world.coordinator.membership.set_status(member_id, status, now_ms())


@pytest.mark.parametrize("status", ["suspended", "revoked"])
def test_the_coordinator_refuses_at_the_next_call(world, status):
    bank = world.nodes["bank-b"]
    stub = MembershipStub(bank.channels.to_coordinator(bank.settings.coordinator_endpoint))
    stub.GetDocument(GetDocumentRequest(kind="directory"), timeout=10)
    set_status(world, "bank-b", status)
    with pytest.raises(MemberNotActive), remote_errors("the coordinator"):
        stub.GetDocument(GetDocumentRequest(kind="directory"), timeout=10)


@pytest.mark.parametrize("status", ["suspended", "revoked"])
def test_every_holder_refuses_while_the_coordinator_is_down(world, status):
    assert admitted(world, "bank-b", "payments")
    set_status(world, "bank-b", status)
    for holder in ("bank-a", "payments"):
        world.nodes[holder].documents.refresh()
    world.stop_coordinator()
    for holder in ("bank-a", "payments"):
        with pytest.raises(MemberNotActive):
            world.call("bank-b", holder)


def test_a_holder_still_refuses_after_it_was_restarted_without_a_coordinator(world):
    set_status(world, "bank-b", "suspended")
    world.nodes["payments"].documents.refresh()
    world.stop_coordinator()
    world.close("payments")
    world.open("payments")
    with pytest.raises(MemberNotActive):
        world.call("bank-b", "payments")


def test_a_holder_that_is_cut_off_learns_it_from_the_first_member_that_calls(world):
    set_status(world, "bank-b", "suspended")
    world.nodes["bank-a"].documents.refresh()
    world.stop_coordinator()
    assert admitted(world, "bank-b", "payments")  # it cannot know yet
    assert admitted(world, "bank-a", "payments")  # and now it does
    with pytest.raises(MemberNotActive):
        world.call("bank-b", "payments")


def test_a_holder_that_is_cut_off_and_that_nobody_calls_learns_it_by_asking(world):
    set_status(world, "bank-b", "suspended")
    world.nodes["bank-a"].documents.refresh()
    world.stop_coordinator()
    with pytest.raises(PeerUnreachable):
        world.nodes["payments"].documents.refresh()
    with pytest.raises(MemberNotActive):
        world.call("bank-b", "payments")


def test_a_directory_that_the_coordinator_withholds_comes_from_a_member(world):
    payments = world.nodes["payments"].documents
    old = {kind: payments.document(kind) for kind in ("directory", "catalogue")}
    payments._fetch = old.__getitem__  # what a coordinator serves that hides the suspension
    set_status(world, "bank-b", "suspended")
    world.nodes["bank-a"].documents.refresh()
    payments.refresh()
    assert admitted(world, "bank-b", "payments")
    assert admitted(world, "bank-a", "payments")
    with pytest.raises(MemberNotActive):
        world.call("bank-b", "payments")


def test_a_suspended_member_is_not_given_the_directory_and_not_asked_for_it(world):
    stub = GossipStub(world.nodes["bank-b"].channels.to_member("payments"))
    set_status(world, "bank-b", "suspended")
    payments = world.nodes["payments"].documents
    payments.refresh()
    with pytest.raises(MemberNotActive), remote_errors("payments"):
        stub.Directory(DirectoryRequest(), timeout=10)
    assert "bank-b" not in payments._peers.some(payments.directory())


def plant(node, document):
    """Let a member hold, and so pass on, a directory that it did not get from the coordinator."""
    with sqlite3.connect(node.home / "node.db") as raw:
        raw.execute(
            "INSERT INTO document VALUES ('directory', ?, ?, ?, ?, 0)",
            (document.version, document.body, document.signature, document.key_id),
        )
    raw.close()


def test_a_forged_directory_from_a_member_is_refused_and_logged_without_anybodys_name(world):
    before = world.nodes["payments"].documents.directory()
    stranger = SigningKey.generate()
    members = tuple(
        replace(one, status="revoked") if one.member_id == "bank-b" else one
        for one in before.members
    )
    forged = replace(before, version=before.version + 5, members=members)
    document = replace(
        sign_document("directory", forged.to_body(), stranger),
        key_id=world.coordinator.keys.directory.verify_key.key_id,
    )
    plant(world.nodes["bank-a"], document)
    world.close("bank-b")
    world.stop_coordinator()
    with structlog.testing.capture_logs() as logs, pytest.raises(PeerUnreachable):
        world.nodes["payments"].documents.refresh()
    assert world.nodes["payments"].documents.directory() == before
    codes = {one["code"] for one in logs if one.get("member") == "bank-a"}
    assert codes == {"signature_invalid"}


class Backward:
    """A member that gives the directory of yesterday."""

    def __init__(self, document):
        self.document = document

    def some(self, directory):
        return ["bank-a"]

    def directory_of(self, member_id):
        return self.document


def test_an_older_directory_from_a_member_takes_nothing_back(world):
    payments = world.nodes["payments"].documents
    payments._peers = Backward(payments.document("directory"))
    set_status(world, "bank-b", "suspended")
    payments.refresh()
    world.stop_coordinator()
    with structlog.testing.capture_logs() as logs, pytest.raises(PeerUnreachable):
        payments.refresh()
    assert payments.directory().member("bank-b").status == "suspended"
    assert {one["code"] for one in logs if one.get("member")} == {"directory_rollback"}


def test_asking_a_member_tells_it_that_there_is_a_newer_directory(world):
    set_status(world, "bank-b", "suspended")
    world.nodes["payments"].documents.refresh()
    world.stop_coordinator()
    with pytest.raises(PeerUnreachable):
        world.nodes["payments"].documents.refresh()  # asks bank-a, which holds an older one
    with pytest.raises(MemberNotActive):
        world.call("bank-b", "bank-a")


def test_reinstated_members_are_admitted_again_and_revoked_ones_never(world):
    set_status(world, "bank-b", "suspended")
    world.nodes["payments"].documents.refresh()
    set_status(world, "bank-b", "active")
    world.nodes["payments"].documents.refresh()
    world.nodes["bank-b"].documents.refresh()
    assert admitted(world, "bank-b", "payments")
    set_status(world, "bank-b", "revoked")
    with pytest.raises(StateConflict):
        set_status(world, "bank-b", "active")


def test_a_licence_runs_out_by_itself_everywhere_and_a_new_one_readmits(world):
    end = now_ms() + 1500
    world.coordinator.membership.set_licence("bank-b", "L-1", end, now_ms())
    world.refresh()
    assert admitted(world, "bank-b", "payments")
    version = world.directory.version
    time.sleep(max(0.0, (end - now_ms()) / 1000) + 0.05)
    with pytest.raises(LicenceExpired):
        world.call("bank-b", "payments")
    bank = world.nodes["bank-b"]
    stub = MembershipStub(bank.channels.to_coordinator(bank.settings.coordinator_endpoint))
    with pytest.raises(LicenceExpired), remote_errors("the coordinator"):
        stub.GetDocument(GetDocumentRequest(kind="directory"), timeout=10)
    assert world.directory.version == version  # nobody had to say so
    assert world.directory.member("bank-b").status == "lapsed"
    world.coordinator.membership.set_licence("bank-b", "L-2", None, now_ms())
    world.nodes["payments"].documents.refresh()
    assert admitted(world, "bank-b", "payments")


def test_what_happens_to_a_member_is_in_its_own_log_and_in_the_coordinators(world):
    set_status(world, "bank-b", "suspended")
    set_status(world, "bank-b", "active")
    bank = world.nodes["bank-b"]
    bank.documents.refresh()
    set_status(world, "bank-b", "suspended")
    world.nodes["bank-a"].documents.refresh()
    for _ in range(3):  # one leaf, however often it is told
        with pytest.raises(MemberNotActive):
            bank.documents.refresh()
    kinds = kinds_of(world.coordinator.audit)
    members = [kind for kind in kinds if kind.startswith("member.")]
    assert members[-3:] == ["member.suspended", "member.reinstated", "member.suspended"]
    assert kinds_of(bank.audit)[:1] == ["membership.entered"]
    assert kinds_of(bank.audit)[-1] == "membership.refused"
    set_status(world, "bank-b", "active")
    bank.documents.refresh()
    assert kinds_of(bank.audit)[-1] == "membership.readmitted"
    assert kinds_of(world.nodes["payments"].audit) == ["membership.entered"]


def test_a_running_network_turns_a_member_away_within_seconds(world):
    """With nodes as they run: their own polling, here every 0.2 s instead of 10 s."""
    world.close("payments")
    settings = world.root / "payments" / "credence.toml"
    settings.write_text(settings.read_text().replace("refresh_s = 10.0", "refresh_s = 0.2"))
    assert "refresh_s = 0.2" in settings.read_text()
    with running(world.root / "payments", now_ms):
        assert admitted(world, "bank-b", "payments")
        set_status(world, "bank-b", "suspended")
        begin = time.monotonic()
        while admitted(world, "bank-b", "payments"):
            assert time.monotonic() - begin < 5
            time.sleep(0.05)
        with pytest.raises(MemberNotActive):
            world.call("bank-b", "payments")


def test_a_member_that_joins_is_served_and_serves_without_a_restart_anywhere(world):
    world.join("bank-c")
    assert admitted(world, "bank-c", "payments")  # payments had never heard of it
    world.nodes["payments"].documents.refresh()
    assert admitted(world, "payments", "bank-c")


def test_the_directory_that_members_pass_on_is_the_coordinators_to_the_byte(world):
    stub = GossipStub(world.nodes["bank-a"].channels.to_member("payments"))
    answer = stub.Directory(DirectoryRequest(), timeout=10)
    assert answer.body == held(world.nodes["payments"]).body
    assert Directory.from_body(answer.body).version == world.directory.version
