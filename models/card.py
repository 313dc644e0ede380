"""The model card: what is said of a published model, inside its signed manifest.

Everything in it comes from what was noised and charged (`models/card_figures.py`) or is public. A
figure that could not be told from noise, or that so few people stand behind that it would be about
them, is not there. Words are codes; docs/models.md says what each means, and faces say it in the
reader's language. Source of the form: Mitchell et al. 2019 (arXiv 1810.03993).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from models.fields import Fields
from models.plan import MAX_MEMBERS
from protocols.errors import InvalidInput

FORMAT = 1
HELD_OUT, TRAINED_ON = "held_out", "trained_on"
FIGURES = (
    "auc", "ks", "ece", "brier", "psi_previous", "previous_auc", "reason_churn",
    "membership_auc", "membership_advantage",
)  # fmt: skip
LIMITS = (
    "measured_on_trained", "few_people", "no_previous", "previous_knew_them", "no_membership_test",
    "outcomes_of_the_past", "groups_by_signals_only",
)  # fmt: skip
HYPERPARAMETERS = ("shipped_defaults", "set_by_operator")
_MAX_GROUPS, _MAX_BANDS = 256, 32


class CardInvalid(InvalidInput):
    """A model card is malformed or outside its limits."""

    code = "card_invalid"
    next_step = "Keep the bundle in force and fetch the new one again from the coordinator."


@dataclass(frozen=True)
class Figure:
    """An estimate and its interval, for noise and sampling together.

    Of 95 in 100 repetitions it holds the figure that more people and no noise give.
    """

    value: float
    low: float
    high: float

    @classmethod
    def from_json(cls, body: object) -> "Figure":
        """Read within limits."""
        fields = Fields(body, "figure", CardInvalid)
        figure = cls(*(fields.number(name, -1e6, 1e6) for name in ("value", "low", "high")))
        fields.done()
        if not figure.low <= figure.value <= figure.high:
            raise CardInvalid("figure: the value lies within its interval")
        return figure


@dataclass(frozen=True)
class Count:
    """How many people, as a band: `low` to below `high`; never a count."""

    low: int
    high: int

    @classmethod
    def from_json(cls, body: object) -> "Count":
        """Read within limits."""
        fields = Fields(body, "count", CardInvalid)
        count = cls(*(fields.integer(name, 0, 10**12) for name in ("low", "high")))
        fields.done()
        return count


@dataclass(frozen=True)
class NodePart:
    """What a member spent, at most: its own ledger is the truth.

    Attributes:
        member: its id.
        people: how many it trained on; None where only the sum is known, which is so whenever sums
            are masked.
        epsilon: of this campaign under the plan's assumption.
        epsilon_alone: by the member's own noise alone.
    """

    member: str
    people: Count | None
    epsilon: float
    epsilon_alone: float

    @classmethod
    def from_json(cls, body: object) -> "NodePart":
        """Read within limits."""
        fields = Fields(body, "node", CardInvalid)
        part = cls(
            member=fields.text("member", 64),
            people=_maybe(fields.raw("people"), Count.from_json),
            epsilon=fields.number("epsilon", 0, 1e3),
            epsilon_alone=fields.number("epsilon_alone", 0, 1e6),
        )
        fields.done()
        return part


@dataclass(frozen=True)
class GroupPart:
    """One cell of one group of the catalogue, or that too few people are in it.

    Attributes:
        group, cell: which.
        people: how many.
        auc: within the cell.
        gap: mean PD less default rate: above 0, the model thinks worse of them than they do.
        approved: share at or above the card's floor.
        ratio: `approved` over that of everybody measured.
    """

    group: str
    cell: str
    people: Count
    auc: Figure | None = None
    gap: Figure | None = None
    approved: Figure | None = None
    ratio: Figure | None = None

    @classmethod
    def from_json(cls, body: object) -> "GroupPart":
        """Read within limits."""
        fields = Fields(body, "group", CardInvalid)
        found = cls(
            fields.text("group", 64),
            fields.text("cell", 64),
            Count.from_json(fields.raw("people")),
            *(_figure(fields.raw(name)) for name in ("auc", "gap", "approved", "ratio")),
        )
        fields.done()
        return found


@dataclass(frozen=True)
class BandPart:
    """One score band.

    Attributes:
        name: of the band.
        pd: what the model says of it.
        share: of the people measured.
        default_rate: what became of them.
        previous_share: of the same people under the version before.
    """

    name: str
    pd: float
    share: Figure | None = None
    default_rate: Figure | None = None
    previous_share: Figure | None = None

    @classmethod
    def from_json(cls, body: object) -> "BandPart":
        """Read within limits."""
        fields = Fields(body, "band", CardInvalid)
        found = cls(
            fields.text("name", 8),
            fields.number("pd", 0, 1),
            *(_figure(fields.raw(one)) for one in ("share", "default_rate", "previous_share")),
        )
        fields.done()
        return found


@dataclass(frozen=True)
class ModelCard:
    """The card of one version.

    Attributes:
        purpose: what the model is for, as in the plan.
        measured_on: `HELD_OUT`, or `TRAINED_ON` where nobody was held out.
        held_out: the plan's share.
        trained, measured: how many people learned from and measured on, all nodes together.
        nodes: what each member put in and spent.
        delta: where epsilons hold.
        most_an_attack_can: largest membership advantage that the promised epsilon allows anybody.
        previous: version it is compared with; empty: none.
        figures: by name of `FIGURES`; those that are not there could not be told.
        bands: predicted and observed, best band first.
        approval_floor: points at or above which a cell's people count as approved.
        groups: cells of the catalogue's groups.
        limits: codes of `LIMITS`.
        hyperparameters: where they came from, a code of `HYPERPARAMETERS`.
    """

    purpose: str
    measured_on: str
    held_out: float
    trained: Count
    measured: Count
    nodes: tuple[NodePart, ...]
    delta: float
    most_an_attack_can: float
    previous: str
    figures: Mapping[str, Figure]
    bands: tuple[BandPart, ...]
    approval_floor: int
    groups: tuple[GroupPart, ...]
    limits: tuple[str, ...]
    hyperparameters: str

    def to_json(self) -> dict[str, Any]:
        """JSON object."""
        body = asdict(self)
        body |= {key: list(body[key]) for key in ("nodes", "bands", "groups", "limits")}
        return {"format": FORMAT, **body, "figures": dict(body["figures"])}

    @classmethod
    def from_json(cls, body: object) -> "ModelCard":
        """Read within limits.

        Raises:
            CardInvalid: a field is missing, unknown or outside its range.
        """
        fields = Fields(body, "card", CardInvalid)
        fields.integer("format", FORMAT, FORMAT)
        card = cls(
            purpose=fields.text("purpose", 40),
            measured_on=_one_of(fields.text("measured_on", 16), (HELD_OUT, TRAINED_ON)),
            held_out=fields.number("held_out", 0, 1),
            trained=Count.from_json(fields.raw("trained")),
            measured=Count.from_json(fields.raw("measured")),
            nodes=tuple(map(NodePart.from_json, fields.items("nodes", MAX_MEMBERS))),
            delta=fields.number("delta", 0, 1),
            most_an_attack_can=fields.number("most_an_attack_can", 0, 1),
            previous=fields.possibly_empty_text("previous", 40),
            figures=_figures(fields.raw("figures")),
            bands=tuple(map(BandPart.from_json, fields.items("bands", _MAX_BANDS))),
            approval_floor=fields.integer("approval_floor", 0, 10_000),
            groups=tuple(map(GroupPart.from_json, fields.items("groups", _MAX_GROUPS))),
            limits=tuple(_one_of(one, LIMITS) for one in fields.texts("limits", 16, 40)),
            hyperparameters=_one_of(fields.text("hyperparameters", 40), HYPERPARAMETERS),
        )
        fields.done()
        return card

    def flat(self) -> dict[str, float]:
        """Figures by name, `_low` and `_high` beside each: for charts over versions."""
        found: dict[str, float] = {}
        for name, figure in self.figures.items():
            found |= {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
        return found


def _figures(value: object) -> dict[str, Figure]:
    if not isinstance(value, Mapping) or not set(value) <= set(FIGURES):
        raise CardInvalid("card: figures of names that this release does not know")
    return {name: Figure.from_json(value[name]) for name in value}


def _figure(value: object) -> Figure | None:
    return None if value is None else Figure.from_json(value)


def _maybe(value: object, read: Any) -> Any:
    return None if value is None else read(value)


def _one_of(value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise CardInvalid(f"card: {value[:40]!r} is not a word of this release")
    return value
