"""What the coordinator looks at every few seconds: schedules, and the rules about the network."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import structlog

from audit.database import Database
from coordinator.console.views import MemberLine, Privacy
from coordinator.schedule import KINDS, Scheduler
from coordinator.storage import campaigns as campaign_rows
from coordinator.storage import schedules
from coordinator.watch.alerts import Alerts, Condition
from coordinator.watch.rules import (
    BUDGET_CODE,
    OF_NETWORK,
    Spending,
    of_schedules,
    of_silence,
    of_spending,
)

log = structlog.get_logger(__name__)

RULES_EVERY_MS = 30_000


@dataclass
class Keeper:
    """Follows schedules and settles the alerts about the network. For one thread at a time.

    Attributes:
        database: the coordinator's.
        scheduler: what is due.
        alerts: what is raised.
        members: all members as they stand.
        privacy: what members can have spent; None: nobody has taken part.
    """

    database: Database
    scheduler: Scheduler
    alerts: Alerts
    members: Callable[[], tuple[MemberLine, ...]]
    privacy: Callable[[], Privacy | None]
    _looked_at_ms: int = field(default=-RULES_EVERY_MS, init=False)

    def tick(self, now_ms: int) -> None:
        """Do what is due.

        Raises:
            DatabaseUnavailable: it cannot be read or written; nothing was done by halves.
        """
        self.scheduler.tick(now_ms)
        if now_ms - self._looked_at_ms < RULES_EVERY_MS:
            return
        self._looked_at_ms = now_ms
        found = list(self._conditions(now_ms))
        with self.database.write() as connection:
            raised = self.alerts.settle(connection, OF_NETWORK, found, now_ms)
        for one in raised:
            log.warning("alert.raised", rule=one.rule, about=one.about, tone=one.tone)

    def _conditions(self, now_ms: int) -> Iterator[Condition]:
        active = [line.facts for line in self.members() if line.facts.status == "active"]
        yield from of_silence({one.member_id: one.last_seen_at_ms for one in active}, now_ms)
        with self.database.read() as connection:
            rows = [schedules.find(connection, kind) for kind in KINDS]
        yield from of_schedules([row for row in rows if row is not None], now_ms)
        yield from of_spending(self._spending())

    def _spending(self) -> dict[str, Spending]:
        with self.database.read() as connection:
            newest = campaign_rows.newest_of(connection, "training")
            answers = (
                [] if newest is None else campaign_rows.members(connection, newest.campaign_id)
            )
        refused = {one.member_id for one in answers if one.refusal == BUDGET_CODE}
        privacy = self.privacy()
        shares = (
            {}
            if privacy is None
            else {one.member_id: one.promised / privacy.ceiling for one in privacy.nodes}
        )
        return {
            member_id: Spending(shares.get(member_id, 0.0), member_id in refused)
            for member_id in {*shares, *refused}
        }
