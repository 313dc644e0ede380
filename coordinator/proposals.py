"""How an operator asks for a campaign: a signed plan in the campaign table, nothing more.

The running coordinator finds it there. The noise is chosen so that every node's epsilon, with the
rounds kept in reserve for a follow-up, stays under the ceiling.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from audit.database import Connection, Database
from audit.witness_state import Gate, Operation
from coordinator.bootstrap import Coordinator
from coordinator.campaigns import UNFINISHED, Campaigns
from coordinator.membership import ACTOR, Membership
from coordinator.registry import BundleRegistry
from coordinator.storage import campaigns as rows
from models.bundle import Manifest
from models.catalogue import Catalogue
from models.plan import CampaignPlan
from models.proposal import propose
from protocols.directory import Directory
from protocols.documents import sign_document
from protocols.errors import InvalidInput, StateConflict
from protocols.keys import SigningKey

TRAINING_ROLE = "bank"
HOUR_MS = 3_600_000


class CampaignUnfinished(StateConflict):
    """Another campaign is not finished yet."""

    code = "campaign_unfinished"
    next_step = "Wait for it, or end it with `credence coordinator campaign abort`."


@dataclass(frozen=True)
class Proposals:
    """Proposes and ends campaigns.

    Attributes:
        database: the coordinator's.
        campaigns: records them.
        membership: who may train, and the catalogue.
        registry: bundles that a follow-up may start from.
        key: the network's directory key.
        life_ms: from a campaign's proposal to its deadline, unless another is asked for.
        gate: whether the coordinator's own log stands well enough for a campaign.
    """

    database: Database
    campaigns: Campaigns
    membership: Membership
    registry: BundleRegistry
    key: SigningKey
    life_ms: int
    gate: Gate

    def propose(self, members: Sequence[str], at_ms: int, **options: Any) -> CampaignPlan:
        """Propose a campaign.

        Args:
            members: member ids; none: every active bank.
            at_ms: UTC milliseconds.
            options: keyword arguments of `models.proposal.propose`.

        Raises:
            InvalidInput: a value is out of range, or a member cannot train.
            CampaignUnfinished: there is another one under way.
        """
        plan = self.plan(members, at_ms, **options)
        with self.database.write() as connection:
            self.store(connection, plan, at_ms)
        return plan

    def plan(self, members: Sequence[str], at_ms: int, **options: Any) -> CampaignPlan:
        """The plan that `propose` would propose; nothing is stored.

        Raises:
            InvalidInput: a value is out of range, or a member cannot train.
            LogNotTrusted: see `require_log`.
        """
        self.require_log()
        chosen = self.members(members)
        catalogue = Catalogue.from_body(self.membership.document("catalogue").body)
        options.setdefault("deadline_at_ms", at_ms + self.life_ms)
        options.setdefault("previous", self._champion(catalogue))
        return propose(catalogue, _new_id(), chosen, **options)

    def require_log(self) -> None:
        """Let a campaign be proposed.

        Raises:
            LogNotTrusted: the coordinator's log is in quarantine, or unwitnessed for too long.
        """
        self.gate.require(Operation.TRAINING)

    def members(self, members: Sequence[str]) -> tuple[str, ...]:
        """Those that take part: the named ones, or every active bank.

        Raises:
            InvalidInput: there is no bank.
            UnknownMember, MemberNotActive: one that is named cannot take part.
        """
        directory = self.membership.directory()
        chosen = tuple(members) or _banks(directory)
        if not chosen:
            raise InvalidInput("no bank is a member yet", next_step="Invite banks first.")
        for member_id in chosen:
            directory.active_member(member_id)
        return chosen

    def _champion(self, catalogue: Catalogue) -> tuple[str, int] | None:
        """Version and hidden units of the model in force, where it reads this catalogue."""
        version = self.registry.champion()
        if version is None:
            return None
        manifest = Manifest.from_body(self.registry.find(version).manifest)
        if manifest.catalogue_sha256 != catalogue.sha256:
            return None
        return version, manifest.architecture.hidden

    def follow_up(self, version: str, at_ms: int) -> CampaignPlan:
        """Propose the announced small campaign that continues from a bundle (empty: the champion).

        Raises:
            UnknownBundle: there is no such bundle.
            PlanInvalid: its plan kept no rounds in reserve.
            CampaignUnfinished: there is another campaign under way.
        """
        bundle = self.registry.find(version)
        with self.database.read() as connection:
            row = rows.find(connection, bundle.campaign_id)
        if row is None:
            raise InvalidInput(f"the campaign of bundle {bundle.version} is not here")
        before = CampaignPlan.from_body(row.plan)
        plan = before.follow_up(_new_id(), bundle.version, at_ms + self.life_ms)
        with self.database.write() as connection:
            self.store(connection, plan, at_ms)
        return plan

    def abort(self, campaign_id: str, at_ms: int) -> None:
        """End a campaign that is not finished; nothing of it is published.

        Raises:
            UnknownCampaign: no such campaign.
            CampaignTransitionInvalid: it is finished already.
        """
        with self.database.write() as connection:
            self.campaigns.move(
                connection, campaign_id, "abort", at_ms, detail="ended by the operator"
            )

    def hold(self, campaign_id: str, at_ms: int) -> str:
        """Hold a campaign between two rounds until `release`; the state it is in then.

        Raises:
            UnknownCampaign: no such campaign.
            CampaignTransitionInvalid: it is finished, or held already.
        """
        with self.database.write() as connection:
            return self.campaigns.hold(connection, campaign_id, at_ms)

    def release(self, campaign_id: str, at_ms: int) -> str:
        """Let a held campaign go on; the state it is in then.

        Raises:
            UnknownCampaign: no such campaign.
            CampaignTransitionInvalid: it is finished.
            CampaignNotHeld: nobody holds it.
        """
        with self.database.write() as connection:
            return self.campaigns.release(connection, campaign_id, at_ms)

    def store(self, connection: Connection, plan: CampaignPlan, at_ms: int) -> None:
        """Sign a plan and put it into the campaign table, in the caller's write transaction.

        Raises:
            CampaignUnfinished: there is another campaign under way.
            LogNotTrusted: see `require_log`.
        """
        self.require_log()
        document = sign_document("plan", plan.to_body(), self.key)
        unfinished = rows.in_states(connection, UNFINISHED)
        if unfinished:
            raise CampaignUnfinished(
                f"campaign {unfinished[0].campaign_id} is {unfinished[0].state}"
            )
        self.campaigns.propose(
            connection,
            plan.campaign_id,
            document,
            at_ms,
            plan.deadline_at_ms,
            kind="training" if plan.watch is None else "watch",
        )


def make_proposals(coordinator: Coordinator) -> Proposals:
    """The proposals of an opened coordinator."""
    return Proposals(
        database=coordinator.database,
        campaigns=Campaigns(coordinator.audit, ACTOR),
        membership=coordinator.membership,
        registry=coordinator.registry,
        key=coordinator.keys.directory,
        life_ms=coordinator.settings.campaign_hours * HOUR_MS,
        gate=coordinator.witnessing.gate,
    )


def _banks(directory: Directory) -> tuple[str, ...]:
    return tuple(one.member_id for one in directory.members
                 if one.active and one.role == TRAINING_ROLE)  # fmt: skip


def _new_id() -> str:
    return f"camp-{secrets.token_hex(6)}"
