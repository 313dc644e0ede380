"""Known outcomes, the labels of training: 1 = the customer defaulted.

They come from the institution's own records and from what clients report of their scores
(`node.storage.reported_outcomes`). Of both about one person, the newer observation counts.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, select

from audit.database import Connection
from node.storage import reported_outcomes
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
    query = select(outcome.c.pseudonym, outcome.c.label, outcome.c.observed_at_ms)
    own = {row.pseudonym: (row.observed_at_ms, row.label) for row in connection.execute(query)}
    found = dict(own)
    for pseudonym, one in reported_outcomes.labels(connection).items():
        if pseudonym not in own or one.observed_at_ms > own[pseudonym][0]:
            found[pseudonym] = (one.observed_at_ms, one.label)
    return {pseudonym: int(found[pseudonym][1]) for pseudonym in sorted(found)}


def of_subject(connection: Connection, pseudonym: bytes) -> int | None:
    """The label of one person, or None."""
    query = select(outcome).where(outcome.c.pseudonym == pseudonym)
    own = connection.execute(query).one_or_none()
    reported = reported_outcomes.labels(connection, pseudonym).get(pseudonym)
    if own is None or (reported is not None and reported.observed_at_ms > own.observed_at_ms):
        return None if reported is None else reported.label
    return int(own.label)


def count(connection: Connection) -> int:
    """How many outcomes the institution's own records have."""
    return connection.execute(select(func.count()).select_from(outcome)).scalar_one()
