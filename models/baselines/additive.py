"""The form of both scorecards: a table of risk for each signal's bins, added up; plain JSON.

The table of a signal with k edges has k + 3 entries: its k + 1 value bins, then none on record,
then missing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.baselines.interface import RAW_LIMIT, Floats
from models.catalogue import Catalogue, SignalSpec
from models.encoder import Encoded, Encoder
from models.fields import Fields
from protocols.errors import InvalidInput

_LARGEST = 50.0


class BaselineInvalid(InvalidInput):
    """A stored baseline is malformed, for another catalogue, or breaks its directions."""

    code = "baseline_invalid"
    next_step = "Fit it again: `credence node own-models keep HOME`."


class BaselineNotPortable(InvalidInput):
    """This kind of baseline has no plain form; nothing is pickled instead."""

    code = "baseline_not_portable"
    next_step = "Keep a scorecard, `local_gbdt` or `shared_fusion`; fit others where needed."


@dataclass(frozen=True)
class Additive:
    """A scorecard.

    Attributes:
        encoder: of its catalogue.
        tables: float64[k + 3] of each signal, log-odds that a bin adds.
        base: log-odds before any signal.
    """

    encoder: Encoder
    tables: tuple[Floats, ...]
    base: float

    def raw(self, x: Encoded) -> Floats:
        """Log-odds of default, float64[n]."""
        total = np.full(len(x), self.base)
        for table, bins in zip(self.tables, bins_of(self.encoder, x).T, strict=True):
            total += table[bins]
        return np.asarray(np.clip(total, -RAW_LIMIT, RAW_LIMIT))

    def facts(self) -> Mapping[str, Any]:
        """The tables, by signal."""
        names = (spec.id for spec in self.encoder.catalogue.signals)
        tables = {
            name: [round(value, 6) for value in table.tolist()]
            for name, table in zip(names, self.tables, strict=True)
        }
        return {"base": round(self.base, 6), "tables": tables}

    def to_json(self) -> dict[str, Any]:
        """JSON object."""
        return {"base": self.base, "tables": [table.tolist() for table in self.tables]}


def read_additive(body: object, encoder: Encoder) -> Additive:
    """Read what `Additive.to_json` wrote.

    Raises:
        BaselineInvalid: a field or table is not of the catalogue, or goes against a direction.
    """
    fields = Fields(body, "scorecard", BaselineInvalid)
    base = fields.number("base", -_LARGEST, _LARGEST)
    tables = _tables(fields.items("tables", len(encoder.catalogue.signals)), encoder.catalogue)
    fields.done()
    return Additive(encoder, tables, base)


def bins_of(encoder: Encoder, x: Encoded) -> NDArray[np.int64]:
    """The bin of each signal, int64[n, m], from encoded rows float32[n, width]."""
    found = np.empty((len(x), len(encoder.columns)), np.int64)
    for number, place in enumerate(encoder.columns):
        value = x[:, place.start : place.none].sum(axis=1)
        none, missing = x[:, place.none] > 0, x[:, place.missing] > 0
        found[:, number] = np.where(
            missing, place.edges + 2, np.where(none, place.edges + 1, value)
        )
    return found


def _tables(items: list[Any], catalogue: Catalogue) -> tuple[Floats, ...]:
    if len(items) != len(catalogue.signals):
        raise BaselineInvalid("a baseline has one table for each signal")
    return tuple(_table(item, spec) for item, spec in zip(items, catalogue.signals, strict=True))


def _table(item: object, spec: SignalSpec) -> Floats:
    fields = Fields({"table": item}, f"table of {spec.id}", BaselineInvalid)
    table = np.array(fields.numbers("table", len(spec.edges) + 3))
    if table.shape != (len(spec.edges) + 3,) or float(np.abs(table).max()) > _LARGEST:
        raise BaselineInvalid(f"the table of {spec.id} has another length or is out of range")
    if float((np.diff(table[:-2]) * spec.monotone).min(initial=0.0)) < 0:
        raise BaselineInvalid(f"the table of {spec.id} goes against the catalogue's direction")
    return table
