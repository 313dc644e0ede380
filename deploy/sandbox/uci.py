"""The real people of the sandbox: 30,000 card clients of a bank in Taiwan, April to September 2005.

Yeh, I-C. (2009), default of credit card clients, UCI Machine Learning Repository,
doi 10.24432/C55S3H, CC BY 4.0. What is taken from it, and what is not:

- `PAY_*` becomes the month status a bank keeps: -2 no consumption `*`, -1 paid in full `C`, 0
  revolving `N`, 1..9 months late `1`..`7`, where 8 and 9 are 7 as in the PBoC's codes.
- `BILL_AMT*` and `PAY_AMT*` become what the payments processor keeps of everybody, by month.
- `LIMIT_BAL` is the credit limit. When an account was opened is not known and stays empty.
- The label is whether the client defaulted in October 2005.
- Credit limit and `AGE` sort people softly into three banks, to give each a segment of its own.
  Beyond that age is not used; sex, education and marriage are used for nothing.
- Nothing is known of these people's public records, and nothing is made up.
"""

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from deploy.sandbox.shape import Codes, Integers, Population, assign_banks
from node.records.connectors import FIRST_ROW_LINE, read_csv
from node.records.errors import RecordsDuplicate, RecordsInvalid, RecordsMissing

LABEL = "default.payment.next.month"
STATUS = ("PAY_6", "PAY_5", "PAY_4", "PAY_3", "PAY_2", "PAY_0")  # April to September
BILLED = tuple(f"BILL_AMT{back}" for back in range(6, 0, -1))
PAID = tuple(f"PAY_AMT{back}" for back in range(6, 0, -1))
PEOPLE = ("LIMIT_BAL", "SEX", "EDUCATION", "MARRIAGE", "AGE")
HEADER = ("ID", *PEOPLE, *STATUS, *BILLED, *PAID, LABEL)
RANGES: dict[str, tuple[int, int]] = {
    "ID": (0, 9_999_999),
    "LIMIT_BAL": (1, 10**9),
    "AGE": (18, 120),
    LABEL: (0, 1),
    **dict.fromkeys(STATUS, (-2, 9)),
    **dict.fromkeys(BILLED, (-(10**9), 10**9)),
    **dict.fromkeys(PAID, (0, 10**9)),
}
CODES = ("*", "C", "N", "1", "2", "3", "4", "5", "6", "7", "7", "7")  # for -2..9
AGE_WEIGHT = 0.5
NUMBER = r"^-?[0-9]{1,12}(\.[0-9]{1,6})?(e\+?[0-9]{1,2})?$"  # the file writes 500000 as 5e+05


def load(path: Path, seed: int) -> Population:
    """Read the real file.

    Args:
        path: `uci-default-of-credit-card-clients.csv`.
        seed: of the banks, identifiers, row orders and held-out customers.

    Raises:
        RecordsMissing: the file is not there or cannot be read.
        RecordsMalformed: it is no CSV with these columns.
        RecordsInvalid: a value is no number, or outside its range or codes.
        RecordsDuplicate: a client is there twice.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RecordsMissing(
            error.strerror or "cannot be read",
            file=str(path),
            next_step="Give the path of the data file with --data, or leave it out.",
        ) from error
    table = read_csv(data, path.name, HEADER)
    if table.num_rows == 0:
        raise RecordsInvalid("holds nobody", file=path.name)
    columns = {name: _numbers(table[name], path.name, name) for name in RANGES}
    _check_distinct(columns["ID"], path.name)
    limits, ages = columns["LIMIT_BAL"], columns["AGE"]
    affluence = _standard(np.log(limits)) + AGE_WEIGHT * _standard(ages)
    size = len(limits)
    return Population(
        name="uci",
        seed=seed,
        currency="TWD",
        months=tuple(date(2005, month, 1) for month in range(4, 10)),
        observed_on=date(2005, 10, 31),
        person_id=columns["ID"],
        bank=assign_banks(affluence, np.random.default_rng([seed, 0xBA])),
        credit_limit=limits,
        opened_on=np.full(size, "NaT", dtype="datetime64[D]"),
        status=_status_codes(np.stack([columns[name] for name in STATUS], axis=1)),
        billed=np.stack([columns[name] for name in BILLED], axis=1),
        paid=np.stack([columns[name] for name in PAID], axis=1),
        at_payments=np.ones(size, dtype=np.bool_),
        filings=None,
        defaulted=columns[LABEL],
    )


def _status_codes(status: Integers) -> Codes:
    return np.asarray(CODES)[status + 2]


def _numbers(text: pa.ChunkedArray, file: str, column: str) -> Integers:
    low, high = RANGES[column]
    trimmed = pc.utf8_trim(text.combine_chunks(), " ")
    readable = pc.match_substring_regex(trimmed, NUMBER)
    numbers = pc.if_else(readable, trimmed, "nan").cast(pa.float64()).to_numpy()
    valid = (numbers >= low) & (numbers <= high) & (numbers == np.floor(numbers))
    wrong = np.flatnonzero(~valid)
    if len(wrong):
        raise RecordsInvalid(
            f"must be a whole number from {low} to {high}",
            file=file,
            line=int(wrong[0]) + FIRST_ROW_LINE,
            column=column,
        )
    return np.asarray(numbers, dtype=np.int64)


def _check_distinct(ids: Integers, file: str) -> None:
    _, firsts = np.unique(ids, return_index=True)
    if len(firsts) == len(ids):
        return
    again = np.ones(len(ids), dtype=np.bool_)
    again[firsts] = False
    line = int(np.flatnonzero(again)[0]) + FIRST_ROW_LINE
    raise RecordsDuplicate(
        "this client stands further up already", file=file, line=line, column="ID"
    )


def _standard(values: Integers) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    spread = values.std() or 1.0
    return np.asarray((values - values.mean()) / spread, dtype=np.float64)
