"""From a campaign plan to the terms of secure aggregation."""

from models.plan import CampaignPlan
from protocols.masking.errors import MaskingMalformed
from protocols.masking.layout import Terms
from protocols.masking.ring import Ring


def terms_of(plan: CampaignPlan, plan_sha256: bytes) -> Terms:
    """What a plan says of masking.

    Raises:
        MaskingMalformed: its sums are taken in clear.
    """
    if not plan.aggregation.masked:
        raise MaskingMalformed("the plan's sums are taken in clear")
    return Terms(
        campaign_id=plan.campaign_id,
        plan_sha256=plan_sha256,
        members=plan.members,
        threshold=plan.aggregation.threshold,
        quorum=plan.quorum,
        ring=Ring(plan.aggregation.ring_bits),
        bound=plan.coordinate_bound,
    )
