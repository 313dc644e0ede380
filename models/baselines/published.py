"""A scorecard as a bundle of the network: the same points, in the form that every node reads.

A network without its deep part is a table of points on the same thermometer columns, so a scorecard
needs no format of its own: it is signed, fetched, checked, scored with and explained like any other
version.
"""

import numpy as np

from models.baselines.additive import Additive
from models.baselines.expert import ExpertScorecard
from models.bundle import Bundle, Manifest
from models.calibration import BINS, Calibration, bands
from models.catalogue import Catalogue
from models.encoder import Encoder
from models.exclusions import MINIMUM_PRESENT
from models.plan import Architecture, PrivacyPlan
from models.scale import Scale
from models.weights import Weights, shapes
from protocols.canonical import canonical_json, sha256

EXPERT = "expert_scorecard"
NETWORK = "neural_scorecard"
# Nobody's data was touched. A manifest names what would have protected it: as much as can be said.
_UNTOUCHED = PrivacyPlan(
    epsilon=1e-6,
    delta=1e-5,
    mode="local",
    noise_multiplier=1e4,
    sampling_rate=1.0,
    clip=1.0,
    loss_weight=0.5,
    tally_noise=1e4,
    count_noise=1e4,
    follow_up_rounds=0,
)


def kind_of(campaign_id: str) -> str:
    """The kind of a bundle by what made it: `EXPERT`, which no campaign made, or `NETWORK`."""
    return EXPERT if campaign_id == EXPERT else NETWORK


def as_network(core: Additive) -> Weights:
    """A scorecard's tables as weights of a network whose only hidden unit is off.

    Each threshold of a signal carries the step between its bins; none and missing carry theirs
    against the first bin.
    """
    width = core.encoder.width
    architecture = Architecture(hidden=1, block_dropout=0.0)
    weights = {
        name: np.zeros(shape, np.float32) for name, shape in shapes(architecture, width).items()
    }
    wide = np.zeros(width)
    for place, table in zip(core.encoder.columns, core.tables, strict=True):
        wide[place.start : place.none] = np.diff(table[: place.edges + 1])
        wide[place.none] = table[place.edges + 1] - table[0]
        wide[place.missing] = table[place.edges + 2] - table[0]
    weights["wide.weight"][0] = wide
    weights["wide.bias"][0] = core.base + sum(float(table[0]) for table in core.tables)
    return weights


def expert_version(catalogue: Catalogue) -> str:
    """Name of the expert scorecard's bundle of a catalogue."""
    return f"expert-scorecard-{catalogue.version}"


def expert_bundle(catalogue: Catalogue, at_ms: int) -> Bundle:
    """The expert scorecard of a catalogue as a bundle, to be signed.

    Its PD rests on an assumed default rate: no outcome was seen (docs/models.md).

    Args:
        catalogue: in force.
        at_ms: UTC milliseconds.
    """
    encoder = Encoder(catalogue)
    core = ExpertScorecard(encoder).scorecard()
    calibration, scale = Calibration(), Scale()
    nobody = np.zeros((BINS, 2))
    manifest = Manifest(
        version=expert_version(catalogue),
        created_at_ms=at_ms,
        campaign_id=EXPERT,
        plan_sha256=sha256(canonical_json(core.to_json())).hex(),
        catalogue_version=catalogue.version,
        catalogue_sha256=catalogue.sha256,
        architecture=Architecture(hidden=1, block_dropout=0.0),
        width=encoder.width,
        calibration=calibration,
        scale=scale,
        bands=bands(nobody, calibration, scale),
        privacy=_UNTOUCHED,
        epsilon=0.0,
        rounds=0,
        members=(),
        metrics={},
        minimum_present=MINIMUM_PRESENT,
    )
    return Bundle(manifest, as_network(core))
