"""How a coordinator arrives at the plan of a watch: the noise that its epsilon demands."""

from collections.abc import Sequence

import numpy as np

from models.aggregation_plan import IN_CLEAR, AggregationPlan
from models.bundle import Bundle
from models.encoder import Encoder
from models.plan import CampaignPlan, OptimiserPlan, PrivacyPlan, TrustMode
from models.privacy.accountant import noise_multiplier_for
from models.privacy.charge import WATCH_COUNT, Charge
from models.watch_plan import WatchPlan
from models.watch_tally import watch_layout
from models.weights import Weights

SIGNALS = 6
EPSILON = 0.5


def propose_watch(
    encoder: Encoder,
    campaign_id: str,
    members: Sequence[str],
    bundle: Bundle,
    *,
    epsilon: float = EPSILON,
    delta: float = 1e-5,
    signals: Sequence[str] | None = None,
    count_noise: float = 30.0,
    quorum: int | None = None,
    round_deadline_s: float = 60.0,
    minimum_cohort: int = 100,
    mode: TrustMode = "local",
    honest_minimum: int | None = None,
    deadline_at_ms: int | None = None,
) -> CampaignPlan:
    """A plan that trains nobody, and whose count and tally stay under an epsilon.

    Args:
        encoder: of the bundle's catalogue.
        campaign_id: name of the campaign.
        members: member ids that are asked.
        bundle: the model that is watched.
        epsilon: ceiling of the watch, for each node.
        delta: where it holds.
        signals: ids of the signals looked at; None: the `SIGNALS` that move the score most.
        count_noise: noise multiplier of the cohort count.
        quorum: defaults to a majority, and two if there are two.
        round_deadline_s: how long the tallies are waited for.
        minimum_cohort: people below which a node stays out.
        mode: who is trusted; see `PrivacyPlan`.
        honest_minimum: of `distributed`; defaults to the quorum.
        deadline_at_ms: when the watch is over, UTC milliseconds; None: it has no end.

    Raises:
        InvalidInput: no noise keeps the ceiling, or a signal is not in the catalogue.
        PlanInvalid: a value is outside what nodes accept.
    """
    masked = len(members) > 1
    if quorum is None:
        quorum = len(members) // 2 + 1 if masked else 1
    if honest_minimum is None:
        honest_minimum = 1 if mode == "local" else quorum
    chosen = (
        tuple(signals) if signals is not None else main_signals(encoder, bundle.weights, SIGNALS)
    )
    watch_layout(encoder, chosen)
    count = (Charge(WATCH_COUNT, count_noise, 1.0), 1)
    noise = noise_multiplier_for(epsilon, delta, 1.0, 1, [count])
    privacy = PrivacyPlan(
        epsilon=epsilon,
        delta=delta,
        mode=mode,
        noise_multiplier=noise,
        sampling_rate=1.0,
        clip=1.0,
        loss_weight=0.5,
        tally_noise=noise,
        count_noise=count_noise,
        follow_up_rounds=0,
        honest_minimum=honest_minimum,
    )
    aggregation = IN_CLEAR
    if masked:
        aggregation = AggregationPlan.for_members(len(members), privacy.largest_node_noise)
    manifest = bundle.manifest
    plan = CampaignPlan(
        campaign_id=campaign_id,
        catalogue_version=manifest.catalogue_version,
        catalogue_sha256=manifest.catalogue_sha256,
        architecture=manifest.architecture,
        rounds=0,
        privacy=privacy,
        optimiser=OptimiserPlan(),
        quorum=quorum,
        round_deadline_s=round_deadline_s,
        members=tuple(members),
        start_bundle=bundle.version,
        minimum_cohort=minimum_cohort,
        aggregation=aggregation,
        deadline_at_ms=deadline_at_ms,
        watch=WatchPlan(chosen),
    )
    # A coordinator must not propose what a node would refuse.
    return CampaignPlan.from_body(plan.to_body())


def main_signals(encoder: Encoder, weights: Weights, count: int) -> tuple[str, ...]:
    """Ids of the signals that move the additive part of a model most, the first the most."""
    wide = np.abs(weights["wide.weight"][0].astype(np.float64))
    pull = [wide[place.start : place.stop].sum() for place in encoder.columns]
    order = np.argsort(-np.array(pull), kind="stable")[:count]
    return tuple(encoder.catalogue.signals[int(position)].id for position in order)
