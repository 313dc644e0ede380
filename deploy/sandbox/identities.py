"""Fictitious resident identifiers, valid in form and checksum, that belong to nobody.

They begin with 99, an administrative division that GB/T 2260 does not assign. Birth date and
sequence number are drawn: they say nothing about the person of the population.
"""

from datetime import date, timedelta

import numpy as np

from deploy.sandbox.shape import Integers
from protocols.legal_ids import check_digit

DIVISIONS = 10_000
BIRTHDAYS = 14_610  # forty years of days
SEQUENCES = 1_000
FIRST_BIRTHDAY = date(1955, 1, 1)
SPACE = DIVISIONS * BIRTHDAYS * SEQUENCES


def identifiers(seed: int, person_ids: Integers) -> list[str]:
    """One identifier of 18 places for each person.

    An affine map modulo the number of identifiers takes distinct persons to distinct ones.

    Args:
        seed: another seed gives other identifiers.
        person_ids: distinct numbers from 0 below 10 million.

    Raises:
        ValueError: a number is out of range.
    """
    if len(person_ids) and not 0 <= person_ids.min() <= person_ids.max() < 10_000_000:
        raise ValueError("person ids are numbers from 0 below 10 million")
    rng = np.random.default_rng([seed, 0x1D])
    # One more than a multiple of SPACE's prime factors 2, 3, 5 and 487: the map is one to one.
    factor = int(rng.integers(1, SPACE // BIRTHDAYS)) * BIRTHDAYS + 1
    shift = int(rng.integers(0, SPACE))
    places = [(int(person) * factor + shift) % SPACE for person in person_ids]
    return [_identifier(place) for place in places]


def _identifier(place: int) -> str:
    rest, sequence = divmod(place, SEQUENCES)
    division, day = divmod(rest, BIRTHDAYS)
    birthday = FIRST_BIRTHDAY + timedelta(days=day)
    body = f"99{division:04d}{birthday:%Y%m%d}{sequence:03d}"
    return body + check_digit(body)
