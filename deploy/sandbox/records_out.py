"""A population becomes what each member's own systems would deliver: CSV files by institution.

Nobody sees the population whole: a bank writes its own customers' accounts, statuses and training
outcomes; the payments processor billed and paid amounts of whom it knows; the public-record
publisher its entries. The same person has another customer id and another row at each of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from deploy.sandbox import holdout
from deploy.sandbox.identities import identifiers
from deploy.sandbox.shape import BANKS, PAYMENTS, PUBLIC_RECORDS, Booleans, Integers, Population
from protocols.errors import InvalidInput

PREFIXES = {"bank-a": "A", "bank-b": "B", "bank-c": "C", PAYMENTS: "P", PUBLIC_RECORDS: "R"}


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Attributes:
        as_of_ms: the moment to compute signals for.
        directories: member id -> its directory of CSV files.
        customers: member id -> number of its customers.
        holdout: the file of held-out outcomes (customer_id, defaulted).
        held_out: number of held-out customers.
    """

    as_of_ms: int
    directories: Mapping[str, Path]
    customers: Mapping[str, int]
    holdout: Path
    held_out: int


@dataclass(frozen=True, slots=True)
class _Member:
    """One member's view: the rows of its people in its own order, and its names for them."""

    member_id: str
    rows: Integers
    customer_ids: pa.Array

    @property
    def account_ids(self) -> pa.Array:
        return pc.binary_join_element_wise(self.customer_ids, "01", "-")


def write(population: Population, inbox: Path, holdout_file: Path) -> Written:
    """Write the CSV directories of all members and the held-out outcomes.

    Args:
        population: everybody.
        inbox: gets one directory per member id.
        holdout_file: outside every member's directory.

    Raises:
        InvalidInput: a directory cannot be written.
    """
    held = holdout.choose(population)
    members = _members(population)
    names = pa.array(identifiers(population.seed, population.person_id))
    try:
        for member in members:
            directory = inbox / member.member_id
            directory.mkdir(parents=True, exist_ok=True)
            for name, table in _tables(population, member, names, held).items():
                _write(table, directory / f"{name}.csv")
        _write(_holdout_table(population, members, held), holdout_file)
    except OSError as error:
        raise InvalidInput(
            f"cannot write the records below {inbox}: {error.strerror or error}",
            next_step="Give a directory with room and permission to write.",
        ) from error
    return Written(
        as_of_ms=population.as_of_ms,
        directories={member.member_id: inbox / member.member_id for member in members},
        customers={member.member_id: len(member.rows) for member in members},
        holdout=holdout_file,
        held_out=int(held.sum()),
    )


def _members(population: Population) -> list[_Member]:
    everybody = np.arange(len(population))
    known = {bank: everybody[population.bank == index] for index, bank in enumerate(BANKS)}
    known[PAYMENTS] = everybody[population.at_payments]
    known[PUBLIC_RECORDS] = everybody
    streams = np.random.SeedSequence([population.seed, 0x0D]).spawn(len(known))
    return [
        _member(member_id, rows, np.random.default_rng(stream))
        for (member_id, rows), stream in zip(known.items(), streams, strict=True)
    ]


def _member(member_id: str, rows: Integers, rng: np.random.Generator) -> _Member:
    order = rng.permutation(rows)
    customers = [f"{PREFIXES[member_id]}{number:07d}" for number in range(1, len(order) + 1)]
    return _Member(member_id, order, pa.array(customers, pa.string()))


def _tables(
    population: Population, member: _Member, names: pa.Array, held: Booleans
) -> dict[str, pa.Table]:
    customers = {"customer_id": member.customer_ids, "identifier": names.take(member.rows)}
    tables = {"customers": pa.table(customers)}
    if member.member_id in BANKS:
        tables["accounts"] = _accounts(population, member)
        tables["statements"] = _statements(population, member, with_status=True)
        tables["outcomes"] = _outcomes(population, member, held)
    elif member.member_id == PAYMENTS:
        tables["statements"] = _statements(population, member, with_status=False)
    elif population.filings is not None:
        tables["public_records"] = _filings(population, member)
    return tables


def _accounts(population: Population, member: _Member) -> pa.Table:
    size = len(member.rows)
    return pa.table(
        {
            "customer_id": member.customer_ids,
            "account_id": member.account_ids,
            "opened_on": pa.array(population.opened_on[member.rows]),
            "credit_limit": population.credit_limit[member.rows],
            "currency": pa.array([population.currency] * size, pa.string()),
        }
    )


def _statements(population: Population, member: _Member, *, with_status: bool) -> pa.Table:
    months = len(population.months)
    labels = pa.array([f"{month:%Y-%m}" for month in population.months])
    size = len(member.rows) * months
    people = pa.array(np.repeat(np.arange(len(member.rows)), months))
    columns = {
        "customer_id": member.customer_ids.take(people),
        "account_id": member.account_ids.take(people),
        "month": labels.take(pa.array(np.tile(np.arange(months), len(member.rows)))),
        "status": pa.nulls(size, pa.string()),
        "billed": pa.nulls(size, pa.int64()),
        "paid": pa.nulls(size, pa.int64()),
    }
    if with_status:
        columns["status"] = pa.array(population.status[member.rows].ravel())
    else:
        columns["billed"] = pa.array(population.billed[member.rows].ravel())
        columns["paid"] = pa.array(population.paid[member.rows].ravel())
    return pa.table(columns)


def _outcomes(population: Population, member: _Member, held: Booleans) -> pa.Table:
    training = ~held[member.rows]
    size = int(training.sum())
    return pa.table(
        {
            "customer_id": member.customer_ids.filter(pa.array(training)),
            "defaulted": population.defaulted[member.rows][training],
            "observed_on": pa.array([population.observed_on] * size, pa.date32()),
        }
    )


def _filings(population: Population, member: _Member) -> pa.Table:
    filings = population.filings
    if filings is None:
        raise ValueError("this population has no public record")
    place = np.empty(len(population), dtype=np.int64)
    place[member.rows] = np.arange(len(member.rows))
    people = place[filings.person]
    order = people.argsort(kind="stable")
    return pa.table(
        {
            "customer_id": member.customer_ids.take(pa.array(people[order])),
            "kind": pa.array(filings.kind[order]),
            "amount": pa.array(filings.amount[order], mask=filings.amount[order] < 0),
            "filed_on": pa.array(filings.filed_on[order]),
            "closed_on": pa.array(filings.closed_on[order]),
        }
    )


def _holdout_table(population: Population, members: list[_Member], held: Booleans) -> pa.Table:
    parts = []
    for member in members[: len(BANKS)]:
        chosen = held[member.rows]
        parts.append(
            pa.table(
                {
                    "customer_id": member.customer_ids.filter(pa.array(chosen)),
                    "defaulted": population.defaulted[member.rows][chosen],
                }
            )
        )
    return pa.concat_tables(parts)


def _write(table: pa.Table, path: Path) -> None:
    pacsv.write_csv(table, path, pacsv.WriteOptions(quoting_style="none"))
