"""A directory that is too old releases nothing; the coordinator keeps it young."""

import pytest

from node.network.documents import DirectoryStale
from node.network.rpc_errors import PeerUnreachable, remote_errors
from protocols.directory import UnknownMember
from protocols.v1.exchange_pb2_grpc import ConsentsStub
from protocols.v1.pseudonyms_pb2 import EvaluateRequest
from protocols.v1.pseudonyms_pb2_grpc import EvaluationStub
from tests.membership.test_suspension import admitted
from tests.membership.world import now_ms

DAY_MS = 86_400_000


def later(node, ms):
    node.documents._clock = lambda: now_ms() + ms


def test_a_node_without_news_for_a_day_releases_nothing(world):
    world.stop_coordinator()
    later(world.nodes["payments"], DAY_MS + 60_000)
    with pytest.raises(DirectoryStale):
        world.call("bank-a", "payments")
    later(world.nodes["payments"], DAY_MS - 60_000)
    assert admitted(world, "bank-a", "payments")


def test_it_evaluates_nothing_either_and_still_hears_of_withdrawals(world):
    channel = world.nodes["bank-a"].channels.to_member("payments")
    later(world.nodes["payments"], DAY_MS + 60_000)
    with pytest.raises(DirectoryStale), remote_errors("payments"):
        EvaluationStub(channel).Evaluate(EvaluateRequest(epoch=1, blinded=bytes(32)), timeout=10)
    with remote_errors("payments"):
        assert list(ConsentsStub(channel).Deliver(iter(()), timeout=10)) == []


def test_it_releases_again_with_the_next_directory_from_anybody(world):
    payments = world.nodes["payments"]
    assert world.coordinator.membership.reissue_if_due(now_ms() + DAY_MS)
    world.nodes["bank-a"].documents.refresh()
    world.stop_coordinator()
    later(payments, DAY_MS + 60_000)
    payments.documents._fetch = unreachable
    # The member that calls brings the news with it.
    assert admitted(world, "bank-a", "payments")


def unreachable(kind):
    raise PeerUnreachable("nobody there")


def test_the_coordinator_issues_the_same_directory_anew_every_few_minutes(world):
    membership = world.coordinator.membership
    before = membership.directory()
    assert not membership.reissue_if_due(before.issued_at_ms + 200_000)
    assert membership.reissue_if_due(before.issued_at_ms + 240_000)
    after = membership.directory()
    assert (after.version, after.members) == (before.version + 1, before.members)
    assert after.issued_at_ms == before.issued_at_ms + 240_000


def test_a_day_of_nothing_new_leaves_two_directories_and_no_leaf(world):
    membership, coordinator = world.coordinator.membership, world.coordinator
    size, begin = coordinator.audit.head().size, membership.directory()
    for number in range(1, 361):
        assert membership.reissue_if_due(begin.issued_at_ms + number * 240_000)
    assert membership.directory().version == begin.version + 360
    assert coordinator.audit.head().size == size
    with coordinator.database.read() as connection:
        rows = connection.exec_driver_sql(
            "SELECT version FROM document WHERE kind = 'directory' AND version >= ?",
            (begin.version,),
        )
        assert [row[0] for row in rows] == [begin.version, begin.version + 360]


def test_a_node_keeps_few_of_the_directories_that_it_was_given(world):
    payments, begin = world.nodes["payments"], world.directory.issued_at_ms
    for number in range(1, 20):
        world.coordinator.membership.reissue_if_due(begin + number * 240_000)
        payments.documents.refresh()
    with payments.database.read() as connection:
        query = "SELECT count(*) FROM document WHERE kind = 'directory'"
        assert connection.exec_driver_sql(query).scalar_one() <= 8
    assert payments.documents.directory().version == world.directory.version


def test_a_member_that_joined_a_moment_ago_is_called_without_waiting_for_the_poll(world):
    world.join("bank-c")
    bank = world.nodes["bank-a"]
    bank.documents._refreshed_at = float("-inf")  # its last look was a while ago
    with pytest.raises(UnknownMember):
        bank.channels.to_member("bank-c")
    bank.routes.to_member("bank-c")
    assert bank.documents.directory().member("bank-c").active
    with pytest.raises(UnknownMember):
        bank.routes.to_member("nobody")
