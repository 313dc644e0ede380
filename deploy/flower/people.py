"""The sandbox's synthetic people with the signals that institutions would make of their records.

The population is written out as each institution's records and read back through the nodes' own
cleaning and signal definitions, once for all virtual nodes.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.sandbox.identities import identifiers
from deploy.sandbox.population import generate
from deploy.sandbox.records_out import write
from deploy.sandbox.shape import BANKS, PAYMENTS, PUBLIC_RECORDS
from models.catalogue import load_default
from node.records.cleaning import clean
from node.records.connectors import CsvDirectory
from node.signals.compute import compute
from node.signals.windows import AsOf

Held = dict[str, tuple[int, float]]
SMALLEST = 100


@dataclass(frozen=True)
class Person:
    """One customer.

    Attributes:
        number: its number in the population.
        own: signals of the bank that it is a customer of, (status, value) by id.
        answered: what payments and the public record say.
        defaulted: 0 or 1.
    """

    number: int
    own: Held
    answered: Held
    defaulted: int


@dataclass(frozen=True)
class People:
    """Everybody, and the moment that their signals are for, UTC milliseconds."""

    everybody: tuple[Person, ...]
    as_of_ms: int


def make_people(size: int, seed: int) -> People:
    """Draw `size` people; the same seed gives the same."""
    population = generate(seed, max(size, SMALLEST))
    as_of = AsOf(population.as_of_ms)
    wanted = [spec.id for spec in load_default().signals if spec.derived is None]
    own: dict[str, Held] = {}
    answered: dict[str, Held] = {}
    with TemporaryDirectory() as scratch:
        written = write(population, Path(scratch), Path(scratch) / "holdout.csv")
        for member_id in (*BANKS, PAYMENTS, PUBLIC_RECORDS):
            records = clean(CsvDirectory(written.directories[member_id]).read())
            rows = compute(records, wanted, as_of).rows()
            kept = own if member_id in BANKS else answered
            for name, row in zip(records.customers["identifier"].to_pylist(), rows, strict=True):
                kept.setdefault(name, {}).update(row)
    names = identifiers(population.seed, population.person_id)[:size]
    everybody = tuple(
        Person(number, own[name], answered.get(name, {}), int(population.defaulted[number]))
        for number, name in enumerate(names)
    )
    return People(everybody, as_of.at_ms)
