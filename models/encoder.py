"""Signals to network inputs: a thermometer over public edges and two flags per signal.

For a signal with edges e_1 < ... < e_k the columns are [v > e_1, ..., v > e_k, none, missing]. A
value that is not there for any reason (not held, no consent, disputed, frozen) sets only `missing`,
so the network cannot tell a refusal from an institution that is away.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.catalogue import Catalogue, SignalSpec, SignalStatus
from protocols.errors import InvalidInput

Status = NDArray[np.uint8]
Values = NDArray[np.float64]
Encoded = NDArray[np.float32]


@dataclass(frozen=True)
class Columns:
    """Where one signal stands in the encoded row."""

    start: int
    edges: int

    @property
    def none(self) -> int:
        """Column of the none-on-record flag."""
        return self.start + self.edges

    @property
    def missing(self) -> int:
        """Column of the missing flag."""
        return self.start + self.edges + 1

    @property
    def stop(self) -> int:
        """First column after this signal."""
        return self.start + self.edges + 2


class Encoder:
    """Encodes status and value matrices whose columns are in catalogue order.

    Attributes:
        width: number of encoded columns.
        columns: the place of each signal, in catalogue order.
        blocks: column indices per block; a derived signal counts in every block it is made from.
        wide_signs: int8[width], +1 / -1 where a monotone signal's weight must not be below / above
            zero, 0 where it is free.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.columns = _layout(catalogue)
        self.width = self.columns[-1].stop
        self.blocks = {name: self._block_columns(name) for name in catalogue.blocks}
        self.wide_signs = np.zeros(self.width, np.int8)
        for spec, place in zip(catalogue.signals, self.columns, strict=True):
            self.wide_signs[place.start : place.none] = spec.monotone
        self._missing = np.array([place.missing for place in self.columns])
        self._edges = tuple(np.asarray(spec.edges) for spec in catalogue.signals)
        self._profile = self._reference_profile()
        self._derived = tuple(
            (position, catalogue.index[d.numerator], catalogue.index[d.denominator])
            for position, spec in enumerate(catalogue.signals)
            if (d := spec.derived) is not None
        )

    def encode(self, status: Status, value: Values) -> Encoded:
        """Encode subjects.

        Args:
            status: uint8[n, m], `SignalStatus` numbers; columns of derived signals are ignored.
            value: float64[n, m], read where the status is present; a value that is not finite
                counts as missing.

        Returns:
            float32[n, width] of zeros and ones.

        Raises:
            InvalidInput: the shapes do not fit the catalogue.
        """
        return self.encode_completed(*self.complete(status, value))

    def encode_completed(self, status: Status, value: Values) -> Encoded:
        """As `encode`, for matrices that `complete` gave."""
        encoded = np.zeros((len(status), self.width), np.float32)
        present = status == SignalStatus.PRESENT
        none = status == SignalStatus.NONE_ON_RECORD
        for position, (edges, place) in enumerate(zip(self._edges, self.columns, strict=True)):
            above = value[:, position, None] > edges
            encoded[:, place.start : place.none] = above & present[:, position, None]
            encoded[:, place.none] = none[:, position]
            encoded[:, place.missing] = ~(present[:, position] | none[:, position])
        return encoded

    def complete(self, status: Status, value: Values) -> tuple[Status, Values]:
        """Check the matrices, set non-finite values aside as not held and compute derived signals.

        Returns:
            New status uint8[n, m] and value float64[n, m].
        """
        expected = len(self.catalogue.signals)
        if status.ndim != 2 or status.shape[1] != expected or status.shape != value.shape:
            raise InvalidInput(
                f"signals come as two matrices of {expected} columns, not "
                f"{status.shape} and {value.shape}"
            )
        value = np.array(value, np.float64)
        status = np.array(status, np.uint8)
        broken = (status == SignalStatus.PRESENT) & ~np.isfinite(value)
        status[broken] = SignalStatus.NOT_HELD
        value[status != SignalStatus.PRESENT] = 0.0
        for position, numerator, denominator in self._derived:
            column = _ratio(status, value, numerator, denominator)
            status[:, position], value[:, position] = column
        return status, value

    def drop_blocks(self, encoded: Encoded, absent: NDArray[np.bool_]) -> Encoded:
        """The rows as they would be had the blocks marked absent not answered.

        Args:
            encoded: float32[n, width].
            absent: bool[n, blocks], in the order of `blocks`.

        Returns:
            A new float32[n, width].
        """
        dropped = encoded.copy()
        is_flag = np.zeros(self.width, bool)
        is_flag[self._missing] = True
        for position, columns in enumerate(self.blocks.values()):
            rows = np.flatnonzero(absent[:, position])
            if rows.size:
                dropped[np.ix_(rows, columns)] = is_flag[columns]
        return dropped

    def reference(self, status: Status) -> Encoded:
        """The encoded reference profile of the catalogue, for each subject's coverage.

        A signal that is missing for the subject is missing in its reference too: nobody is told a
        reason about a fact that nobody gave.

        Args:
            status: uint8[n, m] as completed by `complete`.
        """
        return self._reference(~usable(status))

    def reference_of(self, encoded: Encoded) -> Encoded:
        """As `reference`, for encoded rows float32[n, width]."""
        return self._reference(encoded[:, self._missing] == 1)

    def _reference(self, away: NDArray[np.bool_]) -> Encoded:
        rows = np.repeat(self._profile, len(away), axis=0)
        for position, place in enumerate(self.columns):
            rows[away[:, position], place.start : place.missing] = 0.0
            rows[away[:, position], place.missing] = 1.0
        return rows

    def _reference_profile(self) -> Encoded:
        profile = np.zeros((1, self.width), np.float32)
        signals = zip(self.catalogue.signals, self._edges, self.columns, strict=True)
        for spec, edges, place in signals:
            if spec.reference is None:
                profile[0, place.none] = 1.0
            else:
                profile[0, place.start : place.none] = spec.reference > edges
        return profile

    def _block_columns(self, block: str) -> NDArray[np.int64]:
        member = [
            np.arange(place.start, place.stop)
            for spec, place in zip(self.catalogue.signals, self.columns, strict=True)
            if block in _blocks_of(self.catalogue, spec)
        ]
        return np.concatenate(member)


def usable(status: Status) -> NDArray[np.bool_]:
    """Whether a status says something: present, or looked for and not on record."""
    says = (status == SignalStatus.PRESENT) | (status == SignalStatus.NONE_ON_RECORD)
    return np.asarray(says)


def _layout(catalogue: Catalogue) -> tuple[Columns, ...]:
    columns = []
    start = 0
    for spec in catalogue.signals:
        place = Columns(start, len(spec.edges))
        columns.append(place)
        start = place.stop
    return tuple(columns)


def _blocks_of(catalogue: Catalogue, spec: SignalSpec) -> set[str]:
    if spec.derived is None:
        return {spec.block}
    parts = (spec.derived.numerator, spec.derived.denominator)
    return {spec.block} | {catalogue.signal(part).block for part in parts}


def _ratio(
    status: Status, value: Values, numerator: int, denominator: int
) -> tuple[Status, Values]:
    """A derived ratio: missing if a part is missing, none on record if a part has no record."""
    parts = status[:, [numerator, denominator]]
    divisor = value[:, denominator]
    present = (parts == SignalStatus.PRESENT).all(axis=1)
    known = usable(parts).all(axis=1)
    computable = present & (divisor > 0)
    ratio = np.divide(value[:, numerator], divisor, out=np.zeros(len(value)), where=computable)
    result = np.where(known, SignalStatus.NONE_ON_RECORD, SignalStatus.NOT_HELD)
    return np.where(computable, SignalStatus.PRESENT, result).astype(np.uint8), ratio
