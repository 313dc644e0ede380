"""The coordinator's own log before its witnesses, and what waits for it."""

from pathlib import Path

import pytest

from audit import witness_store as store
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.incidents import every
from audit.witness_state import LogQuarantined
from coordinator.bootstrap import Coordinator, open_coordinator
from coordinator.expert import publish_expert
from coordinator.federation.office import Patience
from coordinator.federation.runner import make_office
from coordinator.federation.streams import Streams, StreamsClosed
from coordinator.proposals import make_proposals
from coordinator.watch.wiring import make_scheduler
from models.catalogue import load_default
from protocols.documents import sign_document
from protocols.errors import InvalidInput
from tests.coordinator.applicants import NOW


def quarantine(coordinator: Coordinator) -> None:
    """Let a member show a head that is ahead of the log."""
    keeper = coordinator.witnessing.keeper
    keeper.open()
    ahead = Checkpoint(keeper.origin, coordinator.audit.head().size + 9, bytes(32))
    assert not keeper.hear("bank-a", [sign_checkpoint(ahead, coordinator.keys.directory)])


def wait(coordinator: Coordinator) -> str:
    """The state in which the campaign of these tests may go on; raises if it has to wait."""
    streams = Streams()
    streams.close()
    return make_office(coordinator, streams, Patience()).wait_while_held("camp-1")


def test_no_campaign_begins_and_no_model_is_published_while_the_log_is_in_quarantine(
    coordinator: Coordinator, home: Path
) -> None:
    """Proposals and the expert version are refused; a campaign under way waits, and goes on."""
    proposals = make_proposals(coordinator)
    plan = sign_document("plan", b"{}", coordinator.keys.directory)
    with coordinator.database.write() as connection:
        proposals.campaigns.propose(connection, "camp-1", plan, NOW)
    assert wait(coordinator) == "proposed"
    quarantine(coordinator)
    stopped = open_coordinator(home)
    for act in (
        lambda: make_proposals(stopped).propose([], NOW),
        lambda: make_scheduler(stopped).planners["watch"].plan({}, NOW),
        lambda: publish_expert(stopped, load_default(), NOW),
    ):
        with pytest.raises(LogQuarantined):
            act()
    with pytest.raises(StreamsClosed):
        wait(stopped)
    with stopped.database.read() as connection:
        assert [one.kind for one in every(connection)] == ["quarantine"]
    stopped.witnessing.keeper.open()
    stopped.witnessing.keeper.confirm("a test")
    stopped.close()

    again = open_coordinator(home)
    assert wait(again) == "proposed"
    with pytest.raises(InvalidInput, match="no bank"):
        make_proposals(again).propose([], NOW)
    assert publish_expert(again, load_default(), NOW)
    with again.database.read() as connection:
        assert store.epoch(connection).epoch == 2
    again.close()
