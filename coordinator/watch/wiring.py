"""Where the parts that watch a model are put together."""

import time

from coordinator.bootstrap import Coordinator
from coordinator.console.reader import make_console
from coordinator.membership import ACTOR
from coordinator.proposals import make_proposals
from coordinator.schedule import KINDS, Scheduler, TemplatePlanner
from coordinator.watch.alerts import Alerts
from coordinator.watch.keeper import Keeper
from coordinator.watch.results import Watches
from coordinator.watch.templates import PlanMaker


def make_scheduler(coordinator: Coordinator) -> Scheduler:
    """The schedules of an opened coordinator."""
    proposals = make_proposals(coordinator)
    maker = PlanMaker(proposals)
    planners = {kind: TemplatePlanner(maker.of(kind), proposals.store) for kind in KINDS}
    return Scheduler(coordinator.database, coordinator.audit, ACTOR, planners)


def make_watches(coordinator: Coordinator) -> Watches:
    """What keeps the results of watches."""
    alerts = Alerts(coordinator.audit, ACTOR)
    return Watches(coordinator.keys.directory, alerts, make_scheduler(coordinator))


def make_keeper(coordinator: Coordinator) -> Keeper:
    """What a running coordinator looks at every few seconds."""
    console = make_console(coordinator, now_ms)
    return Keeper(
        database=coordinator.database,
        scheduler=make_scheduler(coordinator),
        alerts=Alerts(coordinator.audit, ACTOR),
        members=console.members,
        privacy=console.privacy,
    )


def now_ms() -> int:
    """The clock, UTC milliseconds."""
    return int(time.time() * 1000)
