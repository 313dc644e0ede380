"""From a trained campaign to a signed bundle."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coordinator.storage.bundles import BundleRow
from models.bundle import Bundle, Manifest
from models.calibration import bands, fit
from models.encoder import Encoder
from models.plan import CampaignPlan
from models.privacy.accountant import Accountant
from models.privacy.charge import calibration_charge, count_charge, step_charge
from models.scale import Scale
from models.weights import Weights
from protocols.documents import sign_document
from protocols.keys import SigningKey


@dataclass(frozen=True)
class Trained:
    """What a campaign arrived at.

    Attributes:
        weights: the averaged weights.
        histogram: summed calibration histogram, float64[BINS, 2].
        histograms: how many nodes' noise is in it.
        loss: the last smoothed loss, or None when no round was made here.
    """

    weights: Weights
    histogram: NDArray[np.float64]
    histograms: int
    loss: float | None


def campaign_epsilon(plan: CampaignPlan) -> float:
    """Epsilon at the plan's delta of this campaign's rounds, count and histogram alone."""
    privacy = plan.privacy
    charges = [
        (step_charge(privacy), plan.rounds),
        (count_charge(privacy), 1),
        (calibration_charge(privacy), 1),
    ]
    return Accountant().epsilon(charges, privacy.delta)


def make_bundle(
    plan: CampaignPlan,
    encoder: Encoder,
    trained: Trained,
    members: tuple[str, ...],
    version: str,
    key: SigningKey,
    at_ms: int,
) -> BundleRow:
    """Calibrate, pack and sign.

    Args:
        plan: the campaign's plan.
        encoder: of its catalogue.
        trained: what it arrived at.
        members: who trained.
        version: name of the bundle.
        key: the network's directory key.
        at_ms: UTC milliseconds.
    """
    noise = plan.privacy.node_calibration_noise * float(np.sqrt(trained.histograms))
    calibration, scale = fit(trained.histogram, noise), Scale()
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
        bands=bands(trained.histogram, calibration, scale),
        privacy=plan.privacy,
        epsilon=campaign_epsilon(plan),
        rounds=plan.rounds,
        members=members,
        metrics={} if trained.loss is None else {"loss": trained.loss},
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
