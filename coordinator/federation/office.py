"""What every campaign of a coordinator is run with, and how long it waits."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import structlog

from audit.database import Database
from audit.witness_state import Gate, Operation
from coordinator.campaigns import (
    FINAL,
    Campaigns,
    CampaignTransitionInvalid,
    Event,
    State,
    UnknownCampaign,
)
from coordinator.federation.ledgers import MemberLedgers
from coordinator.federation.streams import Streams
from coordinator.releases import Releases
from coordinator.storage import campaigns as rows
from coordinator.watch.results import Watches
from models.catalogue import Catalogue
from models.plan import require_time
from protocols.directory import Directory
from protocols.errors import Unavailable
from protocols.keys import SigningKey

log = structlog.get_logger(__name__)

HELD_POLL_S = 0.2


class CampaignBelowQuorum(Unavailable):
    """Fewer members than the quorum accepted, stayed, or answered usably."""

    code = "campaign_below_quorum"
    next_step = "See the detail of the campaign; bring the missing members back and propose anew."


@dataclass(frozen=True)
class Patience:
    """How long a campaign waits, seconds.

    Attributes:
        answers: for members to answer the plan.
        grace: for the last ones once a quorum is there, and within a round for a member whose
            stream broke.
        pause: paused, for a quorum to be there again.
        attempts: tries of one round, each with its deadline.
        bundle: for members to fetch the bundle.
    """

    answers: float = 60.0
    grace: float = 5.0
    pause: float = 120.0
    attempts: int = 3
    bundle: float = 10.0


@dataclass(frozen=True)
class Office:
    """What every campaign of a coordinator is run with.

    Attributes:
        database: the coordinator's.
        campaigns: moves and records them.
        releases: which part a new bundle plays.
        auto_promote: whether it becomes champion at once.
        watches: keeps what watches find.
        streams: the live training streams.
        key: the network's directory key.
        catalogue: the catalogue in force.
        active_members: ids of the members that may act now.
        directory: the member directory in force.
        ledgers: what members state of their privacy ledgers.
        numbers: Flower node id by member id, of all members.
        patience: how long to wait.
        now_ms: the clock, UTC milliseconds.
        gate: whether the coordinator's own log stands well enough to go on.
    """

    database: Database
    campaigns: Campaigns
    releases: Releases
    auto_promote: bool
    watches: Watches
    streams: Streams
    key: SigningKey
    catalogue: Callable[[], Catalogue]
    active_members: Callable[[], Collection[str]]
    directory: Callable[[], Directory]
    ledgers: MemberLedgers
    numbers: Callable[[], Mapping[str, int]]
    patience: Patience
    now_ms: Callable[[], int]
    gate: Gate

    def move(self, campaign_id: str, event: Event, detail: str = "") -> None:
        """Move a campaign, in a transaction of its own.

        Raises:
            CampaignTransitionInvalid: not in the table.
        """
        with self.database.write() as connection:
            state = self.campaigns.move(
                connection, campaign_id, event, self.now_ms(), detail=detail
            )
        log.info("campaign.moved", campaign=campaign_id, state=state, detail=detail)

    def state(self, campaign_id: str) -> State:
        """The campaign's state as stored now; a command may have changed it."""
        with self.database.read() as connection:
            row = rows.find(connection, campaign_id)
        if row is None:
            raise UnknownCampaign(f"no campaign {campaign_id}")
        return row.state  # type: ignore[return-value] # a state we stored

    def wait_while_held(self, campaign_id: str) -> State:
        """Return when no operator holds the campaign and its acts can be witnessed; its state then.

        A campaign waits here before its plan is offered, between rounds and before its bundle is
        published.

        Raises:
            CampaignTransitionInvalid: it was ended meanwhile.
            CampaignExpired: its deadline has passed, held or not.
            StreamsClosed: the process stops.
        """
        told = True
        while True:
            with self.database.read() as connection:
                row = rows.find(connection, campaign_id)
            if row is None or row.state in FINAL:
                raise CampaignTransitionInvalid(f"campaign {campaign_id} was ended")
            require_time(row.deadline_at_ms, self.now_ms())
            witnessed = self.gate.allows(Operation.TRAINING)
            if row.held_at_ms is None and witnessed:
                return row.state  # type: ignore[return-value]
            if told and not witnessed:
                log.warning("campaign.waits_for_witnesses", campaign=campaign_id)
            told = witnessed
            self.streams.idle(HELD_POLL_S)

    def excluded(self, campaign_id: str, number: int, member_id: str, code: str) -> None:
        """Write into the log that a member was left out, of a round or (0) of the masks."""
        log.warning("campaign.excluded", member=member_id, round=number, code=code)
        with self.database.write() as connection:
            self.campaigns.excluded(connection, campaign_id, number, member_id, code, self.now_ms())


def listed(codes: Mapping[str, str]) -> str:
    """`bank-a budget_exhausted, ...`, for the reader of a campaign's detail."""
    return ", ".join(f"{key} {codes[key]}" for key in sorted(codes)) or "no answer"
