"""From a trained campaign to a signed bundle."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from coordinator.storage.bundles import BundleRow
from models.bundle import Bundle, Manifest
from models.calibration import bands, fit
from models.card_making import Circumstances, Opened, Scoring, campaign_epsilon, make_card
from models.encoder import Encoder
from models.evaluation import CALIBRATION, evaluation_layout
from models.exclusions import MINIMUM_PRESENT
from models.plan import CampaignPlan
from models.scale import Scale
from models.weights import Weights
from protocols.documents import sign_document
from protocols.keys import SigningKey


@dataclass(frozen=True)
class Trained:
    """What a campaign arrived at.

    Attributes:
        weights: the averaged weights.
        tally: the nodes' tallies summed, int64, see `models/evaluation.py`.
        tallies: how many nodes' are in it.
        loss: the last smoothed loss, or None when no round was made here.
        bands: the cohort of each member that is known: of sums in clear.
        previous: the version that the plan compares with, if it does.
        same_split: whether that one held the same people out.
    """

    weights: Weights
    tally: NDArray[np.int64]
    tallies: int
    loss: float | None
    bands: Mapping[str, int] = field(default_factory=dict)
    previous: Bundle | None = None
    same_split: bool = False


def make_bundle(
    plan: CampaignPlan,
    encoder: Encoder,
    trained: Trained,
    members: tuple[str, ...],
    version: str,
    key: SigningKey,
    at_ms: int,
) -> BundleRow:
    """Calibrate, write the card, pack and sign.

    Args:
        plan: the campaign's plan.
        encoder: of its catalogue.
        trained: what it arrived at.
        members: who trained.
        version: name of the bundle.
        key: the network's directory key.
        at_ms: UTC milliseconds.
    """
    layout = evaluation_layout(encoder.catalogue, plan.evaluation)
    opened = Opened(layout, trained.tally, trained.tallies, plan.privacy.node_tally_noise)
    histogram = opened.tables()[CALIBRATION]
    calibration, scale = fit(histogram.counts, histogram.deviation), Scale()
    scoring = Scoring(calibration, scale, bands(histogram.counts, calibration, scale))
    before = None
    if trained.previous is not None:
        known = trained.previous.manifest
        before = Scoring(known.calibration, known.scale, known.bands)
    people = {key: float(band) for key, band in trained.bands.items() if band}
    around = Circumstances(members, people, trained.same_split)
    card = make_card(plan, encoder.catalogue, opened, scoring, before, around)
    loss = {} if trained.loss is None else {"loss": trained.loss}
    manifest = Manifest(
        version=version,
        created_at_ms=at_ms,
        campaign_id=plan.campaign_id,
        plan_sha256=plan.sha256,
        catalogue_version=plan.catalogue_version,
        catalogue_sha256=plan.catalogue_sha256,
        architecture=plan.architecture,
        width=encoder.width,
        calibration=calibration,
        scale=scale,
        bands=tuple(scoring.bands),
        privacy=plan.privacy,
        epsilon=campaign_epsilon(plan),
        rounds=plan.rounds,
        members=members,
        metrics=loss | card.flat(),
        card=card,
        minimum_present=MINIMUM_PRESENT,
    )
    body, tensors = Bundle(manifest, trained.weights).pack()
    signed = sign_document("bundle", body, key)
    return BundleRow(
        version=version,
        campaign_id=plan.campaign_id,
        manifest=signed.body,
        signature=signed.signature,
        key_id=signed.key_id,
        tensors=tensors,
        created_at_ms=at_ms,
    )
