"""The card of a campaign's model, from the plan and the opened tally."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.calibration import EDGES, Calibration
from models.card import (
    HELD_OUT,
    HYPERPARAMETERS,
    TRAINED_ON,
    Count,
    Figure,
    ModelCard,
    NodePart,
)
from models.card_figures import (
    LEAST_MASS,
    Table,
    auc,
    band_parts,
    bin_pd,
    brier,
    churn,
    coarser,
    count_band,
    ece,
    group_parts,
    in_bands,
    ks,
    measured,
    occupied,
    psi,
)
from models.catalogue import Catalogue
from models.evaluation import (
    CALIBRATION,
    GROUP,
    GROUP_BINS,
    HELD_LOSSES,
    MEMBER_LOSSES,
    PREVIOUS,
    REASONS,
    SCORE_EDGES,
    SCORES,
)
from models.membership_inference import attack_advantage, attack_auc, most_an_attack_can
from models.plan import CampaignPlan
from models.privacy.accountant import Accountant
from models.privacy.charge import count_charge, evaluation_charge, step_charge
from models.proposal import uses_defaults
from models.scale import Band, Scale
from models.tally import Layout

# Points of a cell's people who count as approved: the floor of band D.
APPROVAL_FLOOR = 620
_FEW = 1000.0


@dataclass(frozen=True)
class Scoring:
    """How a version turns raw log-odds into what people see.

    Attributes:
        calibration, scale, bands: of its manifest.
    """

    calibration: Calibration
    scale: Scale
    bands: Sequence[Band]


@dataclass(frozen=True)
class Opened:
    """A campaign's tally.

    Attributes:
        layout: its blocks.
        total: int64[layout.size], of all nodes.
        nodes: how many nodes' are in it.
        noise_multiplier: that each of them added.
    """

    layout: Layout
    total: NDArray[np.int64]
    nodes: int
    noise_multiplier: float

    def tables(self) -> dict[str, Table]:
        """People by block."""
        read = self.layout.read(self.total)
        return {
            name: Table(cells, self.layout.deviation(name, self.noise_multiplier, self.nodes))
            for name, cells in read.items()
        }


@dataclass(frozen=True)
class Circumstances:
    """What the coordinator knows beside the tally.

    Attributes:
        members: who trained.
        people: how many each trained on, where it is known.
        same_split: whether the version before held the same people out.
    """

    members: Sequence[str]
    people: Mapping[str, float]
    same_split: bool = False


def campaign_epsilon(plan: CampaignPlan, *, alone: bool = False) -> float:
    """Epsilon at the plan's delta of this campaign's rounds, count and tally alone.

    Args:
        plan: of the campaign.
        alone: by a node's own noise only.
    """
    privacy = plan.privacy
    charges = [
        (step_charge(privacy, alone=alone), plan.rounds),
        (count_charge(privacy), 1),
        (evaluation_charge(privacy, alone=alone), 1),
    ]
    return Accountant().epsilon(charges, privacy.delta)


def make_card(
    plan: CampaignPlan,
    catalogue: Catalogue,
    opened: Opened,
    scoring: Scoring,
    before: Scoring | None,
    around: Circumstances,
) -> ModelCard:
    """Compute a card.

    Args:
        plan: of the campaign.
        catalogue: of the plan.
        opened: the campaign's tally.
        scoring: of the new version.
        before: of the version that the plan compares with, if it does.
        around: what else is known.
    """
    tables = opened.tables()
    apart = plan.evaluation.held_out > 0
    histogram = tables[CALIBRATION].counts
    found, edges = (tables[SCORES], SCORE_EDGES) if apart else (tables[CALIBRATION], EDGES)
    scores = found.where(occupied(histogram, len(edges) + 1))
    inside = in_bands(edges, scoring.bands, scoring.calibration, scoring.scale)
    old, inside_old = None, None
    if before is not None:
        inside_old = in_bands(SCORE_EDGES, scoring.bands, before.calibration, before.scale)
        old = tables[PREVIOUS].where(_occupied_before(before))
    figures = _rank_and_level(scores, bin_pd(edges, scoring.calibration))
    figures |= _against(scores, old, inside, inside_old, tables.get(REASONS))
    figures |= _membership(tables.get(MEMBER_LOSSES), tables.get(HELD_LOSSES))
    groups = group_parts(
        catalogue,
        {
            group.id: tables[GROUP + group.id].where(occupied(histogram, GROUP_BINS))
            for group in catalogue.groups
        },
        coarser(found).where(occupied(histogram, GROUP_BINS)),
        scoring.calibration,
        scoring.scale,
        APPROVAL_FLOOR,
    )
    promised = campaign_epsilon(plan)
    alone = campaign_epsilon(plan, alone=True) if plan.privacy.mode != "local" else promised
    delta = plan.privacy.delta
    return ModelCard(
        purpose=plan.purpose,
        measured_on=HELD_OUT if apart else TRAINED_ON,
        held_out=plan.evaluation.held_out,
        trained=count_band(tables[CALIBRATION].people),
        measured=count_band(scores.people),
        nodes=tuple(NodePart(one, _people(around, one), promised, alone) for one in around.members),
        delta=delta,
        most_an_attack_can=most_an_attack_can(promised, delta),
        previous=plan.evaluation.previous if before is not None else "",
        figures={name: figure for name, figure in figures.items() if figure is not None},
        bands=band_parts(scores, old, scoring.bands, inside, inside_old),
        approval_floor=APPROVAL_FLOOR,
        groups=groups,
        limits=_limits(plan, scores, before, around),
        hyperparameters=HYPERPARAMETERS[0 if uses_defaults(plan) else 1],
    )


def _occupied_before(before: Scoring) -> NDArray[np.bool_]:
    """Which score bins hold people by the version before, as its own bands say."""
    shares = np.array([band.share for band in before.bands])
    inside = in_bands(SCORE_EDGES, before.bands, before.calibration, before.scale)
    return np.asarray((inside[shares >= LEAST_MASS] > 0).any(axis=0))


def _rank_and_level(scores: Table, pd: NDArray[np.float64]) -> dict[str, Figure | None]:
    if not scores.clear_outcomes():
        return {}
    return {
        "auc": measured(auc, [scores]),
        "ks": measured(ks, [scores]),
        "ece": measured(ece(pd), [scores]),
        "brier": measured(brier(pd), [scores]),
    }


def _against(
    scores: Table,
    old: Table | None,
    inside: NDArray[np.float64],
    inside_old: NDArray[np.float64] | None,
    reasons: Table | None,
) -> dict[str, Figure | None]:
    found: dict[str, Figure | None] = {}
    if old is not None and inside_old is not None:
        if old.clear_outcomes():
            found["previous_auc"] = measured(auc, [old])
        if old.clear() and scores.clear():
            found["psi_previous"] = measured(psi(inside_old, inside), [old, scores], high=10.0)
    if reasons is not None and reasons.clear():
        found["reason_churn"] = measured(churn, [reasons])
    return found


def _membership(members: Table | None, others: Table | None) -> dict[str, Figure | None]:
    if members is None or others is None or not (members.clear() and others.clear()):
        return {}
    tables = [members, others]
    return {
        "membership_auc": measured(attack_auc, tables),
        "membership_advantage": measured(attack_advantage, tables),
    }


def _people(around: Circumstances, member: str) -> Count | None:
    found = around.people.get(member)
    return None if found is None else count_band(found)


def _limits(
    plan: CampaignPlan, scores: Table, before: Scoring | None, around: Circumstances
) -> tuple[str, ...]:
    apart = plan.evaluation.held_out > 0
    said = {
        "measured_on_trained": not apart,
        "no_membership_test": not apart,
        "few_people": scores.people < _FEW or not scores.clear_outcomes(),
        "no_previous": before is None,
        "previous_knew_them": before is not None and apart and not around.same_split,
        "outcomes_of_the_past": True,
        "groups_by_signals_only": True,
    }
    return tuple(code for code, holds in said.items() if holds)
