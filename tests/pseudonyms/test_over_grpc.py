"""Five nodes over loopback and mutual TLS: they make a key, and each enrols through the others."""

import time
from contextlib import ExitStack

import pytest

from coordinator.ceremonies.service import make_board
from node.bootstrap import init_node, join, open_node
from node.network.rpc_errors import remote_errors
from node.process import running
from node.trustees.evaluation import QuotaExhausted
from protocols.enrolment import blind_batch, joined
from protocols.errors import CredenceError
from protocols.v1.pseudonyms_pb2 import EvaluateRequest
from protocols.v1.pseudonyms_pb2_grpc import EvaluationStub
from tests.node.coordinated import free_port, invite, now_ms, serving_coordinator
from tests.node.ingest_world import identifier
from tests.pseudonyms.world import NAMES

QUOTA = 40
PEOPLE = [identifier(number) for number in range(1, 13)]


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A coordinator and five running nodes that have made a key; homes by member."""
    root = tmp_path_factory.mktemp("five")
    with ExitStack() as stack:
        coordinator = stack.enter_context(serving_coordinator(root / "coordinator"))
        for name in NAMES:
            options = {"listen": f"127.0.0.1:{free_port()}", "train": False, "refresh_s": 1.0}
            init_node(
                root / name, member_id=name, name=name, role="bank",
                evaluation_quota=QUOTA, **options,
            )  # fmt: skip
            join(root / name, invite(coordinator, name), now_ms())
        nodes = {name: stack.enter_context(running(root / name, now_ms)).node for name in NAMES}
        board = make_board(coordinator)
        board.announce(3, NAMES, now_ms(), round_ms=20_000)
        deadline = time.monotonic() + 60
        while board.current()[0].state not in {"completed", "failed"}:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert board.current()[0].state == "completed", board.current()[0].detail
        yield coordinator, nodes


def test_one_person_has_one_pseudonym_at_every_member(network):
    _, nodes = network
    one = nodes["bank-a"].pseudonyms.enrol(PEOPLE[:5])
    other = nodes["payments"].pseudonyms.enrol(PEOPLE[:5])
    assert one.pseudonyms == other.pseudonyms
    assert one.failed == other.failed == {}
    assert len(set(one.pseudonyms)) == 5


def test_the_quota_of_a_member_holds_on_the_wire_under_its_own_code(network):
    _, nodes = network
    stub = EvaluationStub(nodes["bank-b"].channels.to_member("bank-c"))
    data = joined(blind_batch([b"%d" % number for number in range(QUOTA)]))
    stub.Evaluate(EvaluateRequest(epoch=1, blinded=data), timeout=30)
    with pytest.raises(QuotaExhausted), remote_errors("bank-c"):
        stub.Evaluate(EvaluateRequest(epoch=1, blinded=data[:32]), timeout=30)


def test_a_trustee_that_is_down_is_replaced(network):
    _, nodes = network
    nodes["public-records"].pseudonyms.enrol(PEOPLE[5:6])
    stopped = nodes["bank-c"].trustee.evaluation
    object.__setattr__(stopped, "quota", 0)
    try:
        done = nodes["public-records"].pseudonyms.enrol(PEOPLE)
    finally:
        object.__setattr__(stopped, "quota", QUOTA)
    assert set(done.failed) <= {"bank-c"}
    assert len(set(done.pseudonyms)) == len(PEOPLE)


def test_a_suspended_member_is_evaluated_for_by_nobody(network):
    coordinator, nodes = network
    coordinator.membership.set_status("bank-b", "suspended", now_ms())
    for name in set(NAMES) - {"bank-b"}:
        nodes[name].documents.refresh()
    with pytest.raises(CredenceError) as caught:
        nodes["bank-b"].pseudonyms.enrol(PEOPLE[6:8])
    assert caught.value.code == "trustees_unavailable"
    coordinator.membership.set_status("bank-b", "active", now_ms())


def test_a_share_survives_a_restart(network):
    _, nodes = network
    again = open_node(nodes["bank-a"].home)
    try:
        share, index = again.trustee.evaluation.shares.open(again.pseudonym_keys.newest())
        assert index == 1
        assert len(share) == 32
    finally:
        again.close()
