"""The one shape that both populations of the sandbox have, real and synthetic.

A population is what really happened to everybody; no institution sees it whole.
`records_out` cuts it into what each one keeps. Amounts are whole currency units.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
import numpy.typing as npt

BANKS = ("bank-a", "bank-b", "bank-c")
BANK_SHARES = (0.5, 0.3, 0.2)
PAYMENTS = "payments"
PUBLIC_RECORDS = "public-records"
SORTING_NOISE = 0.7  # against a standardised affluence: banks differ, and overlap

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]
Days = npt.NDArray[np.datetime64]
Codes = npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Filings:
    """Entries of the public record, k of them.

    Attributes:
        person: row of the person, int64[k].
        kind: `node.records.schema.PUBLIC_RECORD_KINDS`, str[k].
        amount: currency units, int64[k]; -1 where the kind has none.
        filed_on: day[k].
        closed_on: day[k], NaT while open.
    """

    person: Integers
    kind: Codes
    amount: Integers
    filed_on: Days
    closed_on: Days


@dataclass(frozen=True, slots=True)
class Population:
    """n people over m months.

    Attributes:
        name: `synthetic` or `uci`.
        seed: of everything drawn for it.
        currency: ISO 4217 code.
        months: first days of the m statement months, oldest first.
        observed_on: when the outcome was known.
        person_id: distinct numbers, int64[n]; identifiers derive from them.
        bank: index into `BANKS`, int64[n].
        credit_limit: int64[n].
        opened_on: day[n], NaT where unknown.
        status: month status codes, str[n, m].
        billed: int64[n, m]; a credit balance is negative.
        paid: int64[n, m].
        at_payments: whether the payments processor knows the person, bool[n].
        filings: the public record, or None where nothing is known of it.
        defaulted: 0 or 1, int64[n].
    """

    name: str
    seed: int
    currency: str
    months: tuple[date, ...]
    observed_on: date
    person_id: Integers
    bank: Integers
    credit_limit: Integers
    opened_on: Days
    status: Codes
    billed: Integers
    paid: Integers
    at_payments: Booleans
    filings: Filings | None
    defaulted: Integers

    def __len__(self) -> int:
        """How many people there are."""
        return len(self.person_id)

    @property
    def as_of_ms(self) -> int:
        """The moment after the last month is over, before the outcome, in UTC milliseconds."""
        last = self.months[-1]
        year, zero_based = divmod(last.year * 12 + last.month, 12)
        return int(datetime(year, zero_based + 1, 1, tzinfo=UTC).timestamp() * 1000)


def assign_banks(affluence: Floats, rng: np.random.Generator) -> Integers:
    """Sort people softly into banks of unequal size and different segments.

    The least affluent fifth goes to bank C, the most affluent three tenths to bank B and the rest
    to bank A, after noise that makes the segments overlap.

    Args:
        affluence: any scale, float64[n].
        rng: source of the noise.

    Returns:
        Index into `BANKS`, int64[n], in exactly `BANK_SHARES`.
    """
    spread = affluence.std() or 1.0
    noisy = (affluence - affluence.mean()) / spread + SORTING_NOISE * rng.normal(
        size=len(affluence)
    )
    rank = noisy.argsort(kind="stable").argsort(kind="stable") / max(len(affluence), 1)
    poorest, richest = BANK_SHARES[2], 1 - BANK_SHARES[1]
    return np.where(rank < poorest, 2, np.where(rank < richest, 0, 1)).astype(np.int64)
