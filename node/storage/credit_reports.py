"""Reports that were given to people, counted by year."""

from dataclasses import dataclass

from sqlalchemy import insert, select

from audit.database import Connection
from node.storage.rights_tables import credit_report


@dataclass(frozen=True, slots=True)
class Report:
    """One report that was given to a person."""

    year: int
    number: int
    at_ms: int
    leaf_seq: int


def of_person(connection: Connection, pseudonym: bytes) -> list[Report]:
    """Reports of a person, the newest first."""
    query = (
        select(credit_report)
        .where(credit_report.c.pseudonym == pseudonym)
        .order_by(credit_report.c.year.desc(), credit_report.c.number.desc())
    )
    return [
        Report(row.year, row.number, row.at_ms, row.leaf_seq) for row in connection.execute(query)
    ]


def once(connection: Connection, pseudonym: bytes, key: str) -> Report | None:
    """The report that a form made when it was first sent, or None."""
    query = select(credit_report).where(
        credit_report.c.pseudonym == pseudonym, credit_report.c.once == key
    )
    row = connection.execute(query).first()
    return None if row is None else Report(row.year, row.number, row.at_ms, row.leaf_seq)


def add(connection: Connection, pseudonym: bytes, report: Report, key: str | None) -> None:
    """Count a report."""
    connection.execute(
        insert(credit_report).values(
            pseudonym=pseudonym,
            year=report.year,
            number=report.number,
            at_ms=report.at_ms,
            leaf_seq=report.leaf_seq,
            once=key,
        )
    )
