"""The model bundle: a manifest in canonical JSON and the tensors in safetensors.

The manifest is the body of a signed document of kind "bundle" and holds the tensors' hash, so one
signature covers both. Nothing is unpickled.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from models.calibration import Calibration
from models.card import ModelCard
from models.fields import Fields
from models.plan import MAX_MEMBERS, MAX_ROUNDS, Architecture, PrivacyPlan
from models.scale import Band, Scale
from models.weights import Weights, shapes
from protocols.canonical import canonical_json, parse_json, sha256
from protocols.errors import InvalidInput

FORMAT = 1
MAX_MANIFEST_BYTES = 256 * 1024
MAX_TENSOR_BYTES = 16 * 1024 * 1024
MAX_WIDTH = 16_384
ADJACENCY = "add or remove one subject, one row each"


class BundleInvalid(InvalidInput):
    """A model bundle is malformed, or its parts do not belong together."""

    code = "bundle_invalid"
    next_step = "Keep the bundle in force and fetch the new one again from the coordinator."


@dataclass(frozen=True)
class Manifest:
    """What a bundle says of itself.

    Attributes:
        version: name of the bundle, at most 40 characters.
        created_at_ms: UTC milliseconds.
        campaign_id, plan_sha256: the campaign that made it.
        catalogue_version, catalogue_sha256: the catalogue it reads.
        architecture, width: shape of the network.
        calibration, scale, bands: from log-odds to PD, points and band.
        privacy: the plan's protection.
        epsilon: spent at `privacy.delta` by each node on this campaign, add/remove one subject.
        rounds: completed rounds.
        members: member ids that trained.
        metrics: differentially private figures by name: the smoothed loss, and those of the card
            with the ends of their intervals.
        card: the model card; None of a bundle that was made without an evaluation.
        minimum_present: the least share of the holders' signals that must have a value for a score
            to be told; 0: as soon as one says anything.
        tensors_sha256: hex SHA-256 of the safetensors bytes.
    """

    version: str
    created_at_ms: int
    campaign_id: str
    plan_sha256: str
    catalogue_version: int
    catalogue_sha256: str
    architecture: Architecture
    width: int
    calibration: Calibration
    scale: Scale
    bands: tuple[Band, ...]
    privacy: PrivacyPlan
    epsilon: float
    rounds: int
    members: tuple[str, ...]
    metrics: Mapping[str, float]
    tensors_sha256: str = ""
    card: ModelCard | None = None
    minimum_present: float = 0.0

    def to_body(self) -> bytes:
        """The document body, RFC 8785 canonical JSON."""
        least = {"minimum_present": self.minimum_present} if self.minimum_present else {}
        return canonical_json(
            least
            | {
                "format": FORMAT,
                "version": self.version,
                "created_at_ms": self.created_at_ms,
                "campaign_id": self.campaign_id,
                "plan_sha256": self.plan_sha256,
                "catalogue_version": self.catalogue_version,
                "catalogue_sha256": self.catalogue_sha256,
                "architecture": self.architecture.to_json(),
                "width": self.width,
                "calibration": self.calibration.to_json(),
                "scale": self.scale.to_json(),
                "bands": [band.to_json() for band in self.bands],
                "privacy": self.privacy.to_json(),
                "adjacency": ADJACENCY,
                "epsilon": self.epsilon,
                "rounds": self.rounds,
                "members": list(self.members),
                "metrics": dict(self.metrics),
                "card": None if self.card is None else self.card.to_json(),
                "tensors_sha256": self.tensors_sha256,
            }
        )

    @classmethod
    def from_body(cls, body: bytes | Mapping[str, Any]) -> "Manifest":
        """Read a manifest, bytes or already parsed, within limits.

        Raises:
            InvalidInput: a field is missing, unknown or outside its range.
        """
        parsed = parse_json(body, max_bytes=MAX_MANIFEST_BYTES) if isinstance(body, bytes) else body
        fields = Fields(parsed, "bundle", BundleInvalid)
        fields.integer("format", FORMAT, FORMAT)
        if fields.text("adjacency", 80) != ADJACENCY:
            raise BundleInvalid("bundle: an adjacency that this release does not know")
        manifest = cls(
            version=fields.text("version", 40),
            created_at_ms=fields.integer("created_at_ms", 0, 2**53 - 1),
            campaign_id=fields.text("campaign_id", 40),
            plan_sha256=fields.text("plan_sha256", 64),
            catalogue_version=fields.integer("catalogue_version", 1, 2**31 - 1),
            catalogue_sha256=fields.text("catalogue_sha256", 64),
            architecture=Architecture.from_json(fields.raw("architecture")),
            width=fields.integer("width", 1, MAX_WIDTH),
            calibration=Calibration.from_json(fields.raw("calibration")),
            scale=Scale.from_json(fields.raw("scale")),
            bands=_bands(fields.items("bands", 32)),
            privacy=PrivacyPlan.from_json(fields.raw("privacy")),
            epsilon=fields.number("epsilon", 0, 1e3),
            rounds=fields.integer("rounds", 0, MAX_ROUNDS),
            members=tuple(fields.texts("members", MAX_MEMBERS, 64)),
            metrics=_metrics(fields.raw("metrics")),
            tensors_sha256=fields.text("tensors_sha256", 64),
            card=_card(fields.raw("card")),
            minimum_present=(
                fields.number("minimum_present", 0, 1) if fields.has("minimum_present") else 0.0
            ),
        )
        fields.done()
        return manifest


@dataclass(frozen=True)
class Bundle:
    """A manifest and its tensors."""

    manifest: Manifest
    weights: Weights

    @property
    def version(self) -> str:
        """Name of the bundle."""
        return self.manifest.version

    def pack(self) -> tuple[bytes, bytes]:
        """Manifest body (to be signed) and safetensors bytes."""
        arrays = {name: np.ascontiguousarray(array) for name, array in self.weights.items()}
        tensors: bytes = save_tensors(arrays)
        manifest = replace(self.manifest, tensors_sha256=sha256(tensors).hex())
        return manifest.to_body(), tensors

    @classmethod
    def load(cls, manifest_body: bytes | Mapping[str, Any], tensors: bytes) -> "Bundle":
        """Read a bundle whose manifest's signature has been verified.

        Checks: 1. sizes; 2. the manifest's fields; 3. the tensors' hash; 4. names, types and shapes
        exactly those of the architecture; 5. every weight finite.

        Raises:
            InvalidInput: a check fails.
        """
        # 1. Sizes (the manifest's in parse_json).
        if len(tensors) > MAX_TENSOR_BYTES:
            raise BundleInvalid(f"tensors of {len(tensors)} bytes; at most {MAX_TENSOR_BYTES}")
        # 2. Fields.
        manifest = Manifest.from_body(manifest_body)
        # 3. Hash.
        if sha256(tensors).hex() != manifest.tensors_sha256:
            raise BundleInvalid("the tensors are not those the manifest was signed for")
        # 4. Names, types and shapes; 5. finite.
        return cls(manifest, _weights(tensors, manifest))


def _weights(tensors: bytes, manifest: Manifest) -> Weights:
    try:
        arrays: dict[str, NDArray[Any]] = load_tensors(tensors)
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise BundleInvalid("the tensors are not safetensors") from error
    expected = shapes(manifest.architecture, manifest.width)
    if {name: array.shape for name, array in arrays.items()} != expected:
        raise BundleInvalid("the tensors are not those of the architecture")
    for name, array in arrays.items():
        if array.dtype != np.float32 or not np.isfinite(array).all():
            raise BundleInvalid(f"tensor {name} must be finite float32")
    return arrays


def _bands(items: list[Any]) -> tuple[Band, ...]:
    bands = tuple(Band.from_json(item) for item in items)
    floors = [band.floor for band in bands]
    if not bands or floors != sorted(set(floors), reverse=True):
        raise BundleInvalid("bundle: bands must be listed best first")
    return bands


def _card(value: object) -> ModelCard | None:
    return None if value is None else ModelCard.from_json(value)


def _metrics(value: object) -> dict[str, float]:
    if not isinstance(value, Mapping) or len(value) > 64:
        raise BundleInvalid("bundle: metrics must be an object of at most 64 names")
    fields = Fields(value, "metrics", BundleInvalid)
    return {name: fields.number(name, -1e9, 1e9) for name in value}
