"""Keeps a campaign's rounds, and decides whether one may be tried again.

A round, the checkpoint after it and its audit leaf are one transaction. Below the quorum the
campaign pauses; the same round is then asked for with the same model, bit for bit, so that a node
that was charged for it answers with the same bytes and is not charged again.
"""

from collections.abc import Collection, Mapping
from typing import Protocol

import structlog
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from coordinator.federation.office import CampaignBelowQuorum, Office, listed
from coordinator.storage import campaigns as rows
from models.encoder import Encoder
from models.optimiser import ServerOptimiser
from models.plan import CampaignPlan
from models.weights import Weights

log = structlog.get_logger(__name__)

# A node that refuses for one of these will refuse again.
LASTING = frozenset(
    {
        "budget_exhausted",
        "cohort_too_small",
        "ledger_rolled_back",
        "round_input_changed",
        "round_replayed",
    }
)
# What no honest node of this release sends: its exclusion stands in the log.
OFFENCES = frozenset(
    {
        "evaluation_proof_invalid",
        "ledger_rolled_back",
        "ledger_statement_invalid",
        "malformed",
        "mask_answer_wrong",
        "mask_mismatch",
        "mask_share_invalid",
        "masking_malformed",
        "parts_refused",
        "round_input_changed",
        "signature_invalid",
        "tensor_refused",
        "update_implausible",
    }
)
AWAY = "no_answer"  # not attached, or too late for the round's deadline
SMOOTHING = 0.3  # weight of the newest noisy loss


def restore(
    office: Office, plan: CampaignPlan, encoder: Encoder, start: Weights | None
) -> ServerOptimiser:
    """The optimiser after the last checkpoint, or a new one from `start`."""
    with office.database.read() as connection:
        checkpoint = rows.load_checkpoint(connection, plan.campaign_id)
    if checkpoint is None:
        return ServerOptimiser(plan, encoder, start)
    log.info("campaign.resumed", campaign=plan.campaign_id, after_round=checkpoint[0])
    return ServerOptimiser.restore(plan, encoder, load_tensors(checkpoint[1]))


class Roll(Protocol):
    """Who takes part in a campaign, whatever grid it runs on."""

    @property
    def members(self) -> frozenset[str]:
        """The members that take part, attached or not."""
        ...

    def drop(self, member_id: str) -> None:
        """The member takes no further part."""


class RoundJournal:
    """The journal of one campaign's ServerApp.

    Args:
        office: what campaigns are run with.
        plan: the campaign's plan.
        optimiser: whose state is checkpointed.
        grid: the campaign's members; those that cannot go on are dropped from it.
    """

    def __init__(
        self, office: Office, plan: CampaignPlan, optimiser: ServerOptimiser, grid: Roll
    ) -> None:
        self._office = office
        self._plan = plan
        self._optimiser = optimiser
        self._grid = grid
        self._failed_attempts = 0
        self._refusals: dict[str, str] = {}
        self._accepted = set(grid.members)
        with office.database.read() as connection:
            done = rows.rounds(connection, plan.campaign_id)
        self.loss = done[-1].loss if done else None

    def before_round(self) -> None:
        """Wait while an operator holds the campaign; turn out members that were suspended.

        Raises:
            CampaignTransitionInvalid: it was ended meanwhile.
            StreamsClosed: the process stops.
        """
        self._office.wait_while_held(self._plan.campaign_id)
        self._office.streams.keep_only(self._office.active_members())

    def refused(self, refusals: Mapping[int, str]) -> None:
        """Note whose replies did not count, and drop who will refuse again."""
        members = {node: member_id for member_id, node in self._office.numbers().items()}
        self._refusals = {members.get(node, str(node)): code for node, code in refusals.items()}
        for member_id, code in self._refusals.items():
            log.warning("campaign.refused", member=member_id, code=code)
            if code in OFFENCES:
                self._office.excluded(
                    self._plan.campaign_id, self._optimiser.round + 1, member_id, code
                )
            if code in LASTING:
                self._grid.drop(member_id)

    def round_done(
        self, number: int, *, loss: float, epsilon: float, counted: Collection[int], seconds: float
    ) -> None:
        """Keep the round and the checkpoint after it, in one transaction.

        Raises:
            CampaignTransitionInvalid: the campaign was ended meanwhile; nothing is kept.
        """
        self._failed_attempts = 0
        previous = loss if self.loss is None else self.loss
        self.loss = previous + SMOOTHING * (loss - previous)
        row = rows.RoundRow(
            round=number,
            loss=self.loss,
            epsilon=epsilon,
            seconds=seconds,
            participants=len(counted),
            at_ms=self._office.now_ms(),
        )
        state = save_tensors(self._optimiser.state())
        by_node = {node: member_id for member_id, node in self._office.numbers().items()}
        there = {by_node[node] for node in counted}
        with self._office.database.write() as connection:
            self._office.campaigns.finish_round(
                connection, self._plan.campaign_id, row, state,
                counted=there, failures=self._failures(there),
            )  # fmt: skip

    def missing(self) -> str:
        """Every member of the plan that was not in all rounds, and why; empty: nobody."""
        with self._office.database.read() as connection:
            done = rows.count_rounds(connection, self._plan.campaign_id)
            parts = {one.member_id: one for one in rows.parts(connection, self._plan.campaign_id)}
            answers = rows.members(connection, self._plan.campaign_id)
        refused = {one.member_id: one.refusal for one in answers if one.refusal}
        said = []
        for member_id in self._plan.members:
            part = parts.get(member_id)
            if member_id in refused:
                said.append(f"{member_id} took no part: {refused[member_id]}")
            elif part is None or part.rounds < done:
                code = part.last_failure if part is not None else AWAY
                there = part.rounds if part is not None else 0
                said.append(f"{member_id} was in {there} of {done} rounds: {code}")
        return "; ".join(said)

    def contributors(self) -> tuple[str, ...]:
        """The members that counted in a round, sorted."""
        with self._office.database.read() as connection:
            parts = rows.parts(connection, self._plan.campaign_id)
        return tuple(one.member_id for one in parts if one.rounds)

    def _failures(self, there: Collection[str]) -> dict[str, str]:
        due = self._accepted - set(there)
        return {member_id: self._refusals.get(member_id, AWAY) for member_id in due}

    def round_lost(self, number: int) -> None:
        """Keep that a round took no step.

        Raises:
            CampaignBelowQuorum: too many did in a row.
        """
        campaign_id, at_ms = self._plan.campaign_id, self._office.now_ms()
        state = save_tensors(self._optimiser.state())
        log.warning("campaign.round_lost", campaign=campaign_id, round=number)
        with self._office.database.write() as connection:
            self._office.campaigns.skip_round(connection, campaign_id, number, state, at_ms)
        self._failed_attempts += 1
        if self._failed_attempts >= self._office.patience.attempts:
            what = f"round {number}: {listed(self._refusals)}"
            raise CampaignBelowQuorum(f"{self._failed_attempts} rounds were lost; {what}")

    def below_quorum(self, number: int) -> None:
        """Pause until a quorum is there again.

        Raises:
            CampaignBelowQuorum: it does not come back, or the round failed too often.
        """
        patience, quorum = self._office.patience, self._plan.quorum
        campaign_id, what = self._plan.campaign_id, f"round {number}: {listed(self._refusals)}"
        self._failed_attempts += 1
        if len(self._grid.members) < quorum:
            raise CampaignBelowQuorum(f"too few members can go on; {what}")
        if self._failed_attempts >= patience.attempts:
            raise CampaignBelowQuorum(f"{self._failed_attempts} attempts failed; {what}")
        self._office.wait_while_held(campaign_id)
        self._office.move(campaign_id, "pause", f"below quorum, {what}")
        if not self._office.streams.wait_for(self._grid.members, quorum, patience.pause):
            raise CampaignBelowQuorum(f"the quorum did not come back; {what}")
        if self._office.wait_while_held(campaign_id) == "paused":
            self._office.move(campaign_id, "resume")
