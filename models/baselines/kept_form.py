"""The written form of a kept model and its card: canonical JSON, signed by the node that made it.

The shared score stands in it by version and hash only: the network's bundle is read beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.baselines.additive import BaselineInvalid, read_additive
from models.baselines.boosted import read_boosted
from models.baselines.interface import Core
from models.baselines.kept import (
    FIGURES_FROM,
    KINDS,
    OWN_FUSION,
    OWN_WEIGHTS,
    SHARED_FUSION,
    SHARED_WEIGHT,
    KeptModel,
    Part,
    SharedScore,
    forms,
)
from models.calibration import Calibration
from models.encoder import Encoder
from models.fields import Fields
from models.scale import Scale
from protocols.canonical import canonical_json, parse_json

FORMAT = 1
MAX_BYTES = 2 * 1024 * 1024
SCOPE = "one institution's own decisions; it does not leave its node and answers nobody outside"
_PARTS = 4


@dataclass(frozen=True)
class Card:
    """What a kept model says of itself.

    Attributes:
        model_id: its name at this node.
        kind: one of `KINDS`.
        member_id: whose it is.
        created_at_ms: UTC milliseconds.
        catalogue_version, catalogue_sha256: the catalogue it reads.
        shared_version, shared_sha256: the bundle it is blended with, by version and tensors; empty
            for none.
        cohort_root: hex Merkle root of the consents it was made under.
        people: band of how many people it was fitted on, such as "2000-4999".
        figures: on folds; see `models.baselines.kept.Fitted`.
    """

    model_id: str
    kind: str
    member_id: str
    created_at_ms: int
    catalogue_version: int
    catalogue_sha256: str
    shared_version: str
    shared_sha256: str
    cohort_root: str
    people: str
    figures: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """JSON object, with what is true of every kept model."""
        return {
            "model_id": self.model_id,
            "kind": self.kind,
            "member_id": self.member_id,
            "created_at_ms": self.created_at_ms,
            "catalogue_version": self.catalogue_version,
            "catalogue_sha256": self.catalogue_sha256,
            "shared_version": self.shared_version,
            "shared_sha256": self.shared_sha256,
            "cohort_root": self.cohort_root,
            "people": self.people,
            "figures": dict(self.figures),
            "figures_from": FIGURES_FROM,
            "scope": SCOPE,
            "differentially_private": False,
        }


def people_band(size: int) -> str:
    """A count of people as a band of the series 1, 2, 5, 10, 20, 50, ..."""
    low = 1
    for step in (2, 5, 10) * 8:
        decade = 10 ** (len(str(low)) - 1)
        high = step * decade
        if high > size:
            return f"{low}-{high - 1}"
        low = high
    return f"{low} or more"


def write(model: KeptModel, card: Card) -> bytes:
    """A kept model with its card, as canonical JSON."""
    parts = [
        {
            "kind": part.kind,
            "weight": part.weight,
            "calibration": part.calibration.to_json(),
            **forms(part.core),
        }
        for part in model.parts
    ]
    return canonical_json(
        {
            "format": FORMAT,
            "card": card.to_json(),
            "seed": model.seed,
            "shared_weight": 0.0 if model.shared is None else SHARED_WEIGHT,
            "parts": parts,
            "calibration": model.calibration.to_json(),
            "scale": model.scale.to_json(),
        }
    )


def read_card(body: bytes) -> Card:
    """The card alone, of a body whose signature has been verified.

    Raises:
        InvalidInput: it does not read within limits.
    """
    return _card(_object(body).get("card"))


def read(body: bytes, encoder: Encoder, shared: SharedScore | None) -> KeptModel:
    """Read what `write` wrote.

    Checks: 1. format, card and kind; 2. the catalogue in force is the one it reads; 3. the shared
    score beside it is the one it was blended with; 4. the parts are those of its kind, their
    weights not below zero and, with the shared score's, 1 in sum; 5. each part reads within limits
    and along the catalogue's directions.

    Args:
        body: canonical JSON whose signature has been verified.
        encoder: of the catalogue in force.
        shared: the shared score to blend with, or None.

    Raises:
        InvalidInput: a check fails.
    """
    fields = Fields(_object(body), "kept model", BaselineInvalid)
    # 1. Format and card.
    fields.integer("format", FORMAT, FORMAT)
    card = _card(fields.raw("card"))
    # 2. Catalogue.
    catalogue = encoder.catalogue
    if (card.catalogue_version, card.catalogue_sha256) != (catalogue.version, catalogue.sha256):
        raise BaselineInvalid("the kept model reads another catalogue")
    # 3. Shared score.
    blended = (shared.version, shared.tensors_sha256) if shared is not None else ("", "")
    if (card.shared_version, card.shared_sha256) != blended:
        raise BaselineInvalid("the kept model is blended with another shared score")
    # 4. Parts and weights.
    shared_weight = fields.number("shared_weight", 0, 1)
    if shared_weight != (0.0 if shared is None else SHARED_WEIGHT):
        raise BaselineInvalid("the shared score has another weight than this release's")
    items = fields.items("parts", _PARTS)
    # 5. Each part.
    parts = tuple(_part(item, encoder) for item in items)
    if abs(sum(part.weight for part in parts) + shared_weight - 1) > 1e-9:
        raise BaselineInvalid("the weights of a kept model add up to 1")
    found = {part.kind for part in parts}
    wanted = set(OWN_WEIGHTS) if card.kind in (SHARED_FUSION, OWN_FUSION) else {card.kind}
    if found != wanted or len(found) != len(parts):
        raise BaselineInvalid(f"these are not the parts of a {card.kind}")
    model = KeptModel(
        kind=card.kind,
        encoder=encoder,
        parts=parts,
        shared=shared,
        calibration=Calibration.from_json(fields.raw("calibration")),
        seed=fields.integer("seed", 0, 2**32 - 1),
        scale=Scale.from_json(fields.raw("scale")),
    )
    fields.done()
    return model


def _object(body: bytes) -> Mapping[str, Any]:
    parsed = parse_json(body, max_bytes=MAX_BYTES)
    if not isinstance(parsed, Mapping):
        raise BaselineInvalid("a kept model is an object")
    return parsed


def _part(item: object, encoder: Encoder) -> Part:
    fields = Fields(item, "part", BaselineInvalid)
    kind = fields.text("kind", 40)
    weight = fields.number("weight", 0, 1)
    calibration = Calibration.from_json(fields.raw("calibration"))
    form, body = fields.text("form", 16), fields.raw("body")
    fields.done()
    core: Core
    if form == "scorecard" and kind in {"woe_logistic", "expert_scorecard"}:
        core = read_additive(body, encoder)
    elif form == "trees" and kind == "local_gbdt":
        core = read_boosted(body, encoder)
    else:
        raise BaselineInvalid("a part of another kind or form")
    return Part(kind, weight, core, calibration)


def _card(value: object) -> Card:
    fields = Fields(value, "card", BaselineInvalid)
    said = (fields.raw("scope"), fields.raw("differentially_private"), fields.raw("figures_from"))
    if said != (SCOPE, False, FIGURES_FROM):
        raise BaselineInvalid("a kept model is one institution's own, and not private")
    figures = Fields(fields.raw("figures"), "figures", BaselineInvalid)
    kind = fields.text("kind", 40)
    if kind not in KINDS:
        raise BaselineInvalid(f"no model {kind!r} can be kept")
    names = ("auc", "ks", "ece", *(("own_auc", "shared_auc") if kind == SHARED_FUSION else ()))
    card = Card(
        model_id=fields.text("model_id", 40),
        kind=kind,
        member_id=fields.text("member_id", 64),
        created_at_ms=fields.integer("created_at_ms", 0, 2**53 - 1),
        catalogue_version=fields.integer("catalogue_version", 1, 2**31 - 1),
        catalogue_sha256=fields.text("catalogue_sha256", 64),
        shared_version=fields.possibly_empty_text("shared_version", 40),
        shared_sha256=fields.possibly_empty_text("shared_sha256", 64),
        cohort_root=fields.text("cohort_root", 64),
        people=fields.text("people", 40),
        figures={name: figures.number(name, 0, 1) for name in names},
    )
    figures.done()
    fields.done()
    if (kind == SHARED_FUSION) != bool(card.shared_version and card.shared_sha256):
        raise BaselineInvalid("a fusion names its shared score, and no other model does")
    return card
