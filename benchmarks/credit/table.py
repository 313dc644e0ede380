"""A credit table and its catalogue file: numeric columns to signals with public bin edges.

The format is described in docs/benchmark-catalogue.md. Every input is refused with a sentence that
says which line, column or signal is wrong.
"""

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from models.catalogue import Catalogue, CatalogueInvalid, SignalStatus
from models.fields import Fields
from protocols.errors import InvalidInput

MAX_FILE_BYTES = 1 << 30
MAX_CATALOGUE_BYTES = 1 << 20
MAX_COLUMNS = 1_000
WORLDS = ("", "statements")
_DEFAULTS = {
    "unit": "number",
    "source_class": "table",
    "block": "table",
    "monotone": 0,
    "reference": None,
}

Floats = NDArray[np.float64]
Columns = Mapping[str, Floats]


@dataclass(frozen=True)
class Recipe:
    """What a catalogue file says.

    Attributes:
        catalogue: signals in order.
        formulas: how each signal is computed, by id.
        ranges: public range of each column that a model may read.
        segments: columns that sort rows into institutions; the first signal's without them.
        ignore: columns that no model reads, rivals included: identifiers.
        world: name of the synthetic world a prior is made from, or empty.
    """

    catalogue: Catalogue
    formulas: Mapping[str, "Formula"]
    ranges: Mapping[str, tuple[float, float]]
    segments: tuple[str, ...]
    ignore: frozenset[str]
    world: str

    def columns(self) -> set[str]:
        """Every column it names."""
        named = {name for formula in self.formulas.values() for name in formula.columns}
        return named | set(self.ranges) | set(self.segments)

    def signals(self, table: Columns) -> tuple[NDArray[np.uint8], Floats]:
        """Status uint8[n, m] and value float64[n, m] of the catalogue's signals."""
        values = [self.formulas[spec.id](table) for spec in self.catalogue.signals]
        value = np.stack(values, axis=1)
        present = np.isfinite(value)
        status = np.where(present, SignalStatus.PRESENT, SignalStatus.NONE_ON_RECORD)
        return status.astype(np.uint8), np.where(present, value, 0.0)


@dataclass(frozen=True)
class Formula:
    """A signal of some columns; nan is none on record."""

    name: str
    columns: tuple[str, ...]
    compute: Callable[[Sequence[Floats]], Floats]

    def __call__(self, table: Columns) -> Floats:
        """The signal of every row, float64[n]."""
        return self.compute([table[name] for name in self.columns])


@dataclass(frozen=True)
class Table:
    """A credit table.

    Attributes:
        columns: float64[n] by name, the label aside.
        label: int64[n], 1 = default.
    """

    columns: Columns
    label: NDArray[np.int64]


def read_table(path: Path, label: str, wanted: set[str]) -> Table:
    """Read a CSV with a header of names.

    Args:
        path: of the file.
        label: the column of zeros and ones.
        wanted: columns that must be there; the others are read where they are numeric.

    Raises:
        InvalidInput: it is not there or too large, a column is missing, a value is no number, the
            label is not of zeros and ones or has one class only.
    """
    header, body = _rows(path)
    if missing := sorted((wanted | {label}) - set(header)):
        raise InvalidInput(f"{path.name} has no column {', '.join(missing)}")
    columns = {}
    for place, name in enumerate(header):
        if name != label:
            texts = [row[place] for row in body]
            read = _numbers(texts, path.name, name, strict=name in wanted)
            if read is not None:
                columns[name] = read
    position = header.index(label)
    return Table(columns, _label([row[position] for row in body], path.name, label))


def _rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows of equal length."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InvalidInput(f"{path.name} is larger than {MAX_FILE_BYTES >> 20} MiB")
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            header = [name.strip() for name in next(rows, [])]
            body = list(rows)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{path.name} cannot be read as a CSV file: {error}") from error
    if not header or len(header) > MAX_COLUMNS or len(set(header)) != len(header):
        raise InvalidInput(f"{path.name}: the first line must name 1 to {MAX_COLUMNS} columns once")
    for line, row in enumerate(body, start=2):
        if len(row) != len(header):
            raise InvalidInput(f"{path.name}, line {line}: {len(row)} values, not {len(header)}")
    if not body:
        raise InvalidInput(f"{path.name} has no rows")
    return header, body


def _numbers(texts: list[str], file: str, column: str, *, strict: bool) -> Floats | None:
    """float64[n], nan where empty; None for a column nobody asked for that is not numeric."""
    numbers = np.empty(len(texts))
    for line, text in enumerate(texts, start=2):
        try:
            value = float(text) if text.strip() else math.nan
        except ValueError:
            value = math.inf
        if math.isinf(value):
            if not strict:
                return None
            raise InvalidInput(f"{file}, line {line}, column {column}: {text[:40]!r} is no number")
        numbers[line - 2] = value
    return numbers


def _label(texts: list[str], file: str, column: str) -> NDArray[np.int64]:
    numbers = _numbers(texts, file, column, strict=True)
    if numbers is None or not np.isin(numbers, (0, 1)).all():
        raise InvalidInput(f"{file}: the label column {column} must hold 0 and 1 only")
    if len(np.unique(numbers)) < 2:
        raise InvalidInput(f"{file}: the label column {column} has one class only")
    return numbers.astype(np.int64)


def read_recipe(path: Path) -> Recipe:
    """Read a catalogue file.

    Raises:
        InvalidInput: it is not there, too large or no YAML, or a signal or formula is wrong.
    """
    try:
        if path.stat().st_size > MAX_CATALOGUE_BYTES:
            raise InvalidInput(f"{path.name} is larger than {MAX_CATALOGUE_BYTES >> 10} KiB")
        body = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidInput(f"{path.name} cannot be read as YAML: {error}") from error
    fields = Fields(body, path.name, CatalogueInvalid)
    version = fields.integer("version", 1, 2**31 - 1)
    items = fields.items("signals", 256)
    ranges = fields.raw("ranges")
    segments = tuple(fields.texts("segments", 16, 64))
    ignore = frozenset(fields.texts("ignore", MAX_COLUMNS, 64))
    world = fields.possibly_empty_text("world", 40)
    fields.done()
    if world not in WORLDS:
        raise CatalogueInvalid(f"{path.name}: no world {world!r}; there are {', '.join(WORLDS)}")
    if not isinstance(ranges, Mapping):
        raise CatalogueInvalid(f"{path.name}: ranges must be an object of [low, high] by column")
    formulas, signals = {}, []
    for item in items:
        if not isinstance(item, Mapping) or "from" not in item or "id" not in item:
            raise CatalogueInvalid(f"{path.name}: every signal has an id and a from")
        given = {name: value for name, value in item.items() if name != "from"}
        title = {"title": str(item["id"]), "family": item["id"], "derived": None}
        signals.append({**title, **_DEFAULTS, **given})
        formulas[str(item["id"])] = formula(str(item["id"]), item["from"])
    catalogue = Catalogue.from_body({"version": version, "signals": signals})
    read = {str(name): _range(str(name), value) for name, value in ranges.items()}
    return Recipe(catalogue, formulas, read, segments, ignore, world)


def _range(column: str, value: object) -> tuple[float, float]:
    numbers = Fields({"range": value}, f"range of {column}", CatalogueInvalid).numbers("range", 2)
    if len(numbers) != 2 or numbers[0] >= numbers[1]:
        raise CatalogueInvalid(f"range of {column}: must be [low, high]")
    return numbers[0], numbers[1]


def formula(signal: str, value: Any) -> Formula:
    """The formula of a `from`.

    Raises:
        CatalogueInvalid: it is none of those described.
    """
    if isinstance(value, str):
        return Formula("column", (value,), lambda columns: columns[0])
    if not isinstance(value, Mapping) or len(value) != 1:
        raise CatalogueInvalid(f"signal {signal}: from is a column or one formula")
    ((name, argument),) = value.items()
    if name == "ratio":
        return _ratio(signal, argument)
    if name in _OF_COLUMNS:
        return Formula(name, _names(signal, argument), _OF_COLUMNS[name])
    if name in _ABOVE:
        fields = Fields(argument, f"signal {signal}: {name}", CatalogueInvalid)
        columns, above = _names(signal, fields.raw("columns")), fields.number("above", -1e18, 1e18)
        fields.done()
        compute = _ABOVE[name]
        return Formula(name, columns, lambda found: compute(np.stack(found) > above))
    known = ", ".join(["ratio", *_OF_COLUMNS, *_ABOVE])
    raise CatalogueInvalid(f"signal {signal}: no formula {name!r}; there are {known}")


def _names(signal: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
        raise CatalogueInvalid(f"signal {signal}: a formula reads a list of columns")
    return tuple(value)


def _ratio(signal: str, value: object) -> Formula:
    if not isinstance(value, list) or len(value) != 2:
        raise CatalogueInvalid(f"signal {signal}: ratio is [[columns above], [columns below]]")
    above, below = (_names(signal, part) for part in value)

    def compute(columns: Sequence[Floats]) -> Floats:
        top, bottom = np.sum(columns[: len(above)], axis=0), np.sum(columns[len(above) :], axis=0)
        return np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1.0), np.nan)

    return Formula("ratio", above + below, compute)


def _slope(columns: Sequence[Floats]) -> Floats:
    """Least-squares change from one column to the next over their mean size."""
    stacked = np.stack(columns)
    steps = np.arange(len(columns)) - (len(columns) - 1) / 2
    level = np.abs(stacked).mean(axis=0)
    change = steps @ stacked / (float(steps @ steps) or 1.0)
    return np.where(level > 0, change / np.where(level > 0, level, 1.0), np.nan)


def _first(above: NDArray[np.bool_]) -> Floats:
    return np.where(above.any(axis=0), np.argmax(above, axis=0).astype(np.float64), np.nan)


_OF_COLUMNS: Mapping[str, Callable[[Sequence[Floats]], Floats]] = {
    "sum": lambda columns: np.sum(columns, axis=0),
    "mean": lambda columns: np.mean(columns, axis=0),
    "max": lambda columns: np.max(columns, axis=0),
    "min": lambda columns: np.min(columns, axis=0),
    "slope": _slope,
}
_ABOVE: Mapping[str, Callable[[NDArray[np.bool_]], Floats]] = {
    "count": lambda above: above.sum(axis=0).astype(np.float64),
    "first": _first,
}
