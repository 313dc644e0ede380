"""Everything the console shows, read from the coordinator's tables; it writes nothing."""

import hashlib
from collections.abc import Callable
from typing import Final

from audit.database import Connection, Database
from coordinator.bootstrap import Coordinator
from coordinator.console.alerts import alerts
from coordinator.console.cards import model_line
from coordinator.console.epsilons import Epsilons
from coordinator.console.traffic import TrafficReader
from coordinator.console.views import (
    DAY_MS,
    SILENT_MS,
    Alert,
    CampaignLine,
    CampaignPage,
    CeremonyLine,
    MemberLine,
    ModelLine,
    Privacy,
    Traffic,
)
from coordinator.console.watching import WatchPage, watch_page, with_standing
from coordinator.membership import Membership, MemberView
from coordinator.model_overview import overview
from coordinator.releases import Releases
from coordinator.storage import campaigns as campaign_rows
from coordinator.storage import console_reads
from coordinator.storage.campaigns import CampaignRow
from coordinator.storage.ceremonies import CeremonyRow
from models.plan import CampaignPlan
from protocols.errors import CredenceError, NotFound

MOST: Final = 100
SECTIONS: Final = ("alerts", "members", "campaigns", "models", "watch", "relay", "ceremonies")


class CampaignNotShown(NotFound):
    """No campaign by that id."""

    code = "campaign_not_shown"


class ModelNotShown(NotFound):
    """No published model version by that name."""

    code = "model_not_shown"


class Console:
    """The read-side.

    Args:
        database: the coordinator's.
        membership: members and the directory.
        releases: which version plays which part.
        traffic: what the relay carried.
        clock: UTC milliseconds.
    """

    def __init__(
        self,
        database: Database,
        membership: Membership,
        releases: Releases,
        traffic: TrafficReader,
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._membership = membership
        self._releases = releases
        self._traffic = traffic
        self._epsilons = Epsilons()
        self.clock = clock

    def members(self) -> tuple[MemberLine, ...]:
        """All members, in the order they joined."""
        now_ms = self.clock()
        return tuple(_member(one, now_ms) for one in self._membership.overview(now_ms))

    def campaigns(self) -> tuple[CampaignLine, ...]:
        """The newest campaigns first, at most `MOST`."""
        with self._database.read() as connection:
            done = console_reads.rounds_done(connection)
            rows = console_reads.campaigns(connection, MOST)
        lines = (_campaign(row, done.get(row.campaign_id, 0)) for row in rows)
        return tuple(line for line in lines if line is not None)

    def campaign(self, campaign_id: str) -> CampaignPage:
        """One campaign.

        Raises:
            CampaignNotShown: there is none by that id.
        """
        with self._database.read() as connection:
            row = campaign_rows.find(connection, campaign_id)
            page = None if row is None else _page(connection, row)
        if page is None:
            raise CampaignNotShown("no campaign by that id")
        return page

    def models(self) -> tuple[ModelLine, ...]:
        """The newest published versions first, at most `MOST`."""
        found = overview(self._database, self._releases)
        with self._database.read() as connection:
            heads = console_reads.bundle_heads(connection, MOST)
        return tuple(model_line(head, found.find(head.version)) for head in heads)

    def model(self, version: str) -> ModelLine:
        """One published version.

        Raises:
            ModelNotShown: there is none by that name.
        """
        for one in self.models():
            if one.version == version:
                return one
        raise ModelNotShown("no published version by that name")

    def privacy(self) -> Privacy | None:
        """Epsilon of every node that accepted a plan; None before the first."""
        lines = self.campaigns()
        with self._database.read() as connection:
            accepted = {
                line.campaign_id: [
                    row.member_id
                    for row in campaign_rows.members(connection, line.campaign_id)
                    if not row.refusal
                ]
                for line in lines
            }
            reported = None
            for line in lines:
                after = max(0, line.rounds_done - 1)
                last = campaign_rows.rounds(connection, line.campaign_id, after=after)
                if last:
                    reported = max(reported or 0.0, last[-1].epsilon)
        return self._epsilons.privacy(lines, accepted, reported)

    def ceremonies(self) -> tuple[CeremonyLine, ...]:
        """The newest key ceremonies first."""
        with self._database.read() as connection:
            return tuple(
                _ceremony(row, console_reads.entries_posted(connection, row.ceremony_id))
                for row in console_reads.ceremonies(connection, MOST)
            )

    def traffic(self) -> Traffic:
        """What the relay carried in the last 24 hours."""
        return self._traffic.traffic(self.clock())

    def alerts(self) -> tuple[Alert, ...]:
        """What an operator should look at, the worst first."""
        seen = alerts(self.members(), self.campaigns(), self.ceremonies(), self.clock())
        return with_standing(seen, self.watch().alerts)

    def watch(self) -> WatchPage:
        """What watches found, the alerts that stand, and what is scheduled."""
        with self._database.read() as connection:
            return watch_page(connection)

    def fingerprints(self) -> dict[str, str]:
        """A hash of each of `SECTIONS` as it stands, to tell what has changed."""
        members, campaigns = self.members(), self.campaigns()
        models, ceremonies, watch = self.models(), self.ceremonies(), self.watch()
        shown = {
            "alerts": with_standing(
                alerts(members, campaigns, ceremonies, self.clock()), watch.alerts
            ),
            "members": members,
            "campaigns": campaigns,
            "models": models,
            "watch": watch,
            "relay": self.traffic(),
            "ceremonies": ceremonies,
        }
        return {
            name: hashlib.sha256(repr(shown[name]).encode()).hexdigest()[:16] for name in SECTIONS
        }


def make_console(coordinator: Coordinator, clock: Callable[[], int]) -> Console:
    """The console of an opened coordinator."""
    return Console(
        coordinator.database,
        coordinator.membership,
        coordinator.releases,
        TrafficReader(coordinator.database, coordinator.audit),
        clock,
    )


def _member(one: MemberView, now_ms: int) -> MemberLine:
    seen, licence = one.last_seen_at_ms, one.licence_until_ms
    return MemberLine(
        facts=one,
        online=seen is not None and now_ms - seen < SILENT_MS,
        certificate_days=(one.certificate_until_ms - now_ms) // DAY_MS,
        licence_days=None if licence is None else (licence - now_ms) // DAY_MS,
    )


def _campaign(row: CampaignRow, done: int) -> CampaignLine | None:
    try:
        plan = CampaignPlan.from_body(row.plan)
    except CredenceError:
        return None  # of another release: one old row must not take the whole page away
    return CampaignLine(
        plan=plan,
        state=row.state,
        detail=row.detail,
        rounds_done=done,
        bundle_version=row.bundle_version,
        created_at_ms=row.created_at_ms,
        finished_at_ms=row.finished_at_ms,
    )


def _page(connection: Connection, row: CampaignRow) -> CampaignPage | None:
    rounds = tuple(campaign_rows.rounds(connection, row.campaign_id))
    answers = tuple(campaign_rows.members(connection, row.campaign_id))
    line = _campaign(row, len(rounds))
    return None if line is None else CampaignPage(line, rounds, answers)


def _ceremony(row: CeremonyRow, posted: dict[str, int]) -> CeremonyLine:
    return CeremonyLine(
        ceremony_id=row.ceremony_id,
        epoch=row.epoch,
        state=row.state,
        detail=row.detail,
        posted=posted,
        deadline_ms=row.deadline_ms,
        created_at_ms=row.created_at_ms,
        finished_at_ms=row.finished_at_ms,
    )
