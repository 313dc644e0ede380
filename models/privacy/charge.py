"""What one mechanism costs, and what a whole plan will cost.

Adjacency is add/remove of one subject, who has one row. Every mechanism here adds (Poisson
subsampled) Gaussian noise to an integer vector of known L2 sensitivity.

In `distributed` mode there are two prices for a thing. What holds as long as the plan's assumption
does (`honest_minimum` nodes' noise in every sum, unknown to whoever opens it) is what the plan
promises and a ledger charges. What holds `alone`, on this node's own noise, holds against everybody
else together.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from models.plan import CampaignPlan, PrivacyPlan

STEP = "dp_sgd_step"
EVALUATION = "evaluation_tally"
COUNT = "cohort_count"
WATCH = "watch_tally"
WATCH_COUNT = "watch_count"

Charges = Iterable[tuple["Charge", int]]


@dataclass(frozen=True)
class Charge:
    """One run of a mechanism.

    Attributes:
        mechanism: `STEP`, `EVALUATION`, `COUNT`, or the name of another tally.
        noise_multiplier: sigma over L2 sensitivity.
        sampling_rate: Poisson sampling probability; 1 when every row takes part.
    """

    mechanism: str
    noise_multiplier: float
    sampling_rate: float


@dataclass(frozen=True)
class Prices:
    """The two prices of one run of a mechanism.

    Attributes:
        promised: under the plan's assumption; what a ledger's ceiling is about.
        alone: by this node's own noise, against everybody else together.
    """

    promised: Charge
    alone: Charge


def step_prices(privacy: PrivacyPlan) -> Prices:
    """One training round."""
    return Prices(step_charge(privacy), step_charge(privacy, alone=True))


def evaluation_prices(privacy: PrivacyPlan) -> Prices:
    """The tally that calibration and the model card are made of."""
    return Prices(evaluation_charge(privacy), evaluation_charge(privacy, alone=True))


def count_prices(privacy: PrivacyPlan) -> Prices:
    """The cohort count, the same by both."""
    return Prices(count_charge(privacy), count_charge(privacy))


def step_charge(privacy: PrivacyPlan, *, alone: bool = False) -> Charge:
    """One training round."""
    noise = privacy.node_noise_multiplier if alone else privacy.noise_multiplier
    return Charge(STEP, noise, privacy.sampling_rate)


def evaluation_charge(privacy: PrivacyPlan, *, alone: bool = False) -> Charge:
    """The tally that calibration and the model card are made of."""
    noise = privacy.node_tally_noise if alone else privacy.tally_noise
    return tally_charge(EVALUATION, noise)


def count_charge(privacy: PrivacyPlan) -> Charge:
    """The cohort count, which leaves the node with all of its noise in either mode."""
    return Charge(COUNT, privacy.count_noise, 1.0)


def cohort_prices(plan: CampaignPlan) -> Prices:
    """The cohort count of a plan, under its own name when the plan is one of a watch."""
    if plan.watch is None:
        return count_prices(plan.privacy)
    charge = Charge(WATCH_COUNT, plan.privacy.count_noise, 1.0)
    return Prices(charge, charge)


def tally_prices(plan: CampaignPlan) -> Prices:
    """The tally of a plan: the evaluation's, or a watch's."""
    privacy = plan.privacy
    if plan.watch is None:
        return evaluation_prices(privacy)
    return Prices(
        tally_charge(WATCH, privacy.tally_noise), tally_charge(WATCH, privacy.node_tally_noise)
    )


def campaign_charges(plan: CampaignPlan, *, alone: bool = False) -> list[tuple[Charge, int]]:
    """Everything a node pays for this plan, its announced follow-up included."""
    if plan.watch is not None:
        prices = (cohort_prices(plan), tally_prices(plan))
        return [(one.alone if alone else one.promised, 1) for one in prices]
    return privacy_charges(plan.privacy, plan.rounds, alone=alone)


def privacy_charges(
    privacy: PrivacyPlan, rounds: int, *, alone: bool = False
) -> list[tuple[Charge, int]]:
    """Everything a node pays for `rounds` rounds, one count and one tally.

    With `follow_up_rounds` the follow-up's rounds, count and tally stand in it too.

    Args:
        privacy: of the plan.
        rounds: of the campaign.
        alone: count this node's own noise only.
    """
    campaigns = 2 if privacy.follow_up_rounds else 1
    return [
        (step_charge(privacy, alone=alone), rounds + privacy.follow_up_rounds),
        (count_charge(privacy), campaigns),
        (evaluation_charge(privacy, alone=alone), campaigns),
    ]


def tally_charge(name: str, noise_multiplier: float) -> Charge:
    """A noised tally of everybody (`models/tally.py`).

    Args:
        name: of the mechanism, as it stands in ledgers.
        noise_multiplier: sigma over the layout's sensitivity; see `Layout.noisy`.
    """
    return Charge(name, noise_multiplier, 1.0)
