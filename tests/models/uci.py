"""The real credit-card clients (UCI 350, Yeh 2009) mapped to the signals of the catalogue."""

from pathlib import Path

import numpy as np

from models.catalogue import Catalogue, SignalStatus
from tests.models.population import Population, signals_of


def load(catalogue: Catalogue, path: Path) -> Population:
    """All clients; three banks of unequal size and different segments of the credit limit."""
    table = np.genfromtxt(path, delimiter=",", names=True, deletechars='"')
    columns = {name.strip('"'): table[name] for name in table.dtype.names}
    months = (1, 2, 3, 4, 5, 6)
    state = np.stack([columns[f"PAY_{m}"] for m in (0, 2, 3, 4, 5, 6)], axis=1).astype(np.int64)
    billed = np.stack([columns[f"BILL_AMT{m}"] for m in months], axis=1)
    paid = np.stack([columns[f"PAY_AMT{m}"] for m in months], axis=1)
    limit = columns["LIMIT_BAL"]
    label = next(values for name, values in columns.items() if name.startswith("default"))
    value = np.zeros((len(limit), len(catalogue.signals)))
    status = np.full(value.shape, SignalStatus.NOT_HELD, np.uint8)
    for name, column in signals_of(state, billed, paid, limit).items():
        position = catalogue.index[name]
        value[:, position] = np.nan_to_num(column)
        status[:, position] = np.where(
            np.isnan(column), SignalStatus.NONE_ON_RECORD, SignalStatus.PRESENT
        )
    rng = np.random.default_rng(20090101)
    segment = np.log(limit) + rng.normal(0, 0.5, len(limit))
    bank = np.searchsorted(np.quantile(segment, [0.2, 0.5]), segment)
    return Population(status, value, label.astype(np.int64), bank)
