"""What one mechanism costs, and what a whole plan will cost.

Adjacency is add/remove of one subject, who has one row. Every mechanism here adds (Poisson
subsampled) Gaussian noise to an integer vector of known L2 sensitivity.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from models.plan import CampaignPlan, PrivacyPlan

STEP = "dp_sgd_step"
CALIBRATION = "calibration_histogram"
COUNT = "cohort_count"

Charges = Iterable[tuple["Charge", int]]


@dataclass(frozen=True)
class Charge:
    """One run of a mechanism.

    Attributes:
        mechanism: `STEP`, `CALIBRATION` or `COUNT`.
        noise_multiplier: sigma over L2 sensitivity.
        sampling_rate: Poisson sampling probability; 1 when every row takes part.
    """

    mechanism: str
    noise_multiplier: float
    sampling_rate: float


def step_charge(privacy: PrivacyPlan) -> Charge:
    """One training round."""
    return Charge(STEP, privacy.noise_multiplier, privacy.sampling_rate)


def calibration_charge(privacy: PrivacyPlan) -> Charge:
    """The calibration histogram."""
    return Charge(CALIBRATION, privacy.calibration_noise, 1.0)


def count_charge(privacy: PrivacyPlan) -> Charge:
    """The cohort count."""
    return Charge(COUNT, privacy.count_noise, 1.0)


def campaign_charges(plan: CampaignPlan) -> list[tuple[Charge, int]]:
    """Everything a node pays for this plan, its announced follow-up included."""
    return privacy_charges(plan.privacy, plan.rounds)


def privacy_charges(privacy: PrivacyPlan, rounds: int) -> list[tuple[Charge, int]]:
    """Everything a node pays for `rounds` rounds, one count and one histogram.

    With `follow_up_rounds` the follow-up's rounds, count and histogram stand in it too.
    """
    campaigns = 2 if privacy.follow_up_rounds else 1
    return [
        (step_charge(privacy), rounds + privacy.follow_up_rounds),
        (count_charge(privacy), campaigns),
        (calibration_charge(privacy), campaigns),
    ]
