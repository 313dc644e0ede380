"""Running the definitions: one status and one value per customer and signal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.catalogue import SignalStatus
from node.records.cleaning import Records
from node.signals.definitions import DEFINITIONS, Definition
from node.signals.windows import AsOf, Relation, relations


@dataclass(frozen=True, slots=True)
class SignalMatrix:
    """Signals of n customers.

    Attributes:
        customer_ids: n customer ids, in the order of the records.
        signal_ids: m signal ids.
        status: uint8[n, m], `SignalStatus` numbers: present, none_on_record or not_held.
        value: float64[n, m] in the catalogue's units; 0 unless present.
    """

    customer_ids: tuple[str, ...]
    signal_ids: tuple[str, ...]
    status: npt.NDArray[np.uint8]
    value: npt.NDArray[np.float64]

    @property
    def held(self) -> tuple[str, ...]:
        """The signals that these records hold at all."""
        kept = (self.status != SignalStatus.NOT_HELD).any(axis=0)
        return tuple(np.asarray(self.signal_ids)[kept].tolist())

    def counts(self) -> dict[str, dict[str, int]]:
        """How many customers have each status, by held signal."""
        counts = {}
        for signal in self.held:
            status = self.status[:, self.signal_ids.index(signal)]
            counts[signal] = {
                "present": int((status == SignalStatus.PRESENT).sum()),
                "none_on_record": int((status == SignalStatus.NONE_ON_RECORD).sum()),
            }
        return counts

    def rows(self) -> list[dict[str, tuple[int, float]]]:
        """One mapping of signal id -> (status, value) a customer; what is not held is absent."""
        held = self.held
        columns = [self.signal_ids.index(signal) for signal in held]
        status = self.status[:, columns].tolist()
        value = self.value[:, columns].tolist()
        return [
            dict(zip(held, zip(one_status, one_value, strict=True), strict=True))
            for one_status, one_value in zip(status, value, strict=True)
        ]


def compute(records: Records, signal_ids: Sequence[str], as_of: AsOf) -> SignalMatrix:
    """Compute signals from clean records.

    A signal without a definition here, or whose table the records lack, is `not_held`.

    Args:
        records: clean records.
        signal_ids: the m signals wanted, usually all of the catalogue that are not derived.
        as_of: every window closes strictly before it.
    """
    customer_ids = records.customers["customer_id"].combine_chunks()
    shape = (len(customer_ids), len(signal_ids))
    status = np.full(shape, SignalStatus.NOT_HELD, dtype=np.uint8)
    value = np.zeros(shape, dtype=np.float64)
    backend = ibis.duckdb.connect()
    try:
        for relation, rows in relations(records, as_of).items():
            wanted = _definitions(signal_ids, relation)
            if not wanted:
                continue
            answer = backend.to_pyarrow(_aggregate(rows, wanted))
            found = pc.index_in(customer_ids, value_set=answer["customer_id"].combine_chunks())
            for signal in wanted:
                column = signal_ids.index(signal)
                status[:, column], value[:, column] = _fill(answer[signal], found)
    finally:
        backend.disconnect()
    return SignalMatrix(tuple(customer_ids.to_pylist()), tuple(signal_ids), status, value)


def _definitions(signal_ids: Sequence[str], relation: Relation) -> Mapping[str, Definition]:
    known = {signal: DEFINITIONS[signal] for signal in signal_ids if signal in DEFINITIONS}
    return {signal: one for signal, one in known.items() if one.relation == relation}


def _aggregate(rows: ir.Table, wanted: Mapping[str, Definition]) -> ir.Table:
    expressions = {signal: one.expression(rows) for signal, one in wanted.items()}
    return rows.group_by("customer_id").aggregate(**expressions)


def _fill(
    column: pa.ChunkedArray, found: pa.Array
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    values = column.cast(pa.float64()).combine_chunks().take(found)
    present = values.is_valid().to_numpy(zero_copy_only=False)
    status = np.where(present, SignalStatus.PRESENT, SignalStatus.NONE_ON_RECORD)
    return status.astype(np.uint8), values.fill_null(0.0).to_numpy(zero_copy_only=False)
