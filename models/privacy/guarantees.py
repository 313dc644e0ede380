"""Both guarantees of a plan, as they are shown to people.

In `distributed` mode the noise of a sum is a sum of discrete Gaussians, which is not itself one.
Kairouz, Liu and Steinke 2021 (arXiv 2102.06387) bound the distance: the two
differ pointwise by a factor of at most exp(+-tau) with
tau = 10 sum_{k=1}^{m-1} exp(-2 pi^2 sigma_i^2 k / (k + 1)) a coordinate, for m equal shares of
sigma_i grid units. A plan's shares are at least .3 * 2^22 / sqrt(1000) > 2^15 units wide, so tau
is below exp(-10^10): it is not merely paid for, it is zero in any number format.
`sum_of_gaussians_gap` computes it all the same, and a test holds the claim.
"""

import math
from dataclasses import dataclass

from models.plan import CampaignPlan, TrustMode
from models.privacy.accountant import Accountant
from models.privacy.charge import campaign_charges


@dataclass(frozen=True)
class Guarantees:
    """Epsilon of a whole campaign, its announced follow-up included, add/remove one subject.

    Attributes:
        mode: of the plan.
        delta: where both are read.
        alone: by each node's own noise, against all other parties together.
        promised: under the plan's assumption; equal to `alone` in `local` mode.
        honest_minimum: the assumption: so many nodes' noise is in every sum, unknown to whoever
            opens it.
        nodes: members of the plan.
    """

    mode: TrustMode
    delta: float
    alone: float
    promised: float
    honest_minimum: int
    nodes: int


def guarantees(plan: CampaignPlan, accountant: Accountant | None = None) -> Guarantees:
    """Compute both.

    Args:
        plan: any plan.
        accountant: keeps what it has computed.
    """
    accountant = accountant or Accountant()
    privacy = plan.privacy
    promised = accountant.epsilon(campaign_charges(plan), privacy.delta)
    alone = promised
    if privacy.mode == "distributed":
        alone = accountant.epsilon(campaign_charges(plan, alone=True), privacy.delta)
    return Guarantees(
        mode=privacy.mode,
        delta=privacy.delta,
        alone=alone,
        promised=promised,
        honest_minimum=privacy.honest_minimum,
        nodes=len(plan.members),
    )


def sum_of_gaussians_gap(sigma: float, shares: int) -> float:
    """Tau of the module's text: log-distance of a sum of shares from one discrete Gaussian.

    Args:
        sigma: of one share, in grid units, at least 1/2.
        shares: how many are added.
    """
    factor = -2 * math.pi**2 * sigma**2
    return 10 * sum(math.exp(factor * k / (k + 1)) for k in range(1, shares))
