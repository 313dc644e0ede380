"""The signal catalogue: what may be asked, in which units, with which public bin edges.

A catalogue is data. The coordinator signs one as a document of kind "catalogue"; every node,
plan and bundle names its version and hash. "None on record" (the holder looked and found nothing)
is a status of its own and never the same as "not held".
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from importlib import resources
from itertools import pairwise
from typing import Any

import yaml

from models.fields import Fields
from protocols.canonical import canonical_json, parse_json, sha256
from protocols.data_classes import is_data_class
from protocols.errors import InvalidInput

_MAX_BYTES = 256 * 1024
_MAX_SIGNALS = 256
_MAX_EDGES = 64
_MAX_GROUPS = 8
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,63}")


class SignalStatus(IntEnum):
    """Status of one signal of one subject; the numbers of protocols/v1/exchange.proto."""

    UNSPECIFIED = 0
    PRESENT = 1
    NONE_ON_RECORD = 2
    NOT_HELD = 3
    NO_CONSENT = 4
    DISPUTED = 5
    FROZEN = 6


class CatalogueInvalid(InvalidInput):
    """A catalogue does not keep its own rules."""

    code = "catalogue_invalid"
    next_step = "Correct the signal named in the message; docs/catalogue.md lists the rules."


@dataclass(frozen=True)
class Ratio:
    """A signal that its recipient computes from two others: numerator / denominator."""

    numerator: str
    denominator: str


@dataclass(frozen=True)
class SignalSpec:
    """One signal.

    Attributes:
        id: stable name on the wire.
        title: what it is, in English; other languages stand in the text files of the faces.
        unit: currency, ratio, months, count, flag, ...
        source_class: class of data a consent names.
        block: signals that one institution holds together and that go missing together.
        edges: strictly increasing bin edges; value v lies above edge e when v > e.
        monotone: +1 more is riskier, -1 more is safer, 0 no claim.
        family: reason family; one reason a family is told.
        reference: unremarkable value that reasons are told against; None means none on record.
        derived: how the recipient computes it, or None when a holder sends it.
        changeable: whether a person can change it by what they do from now on, so that they may be
            shown what that would do to their score.
    """

    id: str
    title: str
    unit: str
    source_class: str
    block: str
    edges: tuple[float, ...]
    monotone: int
    family: str
    reference: float | None
    derived: Ratio | None = None
    changeable: bool = False

    def __post_init__(self) -> None:
        for name in (self.id, self.unit, self.source_class, self.block, self.family):
            if not _IDENTIFIER.fullmatch(name):
                raise CatalogueInvalid(f"signal {self.id!r}: {name!r} is not a lower-case name")
            if not is_data_class(name):
                raise CatalogueInvalid(f"signal {self.id!r}: {name!r} is of a prohibited class")
        if not 1 <= len(self.edges) <= _MAX_EDGES:
            raise CatalogueInvalid(f"signal {self.id}: needs 1 to {_MAX_EDGES} edges")
        if not all(math.isfinite(edge) for edge in self.edges):
            raise CatalogueInvalid(f"signal {self.id}: an edge is not finite")
        if any(a >= b for a, b in zip(self.edges, self.edges[1:], strict=False)):
            raise CatalogueInvalid(f"signal {self.id}: edges do not increase")
        if self.monotone not in {-1, 0, 1}:
            raise CatalogueInvalid(f"signal {self.id}: monotone must be -1, 0 or 1")
        if self.reference is not None and not math.isfinite(self.reference):
            raise CatalogueInvalid(f"signal {self.id}: the reference is not finite")


@dataclass(frozen=True)
class Group:
    """People told apart by one signal, so that a model's card can compare them.

    Attributes:
        id: stable name.
        signal: id of the signal.
        edges: some of its edges.
    """

    id: str
    signal: str
    edges: tuple[float, ...]

    @property
    def cells(self) -> int:
        """The bins, none on record, and missing."""
        return len(self.edges) + 3

    @property
    def labels(self) -> tuple[str, ...]:
        """What the cells are called, in order."""
        ends = [f"{edge:g}" for edge in self.edges]
        between = [f"{low}-{high}" for low, high in pairwise(ends)]
        return (f"<={ends[0]}", *between, f">{ends[-1]}", "none", "missing")


@dataclass(frozen=True)
class Catalogue:
    """An ordered, versioned set of signals; the order is the order of every status/value matrix.

    Attributes:
        version: of the catalogue.
        signals: in order.
        groups: by which a model's card compares people; see docs/catalogue.md.
    """

    version: int
    signals: tuple[SignalSpec, ...]
    groups: tuple[Group, ...] = ()

    def __post_init__(self) -> None:
        if self.version < 1:
            raise CatalogueInvalid("the version starts at 1")
        if not 1 <= len(self.signals) <= _MAX_SIGNALS:
            raise CatalogueInvalid(f"a catalogue holds 1 to {_MAX_SIGNALS} signals")
        if len(self.index) != len(self.signals):
            raise CatalogueInvalid("a signal id stands twice")
        for spec in self.signals:
            if spec.derived is not None:
                self._check_derived(spec, spec.derived)
        if len(self.groups) > _MAX_GROUPS or len({one.id for one in self.groups}) < len(
            self.groups
        ):
            raise CatalogueInvalid(f"a catalogue marks up to {_MAX_GROUPS} groups, each once")
        for group in self.groups:
            self._check_group(group)

    def _check_group(self, group: Group) -> None:
        if not _IDENTIFIER.fullmatch(group.id) or not is_data_class(group.id):
            raise CatalogueInvalid(f"group {group.id!r} is not a lower-case name that may be used")
        edges = self.signal(group.signal).edges
        increasing = group.edges == tuple(sorted(set(group.edges)))
        if not group.edges or not increasing or not set(group.edges) <= set(edges):
            raise CatalogueInvalid(f"group {group.id}: needs some of the signal's edges, in order")

    def _check_derived(self, spec: SignalSpec, ratio: Ratio) -> None:
        for part in (ratio.numerator, ratio.denominator):
            position = self.index.get(part)
            if position is None or self.signals[position].derived is not None:
                raise CatalogueInvalid(f"signal {spec.id}: {part!r} is not a signal of a holder")

    @cached_property
    def index(self) -> dict[str, int]:
        """Column of each signal id."""
        return {spec.id: position for position, spec in enumerate(self.signals)}

    @cached_property
    def blocks(self) -> tuple[str, ...]:
        """Block names in order of first appearance."""
        return tuple(dict.fromkeys(spec.block for spec in self.signals))

    @cached_property
    def sha256(self) -> str:
        """Hex SHA-256 of the canonical body."""
        return sha256(self.to_body()).hex()

    def signal(self, signal_id: str) -> SignalSpec:
        """The signal of that id.

        Raises:
            CatalogueInvalid: the catalogue has no such signal.
        """
        try:
            return self.signals[self.index[signal_id]]
        except KeyError:
            raise CatalogueInvalid(f"no signal {signal_id!r} in catalogue {self.version}") from None

    def held_by(self, *source_classes: str) -> tuple[SignalSpec, ...]:
        """Signals a holder of these source classes computes and sends (derived ones excluded)."""
        wanted = set(source_classes)
        return tuple(s for s in self.signals if s.source_class in wanted and s.derived is None)

    def to_body(self) -> bytes:
        """The document body, RFC 8785 canonical JSON."""
        signals = [_spec_json(spec) for spec in self.signals]
        body: dict[str, Any] = {"version": self.version, "signals": signals}
        if self.groups:
            body["groups"] = [
                {"id": one.id, "signal": one.signal, "edges": list(one.edges)}
                for one in self.groups
            ]
        return canonical_json(body)

    @classmethod
    def from_body(cls, body: bytes | Mapping[str, Any]) -> "Catalogue":
        """Read a body, bytes or already parsed.

        Raises:
            CatalogueInvalid: a field is missing, unknown or breaks a rule.
        """
        parsed = parse_json(body, max_bytes=_MAX_BYTES) if isinstance(body, bytes) else body
        fields = Fields(parsed, "catalogue", CatalogueInvalid)
        version = fields.integer("version", 1, 2**31 - 1)
        signals = fields.items("signals", _MAX_SIGNALS)
        groups = fields.items("groups", _MAX_GROUPS) if fields.has("groups") else []
        fields.done()
        return cls(version, tuple(_spec(item) for item in signals), tuple(map(_group, groups)))


def load_default() -> Catalogue:
    """The catalogue that ships with this release."""
    text = resources.files("models").joinpath("catalogue.yaml").read_text(encoding="utf-8")
    body = yaml.safe_load(text)
    for signal in body["signals"]:
        signal.setdefault("derived", None)
        if signal["reference"] == "none_on_record":
            signal["reference"] = None
    return Catalogue.from_body(body)


def _spec_json(spec: SignalSpec) -> dict[str, Any]:
    derived = spec.derived
    marked = {"changeable": True} if spec.changeable else {}
    return marked | {
        "id": spec.id,
        "title": spec.title,
        "unit": spec.unit,
        "source_class": spec.source_class,
        "block": spec.block,
        "edges": list(spec.edges),
        "monotone": spec.monotone,
        "family": spec.family,
        "reference": spec.reference,
        "derived": None
        if derived is None
        else {"numerator": derived.numerator, "denominator": derived.denominator},
    }


def _spec(value: object) -> SignalSpec:
    fields = Fields(value, "signal", CatalogueInvalid)
    spec = SignalSpec(
        id=fields.text("id", 64),
        title=fields.text("title", 200),
        unit=fields.text("unit", 64),
        source_class=fields.text("source_class", 64),
        block=fields.text("block", 64),
        edges=tuple(fields.numbers("edges", _MAX_EDGES)),
        monotone=fields.integer("monotone", -1, 1),
        family=fields.text("family", 64),
        reference=fields.optional_number("reference"),
        derived=_ratio(fields.raw("derived")),
        changeable=_flag(fields, "changeable"),
    )
    fields.done()
    return spec


def _flag(fields: Fields, name: str) -> bool:
    """A mark that stands there as `true`, or not at all."""
    if not fields.has(name):
        return False
    if fields.raw(name) is not True:
        raise CatalogueInvalid(f"signal: {name} is true or absent")
    return True


def _group(value: object) -> Group:
    fields = Fields(value, "group", CatalogueInvalid)
    group = Group(
        id=fields.text("id", 64),
        signal=fields.text("signal", 64),
        edges=tuple(fields.numbers("edges", _MAX_EDGES)),
    )
    fields.done()
    return group


def _ratio(value: object) -> Ratio | None:
    if value is None:
        return None
    fields = Fields(value, "derived", CatalogueInvalid)
    ratio = Ratio(fields.text("numerator", 64), fields.text("denominator", 64))
    fields.done()
    return ratio
