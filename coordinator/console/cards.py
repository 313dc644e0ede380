"""Reads the figures of a published bundle's manifest.

The manifest was signed when it was published; what a newer release adds to it is shown by its own
name, and what does not read as a figure is left out: a page must not fail on it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from coordinator.console.views import ModelLine
from coordinator.model_overview import VersionView
from coordinator.storage.console_reads import BundleHead
from models.bundle import MAX_MANIFEST_BYTES
from models.card import CardInvalid, ModelCard
from protocols.canonical import parse_json
from protocols.errors import Malformed

MAX_FACTS = 60
_DEPTH = 4
_LOW, _HIGH = "_low", "_high"


def model_line(head: BundleHead, view: VersionView | None) -> ModelLine:
    """One version, with what its manifest says and the part it plays."""
    body = _object(head.manifest)
    privacy = _part(body, "privacy")
    figures = dict(_figures(_part(body, "metrics")))
    ends = {name: value for name, value in figures.items() if name.endswith((_LOW, _HIGH))}
    intervals = {
        name: (ends[name + _LOW], ends[name + _HIGH])
        for name in figures
        if name + _LOW in ends and name + _HIGH in ends
    }
    sheet = _sheet(body)
    return ModelLine(
        version=head.version,
        standing="published" if view is None else view.state,
        answered_by=() if view is None else view.members,
        moves=() if view is None else view.moves,
        campaign_id=head.campaign_id,
        figures={name: value for name, value in figures.items() if name not in ends},
        intervals=intervals,
        card={} if sheet is not None else dict(list(_flat(_part(body, "card"), ""))[:MAX_FACTS]),
        sheet=sheet,
        members=tuple(str(one) for one in body.get("members", ())),
        rounds=int(_number(body, "rounds")),
        epsilon=_number(body, "epsilon"),
        delta=_number(privacy, "delta"),
        mode=str(privacy.get("mode", "")),
        catalogue_version=int(_number(body, "catalogue_version")),
        key_id=head.key_id,
        tensor_bytes=head.tensor_bytes,
        created_at_ms=head.created_at_ms,
    )


def _sheet(body: Mapping[str, Any]) -> ModelCard | None:
    try:
        return ModelCard.from_json(_part(body, "card"))
    except CardInvalid:
        return None


def _object(manifest: bytes) -> Mapping[str, Any]:
    try:
        found = parse_json(manifest, max_bytes=MAX_MANIFEST_BYTES)
    except Malformed:
        return {}
    return found if isinstance(found, dict) else {}


def _part(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = body.get(name)
    return found if isinstance(found, dict) else {}


def _number(body: Mapping[str, Any], name: str) -> float:
    found = body.get(name)
    plain = isinstance(found, int | float) and not isinstance(found, bool)
    return float(found) if plain and found is not None else 0.0


def _figures(metrics: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in metrics.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield name.lower(), float(value)


def _flat(value: Any, name: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    """(dotted name, value in words) of a card's plain values."""
    if isinstance(value, dict) and depth < _DEPTH:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key), depth + 1)
    elif isinstance(value, list) and depth < _DEPTH:
        yield name, ", ".join(str(one) for one in value if not isinstance(one, dict | list))
    elif isinstance(value, float):
        yield name, f"{value:.4g}"
    elif value is not None and name:
        yield name, str(value)
