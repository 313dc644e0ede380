"""Known outcomes, the labels of training: 1 = the customer defaulted."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, select

from audit.database import Connection
from node.storage.tables import outcome


@dataclass(frozen=True, slots=True)
class Outcome:
    """One label; `label` is 0 or 1, `observed_at_ms` the time it was known."""

    pseudonym: bytes
    label: int
    observed_at_ms: int


def replace_all(connection: Connection, outcomes: Iterable[Outcome]) -> None:
    """Make `outcomes` the outcomes this node knows."""
    rows = [
        {"pseudonym": one.pseudonym, "label": one.label, "observed_at_ms": one.observed_at_ms}
        for one in outcomes
    ]
    connection.execute(delete(outcome))
    if rows:
        connection.execute(insert(outcome), rows)


def labels(connection: Connection) -> dict[bytes, int]:
    """All labels by pseudonym, in the order of the pseudonyms."""
    rows = connection.execute(
        select(outcome.c.pseudonym, outcome.c.label).order_by(outcome.c.pseudonym)
    )
    return {row.pseudonym: row.label for row in rows}


def of_subject(connection: Connection, pseudonym: bytes) -> int | None:
    """The label of one person, or None."""
    query = select(outcome.c.label).where(outcome.c.pseudonym == pseudonym)
    return connection.execute(query).scalar_one_or_none()


def count(connection: Connection) -> int:
    """How many outcomes are known."""
    return connection.execute(select(func.count()).select_from(outcome)).scalar_one()
