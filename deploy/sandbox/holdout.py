"""Held-out customers: whose outcomes nobody trains on, so that the report can measure.

The file is for the sandbox alone and stands outside every member's directory.
"""

import csv
from pathlib import Path

import numpy as np

from deploy.sandbox.shape import BANKS, Booleans, Population
from protocols.errors import InvalidInput

HELD_OUT_SHARE = 0.2


def choose(population: Population, share: float = HELD_OUT_SHARE) -> Booleans:
    """Hold out a share of every bank's customers, equally of both outcomes.

    Args:
        population: n people.
        share: between 0 and 1.

    Returns:
        bool[n], the same for the same population and seed.
    """
    rng = np.random.default_rng([population.seed, 0x40])
    held = np.zeros(len(population), dtype=np.bool_)
    for bank in range(len(BANKS)):
        for label in (0, 1):
            stratum = np.flatnonzero((population.bank == bank) & (population.defaulted == label))
            rng.shuffle(stratum)
            held[stratum[: round(share * len(stratum))]] = True
    return held


def read(path: Path) -> dict[str, int]:
    """The held-out outcomes: customer id -> 0 or 1.

    Raises:
        InvalidInput: the file is missing or not as `records_out` writes it.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return {row["customer_id"]: int(row["defaulted"]) for row in csv.DictReader(stream)}
    except (OSError, KeyError, ValueError) as error:
        raise InvalidInput(
            f"{path} holds no readable held-out outcomes",
            next_step="Make the sandbox anew with `credence demo --reset`.",
        ) from error
