"""The life of a training campaign, as a table, and the only way a campaign changes state.

What is not in the table is an error. Every change is one transaction with its audit leaf, so the
log tells the same life. `completed` is reached only with a bundle published in that transaction, or
by a watch, which trains nobody, with what it found.

    proposed   an operator wants it; nodes have not answered
    accepted   a quorum of nodes accepted the signed plan
    running    rounds are made, each checkpointed
    paused     fewer nodes than the quorum are there, or an operator holds it; it waits
    completed  a signed bundle is published, or what a watch found is kept; its detail names every
               member that was missing
    failed     it could not go on: below quorum for too long, budgets spent, an error, or its own
               deadline passed (`expire`), held or not: then nothing but its end is written any more
    aborted    it was not accepted, or an operator ended it; nothing is published

A hold is the operator's own: it may be laid on any unfinished campaign, takes effect between two
rounds, survives a restart, and only an operator lifts it.
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, Literal, Protocol

from audit.database import Connection
from audit.leaf import Entry
from coordinator.storage import bundles as bundle_rows
from coordinator.storage import campaigns as rows
from models.plan import require_time
from protocols.documents import Document
from protocols.errors import NotFound, StateConflict

State = Literal["proposed", "accepted", "running", "paused", "completed", "failed", "aborted"]
Event = Literal["accept", "start", "pause", "resume", "complete", "fail", "expire", "abort"]

TRANSITIONS: Mapping[tuple[State, Event], State] = MappingProxyType(
    {
        ("proposed", "accept"): "accepted",
        ("proposed", "fail"): "failed",
        ("proposed", "expire"): "failed",
        ("proposed", "abort"): "aborted",
        ("accepted", "start"): "running",
        ("accepted", "fail"): "failed",
        ("accepted", "expire"): "failed",
        ("accepted", "abort"): "aborted",
        ("running", "pause"): "paused",
        ("running", "complete"): "completed",
        ("running", "fail"): "failed",
        ("running", "expire"): "failed",
        ("running", "abort"): "aborted",
        ("paused", "pause"): "paused",  # by an operator while it waits, or the reverse
        ("paused", "resume"): "running",
        ("paused", "fail"): "failed",
        ("paused", "expire"): "failed",
        ("paused", "abort"): "aborted",
    }
)
UNFINISHED: frozenset[State] = frozenset({"proposed", "accepted", "running", "paused"})
FINAL: frozenset[State] = frozenset({"completed", "failed", "aborted"})
STATES: frozenset[State] = UNFINISHED | FINAL
ENDS: frozenset[Event] = frozenset({"fail", "expire", "abort"})
HELD = "held by the operator"


class CampaignTransitionInvalid(StateConflict):
    """A campaign is not in a state that allows this event."""

    code = "campaign_transition_invalid"
    next_step = "Look at the campaign with `credence coordinator campaign list`."


class CampaignNotHeld(StateConflict):
    """Nobody holds the campaign: a pause for want of members ends by itself."""

    code = "campaign_not_held"
    next_step = (
        "Bring the missing members back, or end it with `credence coordinator campaign abort`."
    )


class UnknownCampaign(NotFound):
    """No campaign by that id."""

    code = "unknown_campaign"


class Log(Protocol):
    """The part of the audit log that is used here."""

    def append(self, connection: Connection, entry: Entry) -> Any:
        """Append an entry in the caller's transaction."""


def advance(state: State, event: Event) -> State:
    """The state that follows.

    Raises:
        CampaignTransitionInvalid: the table has no such row.
    """
    try:
        return TRANSITIONS[(state, event)]
    except KeyError:
        raise CampaignTransitionInvalid(f"a campaign that is {state} cannot {event}") from None


class Campaigns:
    """Campaign rows and their leaves, in the caller's transaction.

    Args:
        audit: the coordinator's log.
        actor: who acts in the log, the coordinator's name.
    """

    def __init__(self, audit: Log, actor: str) -> None:
        self._audit = audit
        self._actor = actor

    def propose(
        self,
        connection: Connection,
        campaign_id: str,
        plan: Document,
        at_ms: int,
        deadline_at_ms: int | None = None,
        kind: str = "training",
    ) -> None:
        """Store a new campaign.

        Raises:
            StateConflict: there is one by that id.
        """
        if rows.find(connection, campaign_id) is not None:
            raise StateConflict(f"there is a campaign {campaign_id} already")
        rows.add(connection, campaign_id, plan, "proposed", at_ms, deadline_at_ms, kind)
        self._log(connection, campaign_id, "campaign.proposed", {}, at_ms)

    def move(
        self,
        connection: Connection,
        campaign_id: str,
        event: Event,
        at_ms: int,
        *,
        detail: str = "",
    ) -> State:
        """Apply one event other than `complete`.

        Raises:
            UnknownCampaign: no such campaign.
            CampaignTransitionInvalid: not in the table.
            CampaignExpired: its deadline has passed, and the event is not one that ends it.
        """
        if event == "complete":
            raise CampaignTransitionInvalid("a campaign completes only with its bundle")
        return self._move(connection, campaign_id, event, at_ms, detail, bundle_version=None)

    def hold(self, connection: Connection, campaign_id: str, at_ms: int) -> State:
        """An operator holds the campaign; the round under way is finished and kept.

        Raises:
            UnknownCampaign: no such campaign.
            CampaignTransitionInvalid: it is finished, or held already.
        """
        row = self._found(connection, campaign_id)
        if row.state in FINAL or row.held_at_ms is not None:
            held = "held already" if row.held_at_ms is not None else row.state
            raise CampaignTransitionInvalid(f"a campaign that is {held} cannot be paused")
        rows.set_held(connection, campaign_id, at_ms)
        self._log(connection, campaign_id, "campaign.held", {}, at_ms)
        if row.state not in {"running", "paused"}:
            return row.state  # type: ignore[return-value] # it will not begin while it is held
        return self.move(connection, campaign_id, "pause", at_ms, detail=HELD)

    def release(self, connection: Connection, campaign_id: str, at_ms: int) -> State:
        """An operator lets go of the campaign; it goes on as soon as a quorum is there.

        Raises:
            UnknownCampaign: no such campaign.
            CampaignTransitionInvalid: it is finished.
            CampaignNotHeld: nobody holds it.
        """
        row = self._found(connection, campaign_id)
        if row.state in FINAL:
            raise CampaignTransitionInvalid(f"a campaign that is {row.state} cannot resume")
        if row.held_at_ms is None:
            raise CampaignNotHeld(f"campaign {campaign_id} is {row.state}, and nobody holds it")
        rows.set_held(connection, campaign_id, None)
        self._log(connection, campaign_id, "campaign.released", {}, at_ms)
        if row.state != "paused":
            return row.state  # type: ignore[return-value]
        return self.move(connection, campaign_id, "resume", at_ms)

    def complete(
        self,
        connection: Connection,
        campaign_id: str,
        bundle: bundle_rows.BundleRow,
        at_ms: int,
        *,
        missing: str = "",
    ) -> None:
        """Publish the bundle and complete the campaign, both or neither.

        Args:
            connection: of a write transaction.
            campaign_id: which.
            bundle: what is published.
            at_ms: UTC milliseconds.
            missing: which members were not in all rounds, and why.

        Raises:
            UnknownCampaign: no such campaign.
            CampaignTransitionInvalid: it does not run.
            CampaignExpired: its deadline has passed.
        """
        bundle_rows.add(connection, bundle)
        published = {"version": bundle.version, "key_id": bundle.key_id}
        self._log(connection, campaign_id, "bundle.published", published, at_ms)
        self._move(
            connection, campaign_id, "complete", at_ms, missing, bundle_version=bundle.version
        )

    def conclude(
        self,
        connection: Connection,
        campaign_id: str,
        result_sha256: str,
        at_ms: int,
        *,
        missing: str = "",
    ) -> None:
        """Complete a watch, in the transaction that keeps what it found.

        Args:
            connection: of a write transaction.
            campaign_id: which.
            result_sha256: of the result's signed body, hex.
            at_ms: UTC milliseconds.
            missing: which members were not in it, and why.

        Raises:
            UnknownCampaign: no such campaign.
            CampaignTransitionInvalid: it does not run, or is no watch.
            CampaignExpired: its deadline has passed.
        """
        if self._found(connection, campaign_id).kind != "watch":
            raise CampaignTransitionInvalid("a campaign completes only with its bundle")
        found = {"sha256": result_sha256}
        self._log(connection, campaign_id, "watch.found", found, at_ms)
        self._move(connection, campaign_id, "complete", at_ms, missing, bundle_version=None)

    def answered(
        self, connection: Connection, campaign_id: str, row: rows.MemberRow, at_ms: int
    ) -> None:
        """Note a member's answer to the plan."""
        rows.set_member(connection, campaign_id, row)
        self._log(connection, campaign_id, "campaign.answered", dict(row.__dict__), at_ms)

    def finish_round(
        self,
        connection: Connection,
        campaign_id: str,
        row: rows.RoundRow,
        checkpoint: bytes,
        *,
        counted: Collection[str] = (),
        failures: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Store a completed round and the checkpoint after it.

        Args:
            connection: of a write transaction.
            campaign_id: which.
            row: the round.
            checkpoint: the optimiser's state after it.
            counted: members whose values are in it.
            failures: the code of every member that was due and is not.

        Raises:
            CampaignTransitionInvalid: the campaign does not run (an operator ended it).
            CampaignExpired: its deadline has passed.
        """
        self._refuse_unless_under_way(connection, campaign_id, row.at_ms)
        rows.add_round(connection, campaign_id, row)
        rows.save_checkpoint(connection, campaign_id, row.round, checkpoint)
        rows.count_part(connection, campaign_id, counted, failures)
        facts = {"round": row.round, "participants": row.participants, "missing": dict(failures)}
        self._log(connection, campaign_id, "campaign.round", facts, row.at_ms)

    def excluded(
        self,
        connection: Connection,
        campaign_id: str,
        number: int,
        member_id: str,
        code: str,
        at_ms: int,
    ) -> None:
        """Note that a member was left out of a round, or (0) of the campaign's masks, and why."""
        facts = {"round": number, "member_id": member_id, "code": code}
        self._log(connection, campaign_id, "campaign.excluded", facts, at_ms)

    def skip_round(
        self, connection: Connection, campaign_id: str, number: int, checkpoint: bytes, at_ms: int
    ) -> None:
        """Store that a round is lost: no step was taken, and it is never asked for again.

        Raises:
            CampaignTransitionInvalid: the campaign does not run.
            CampaignExpired: its deadline has passed.
        """
        self._refuse_unless_under_way(connection, campaign_id, at_ms)
        rows.save_checkpoint(connection, campaign_id, number, checkpoint)
        self._log(connection, campaign_id, "campaign.round_lost", {"round": number}, at_ms)

    def _refuse_unless_under_way(
        self, connection: Connection, campaign_id: str, at_ms: int
    ) -> None:
        row = rows.find(connection, campaign_id)
        # Held while a round was under way: that round is kept.
        if row is None or not (
            row.state == "running" or (row.state == "paused" and row.held_at_ms)
        ):
            raise CampaignTransitionInvalid("only a running campaign has rounds")
        require_time(row.deadline_at_ms, at_ms)

    def _found(self, connection: Connection, campaign_id: str) -> rows.CampaignRow:
        row = rows.find(connection, campaign_id)
        if row is None:
            raise UnknownCampaign(f"no campaign {campaign_id}")
        return row

    def _move(
        self,
        connection: Connection,
        campaign_id: str,
        event: Event,
        at_ms: int,
        detail: str,
        *,
        bundle_version: str | None,
    ) -> State:
        row = self._found(connection, campaign_id)
        state = advance(row.state, event)  # type: ignore[arg-type] # a state we stored
        if event not in ENDS:
            require_time(row.deadline_at_ms, at_ms)
        finished = at_ms if state in FINAL else None
        rows.set_state(
            connection,
            campaign_id,
            state,
            detail=detail,
            finished_at_ms=finished,
            bundle_version=bundle_version,
        )
        self._log(connection, campaign_id, f"campaign.{state}", {"detail": detail}, at_ms)
        return state

    def _log(
        self,
        connection: Connection,
        campaign_id: str,
        kind: str,
        facts: Mapping[str, Any],
        at_ms: int,
    ) -> None:
        self._audit.append(
            connection,
            Entry(
                kind=kind,
                actor=self._actor,
                purpose="",
                correlation=campaign_id,
                payload=dict(facts),
                subject=None,
                at_ms=at_ms,
            ),
        )
