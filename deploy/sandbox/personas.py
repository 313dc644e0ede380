"""People of the sandbox with fixed references, each for one kind of answer.

A developer calls with `sub_sandbox...prime` and `con_sandbox...prime` and gets the same kind of
answer every time, on every machine. They are customers of the first bank like everybody: their
records are ingested, they sign consents, they withdraw, freeze and dispute as people do. Only their
references are chosen instead of derived.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.sandbox.identities import identifiers

SEED = 20_251_001
AS_OF_MS = 1_759_276_800_000  # 2025-10-01, after the last month of the statements
MONTHS = tuple(f"2025-{month:02d}" for month in range(4, 10))
SILENT = "silent-registry"
"""The member that joined and never answers: whom it is asked of waits until the deadline."""


@dataclass(frozen=True, slots=True)
class Persona:
    """One person.

    Attributes:
        name: as in the references.
        answer: the kind of answer, in a few words.
        limit: of their account at the bank.
        statuses: of the last months, oldest first; shorter: the account is younger.
        billed: by the payments processor, each month; empty: it does not know them.
        paid: likewise.
        enforcement: amount of an open enforcement; 0: none.
        holders: member ids asked beside the bank; empty: every source that answers.
    """

    name: str
    answer: str
    limit: int
    statuses: str
    billed: tuple[int, ...] = ()
    paid: tuple[int, ...] = ()
    enforcement: int = 0
    holders: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """The reference of the person at the bank."""
        return f"sub_{self._place}"

    @property
    def consent(self) -> str:
        """The id of their consent."""
        return f"con_{self._place}"

    @property
    def customer_id(self) -> str:
        """The bank's own number."""
        return f"persona-{self.name}"

    @property
    def _place(self) -> str:
        return f"sandbox{self.name:a>19}"


_STEADY = (12_000, 11_500, 12_400, 11_900, 12_200, 12_000)
_FULL = (95_000, 96_500, 97_000, 98_000, 98_500, 99_000)
_LITTLE = (1_000, 900, 800, 500, 0, 0)

PERSONAS: tuple[Persona, ...] = (
    Persona("prime", "the best score, no reason against it", 800_000, "CCCCCC", _STEADY, _STEADY),
    Persona("thinfile", "no score: `too_thin`", 10_000, ""),
    Persona("disputed", "a score with a disputed item", 80_000, "NNN1NN", _STEADY, _STEADY),
    Persona("frozen", "refused: `subject_frozen`", 80_000, "NNNNNN", _STEADY, _STEADY),
    Persona("withdrawn", "refused: `consent_withdrawn`", 80_000, "NNNNNN", _STEADY, _STEADY),
    Persona("overindebted", "a low score", 100_000, "N12345", _FULL, _LITTLE, enforcement=240_000),
    Persona(
        "slowholder",
        "a score without the holder that is late",
        200_000,
        "CCCCCC",
        _STEADY,
        _STEADY,
        holders=("payments", "public-records", SILENT),
    ),
)


def by_name(name: str) -> Persona:
    """One of `PERSONAS`."""
    return next(one for one in PERSONAS if one.name == name)


def identifier_of(persona: Persona) -> str:
    """Their fictitious resident identifier."""
    import numpy as np

    return identifiers(SEED, np.array([PERSONAS.index(persona)]))[0]


def write(inbox: Path) -> dict[str, Path]:
    """Write what each institution's own systems would deliver of them: member id -> directory."""
    tables: dict[str, dict[str, tuple[Sequence[str], list[Sequence[Any]]]]] = {
        "bank-a": {
            "customers": (("customer_id", "identifier"), _customers(PERSONAS)),
            "accounts": (
                ("customer_id", "account_id", "opened_on", "credit_limit", "currency"),
                [(_of(one), f"{_of(one)}-01", _opened(one), one.limit, "CNY") for one in PERSONAS],
            ),
            "statements": (_STATEMENT, [row for one in PERSONAS for row in _statuses(one)]),
        },
        "payments": {
            "customers": (("customer_id", "identifier"), _customers(_paying())),
            "statements": (_STATEMENT, [row for one in _paying() for row in _payments(one)]),
        },
        "public-records": {
            "customers": (("customer_id", "identifier"), _customers(PERSONAS)),
            "public_records": (
                ("customer_id", "kind", "amount", "filed_on", "closed_on"),
                [(_of(one), "enforcement", one.enforcement, "2025-02-03", "")
                 for one in PERSONAS if one.enforcement],
            ),
        },
    }  # fmt: skip
    for member, contents in tables.items():
        (inbox / member).mkdir(parents=True, exist_ok=True)
        for name, (header, rows) in contents.items():
            with (inbox / member / f"{name}.csv").open("w", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows([header, *rows])
    return {member: inbox / member for member in tables}


_STATEMENT = ("customer_id", "account_id", "month", "status", "billed", "paid")


def _paying() -> list[Persona]:
    return [one for one in PERSONAS if one.billed]


def _customers(people: Iterable[Persona]) -> list[Sequence[Any]]:
    return [(_of(one), identifier_of(one)) for one in people]


def _of(persona: Persona) -> str:
    return persona.customer_id


def _opened(persona: Persona) -> str:
    return "2019-05-20" if persona.statuses else "2025-09-20"


def _statuses(persona: Persona) -> list[Sequence[Any]]:
    months = MONTHS[len(MONTHS) - len(persona.statuses) :]
    return [(_of(persona), f"{_of(persona)}-01", month, status, "", "")
            for month, status in zip(months, persona.statuses, strict=True)]  # fmt: skip


def _payments(persona: Persona) -> list[Sequence[Any]]:
    months = zip(MONTHS, persona.billed, persona.paid, strict=True)
    account = f"{_of(persona)}-01"
    return [(_of(persona), account, month, "", billed, paid) for month, billed, paid in months]
