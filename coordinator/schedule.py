"""What is proposed without anybody asking: retraining, and watches of the model in force.

A schedule is due at a time that stands in the database and moves only in one transaction with what
it brought about: the proposed campaign (then to the next time of its interval that lies ahead), or
the end of a campaign that completed nothing (then to a retry). So a coordinator that was down when
it was due proposes one campaign when it is back, not none and not one for every time it missed, and
one that is killed at any moment neither loses a campaign nor proposes it twice.

A schedule that is due waits
  1. while any campaign is under way, for there is one at a time;
  2. until `gap_ms` have passed since the last campaign of its kind, whoever proposed that.
A campaign that completed nothing (below its quorum, because budgets are spent or members away) puts
off the next: by the gap, then twice that, four times, ... and at most by `LONGEST_WAIT` intervals.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import structlog

from audit.database import Connection, Database
from audit.leaf import Entry
from coordinator.campaigns import FINAL, UNFINISHED
from coordinator.storage import campaigns as campaign_rows
from coordinator.storage import schedules as rows
from coordinator.storage.schedules import ScheduleRow
from models.plan import CampaignPlan
from protocols.errors import CredenceError, InvalidInput, NotFound

log = structlog.get_logger(__name__)

TRAINING: Final = "training"
WATCH: Final = "watch"
KINDS: Final = (TRAINING, WATCH)
DAY_MS: Final = 86_400_000
LEAST_MS: Final = 3_600_000
MOST_MS: Final = 5 * 366 * DAY_MS
LONGEST_WAIT: Final = 4
MAX_TEMPLATE: Final = 4096


class NoSchedule(NotFound):
    """There is no schedule of that kind."""

    code = "no_schedule"
    next_step = "Set one with `credence coordinator schedule set`."


class Planner(Protocol):
    """Makes and stores the campaigns of one kind."""

    def plan(self, template: Mapping[str, Any], now_ms: int) -> CampaignPlan:
        """A plan from a template; nothing is stored.

        Raises:
            CredenceError: the template asks for what cannot be.
        """

    def store(self, connection: Connection, plan: CampaignPlan, at_ms: int) -> None:
        """Sign and store it, in the caller's transaction."""


class Log(Protocol):
    """The part of the audit log that is used here."""

    def append(self, connection: Connection, entry: Entry) -> Any:
        """Append an entry in the caller's transaction."""


@dataclass(frozen=True)
class Scheduler:
    """Keeps and follows the schedules. Every method may be called from any process.

    Attributes:
        database: the coordinator's.
        audit: its log.
        actor: who acts in the log.
        planners: by kind.
    """

    database: Database
    audit: Log
    actor: str
    planners: Mapping[str, Planner]

    def find(self, kind: str) -> ScheduleRow | None:
        """The schedule of a kind, or None."""
        with self.database.read() as connection:
            return rows.find(connection, kind)

    def set(
        self,
        kind: str,
        *,
        interval_ms: int,
        gap_ms: int,
        template: Mapping[str, Any],
        now_ms: int,
        first_at_ms: int | None = None,
        on_drift: bool = False,
    ) -> ScheduleRow:
        """Set a schedule, in place of the one there is; failures before are forgotten.

        Args:
            kind: one of `KINDS`.
            interval_ms: from one due time to the next.
            gap_ms: least time between two campaigns of the kind.
            template: what its plans are made from.
            now_ms: UTC milliseconds.
            first_at_ms: when it is due first; None: an interval from now.
            on_drift: whether an alert of drift makes it due at once.

        Raises:
            InvalidInput: a value is out of range, or no plan can be made from the template now.
        """
        if not LEAST_MS <= gap_ms <= interval_ms <= MOST_MS:
            raise InvalidInput(
                "the interval is an hour to five years, and the least time between two "
                "campaigns is an hour to the interval"
            )
        text = json.dumps(dict(template), sort_keys=True)
        if len(text) > MAX_TEMPLATE:
            raise InvalidInput(f"a template has at most {MAX_TEMPLATE} characters")
        self._planner(kind).plan(template, now_ms)
        due = now_ms + interval_ms if first_at_ms is None else first_at_ms
        row = ScheduleRow(kind, interval_ms, gap_ms, text, on_drift, due)
        with self.database.write() as connection:
            rows.put(connection, row)
            facts = {"kind": kind, "interval_ms": interval_ms, "gap_ms": gap_ms, "due_at_ms": due,
                     "on_drift": on_drift, "template": dict(template)}  # fmt: skip
            self._leaf(connection, "schedule.set", "", facts, now_ms)
        return row

    def off(self, kind: str, now_ms: int) -> None:
        """Take a schedule away.

        Raises:
            NoSchedule: there is none of that kind.
        """
        with self.database.write() as connection:
            if not rows.remove(connection, kind):
                raise NoSchedule(f"there is no schedule of the kind {kind}")
            self._leaf(connection, "schedule.off", "", {"kind": kind}, now_ms)

    def tick(self, now_ms: int) -> list[str]:
        """Do what is due; ids of the campaigns that were proposed."""
        proposed = []
        for kind in self.planners:
            self._settle(kind, now_ms)
            campaign_id = self._propose(kind, now_ms)
            if campaign_id is not None:
                log.info("schedule.proposed", kind=kind, campaign=campaign_id)
                proposed.append(campaign_id)
        return proposed

    def bring_forward(self, connection: Connection, kind: str, why: str, now_ms: int) -> bool:
        """Make a schedule that listens to drift due now, in the caller's transaction.

        Returns:
            Whether it was brought forward: not when there is none, when it does not listen, when
            its last campaign is not settled or failed (it backs off), or when it is due earlier.
        """
        row = rows.find(connection, kind)
        if row is None or not row.on_drift or not row.settled or row.failures:
            return False
        due = max(now_ms, _free_at(connection, row))
        if due >= row.due_at_ms:
            return False
        rows.put(connection, replace(row, due_at_ms=due))
        facts = {"kind": kind, "due_at_ms": due, "why": why}
        self._leaf(connection, "schedule.brought_forward", "", facts, now_ms)
        return True

    def _settle(self, kind: str, now_ms: int) -> None:
        """Take the end of the campaign that was proposed last into account, once."""
        with self.database.read() as connection:
            row = rows.find(connection, kind)
            if row is None or row.settled or _ended(connection, row) is None:
                return
        with self.database.write() as connection:
            row = rows.find(connection, kind)
            if row is None or row.settled:
                return
            ended = _ended(connection, row)
            if ended is None:
                return
            if ended.state == "completed":
                rows.put(connection, replace(row, settled=True, failures=0, detail=""))
                return
            self._put_off(connection, row, f"{ended.state}: {ended.detail}", now_ms)

    def _propose(self, kind: str, now_ms: int) -> str | None:
        with self.database.read() as connection:
            row = rows.find(connection, kind)
            if row is None or not _may_begin(connection, row, now_ms):
                return None
        planner = self._planner(kind)
        try:
            # Outside the transaction: finding the noise takes a while.
            plan = planner.plan(json.loads(row.template), now_ms)
        except CredenceError as error:
            with self.database.write() as connection:
                if rows.find(connection, kind) == row:
                    self._put_off(connection, row, f"{error.code}: {error.message}", now_ms)
            return None
        with self.database.write() as connection:
            # As it was looked at: not changed, followed by another process, or blocked meanwhile.
            if rows.find(connection, kind) != row or not _may_begin(connection, row, now_ms):
                return None
            planner.store(connection, plan, now_ms)
            following = _following(row, now_ms)
            rows.put(
                connection,
                replace(row, due_at_ms=following, campaign_id=plan.campaign_id, settled=False),
            )
            facts = {"kind": kind, "was_due_at_ms": row.due_at_ms, "due_at_ms": following}
            self._leaf(connection, "schedule.proposed", plan.campaign_id, facts, now_ms)
        return plan.campaign_id

    def _put_off(self, connection: Connection, row: ScheduleRow, detail: str, now_ms: int) -> None:
        failures = row.failures + 1
        wait = min(row.gap_ms << min(failures - 1, 20), LONGEST_WAIT * row.interval_ms)
        due, detail = now_ms + wait, detail[:400]
        rows.put(
            connection,
            replace(row, due_at_ms=due, settled=True, failures=failures, detail=detail),
        )
        log.warning("schedule.put_off", kind=row.kind, failures=failures, due_at_ms=due)
        facts = {"kind": row.kind, "failures": failures, "due_at_ms": due, "detail": detail}
        self._leaf(connection, "schedule.put_off", row.campaign_id, facts, now_ms)

    def _planner(self, kind: str) -> Planner:
        try:
            return self.planners[kind]
        except KeyError:
            raise InvalidInput(f"a schedule is of the kind {' or '.join(self.planners)}") from None

    def _leaf(
        self, connection: Connection, kind: str, campaign_id: str, facts: Mapping[str, Any],
        at_ms: int,
    ) -> None:  # fmt: skip
        entry = Entry(
            kind=kind,
            actor=self.actor,
            purpose="",
            correlation=campaign_id,
            payload=dict(facts),
            subject=None,
            at_ms=at_ms,
        )
        self.audit.append(connection, entry)


@dataclass(frozen=True)
class TemplatePlanner:
    """Plans from templates by two functions.

    Attributes:
        make: a plan from the template's options.
        keep: signs and stores it.
    """

    make: Callable[[Mapping[str, Any], int], CampaignPlan]
    keep: Callable[[Connection, CampaignPlan, int], None]

    def plan(self, template: Mapping[str, Any], now_ms: int) -> CampaignPlan:
        """A plan from a template; see `Planner`."""
        return self.make(template, now_ms)

    def store(self, connection: Connection, plan: CampaignPlan, at_ms: int) -> None:
        """Sign and store it; see `Planner`."""
        self.keep(connection, plan, at_ms)


def _ended(connection: Connection, row: ScheduleRow) -> campaign_rows.CampaignRow | None:
    found = campaign_rows.find(connection, row.campaign_id)
    return found if found is not None and found.state in FINAL else None


def _may_begin(connection: Connection, row: ScheduleRow, now_ms: int) -> bool:
    # An end that is not taken into account yet may put it off.
    if not row.settled or now_ms < row.due_at_ms:
        return False
    # 1. One campaign at a time; 2. the gap.
    if campaign_rows.in_states(connection, UNFINISHED):
        return False
    return now_ms >= _free_at(connection, row)


def _free_at(connection: Connection, row: ScheduleRow) -> int:
    """When the gap since the last campaign of the kind is over."""
    last = campaign_rows.newest_of(connection, row.kind)
    return 0 if last is None else last.created_at_ms + row.gap_ms


def _following(row: ScheduleRow, now_ms: int) -> int:
    """The first time of the interval that lies ahead."""
    passed = max(0, now_ms - row.due_at_ms) // row.interval_ms
    return row.due_at_ms + (passed + 1) * row.interval_ms
