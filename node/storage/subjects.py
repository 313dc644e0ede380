"""The people this institution knows: pseudonym, local reference, customer id.

`subject_ref` is what the node shows to its own clients, `customer_id` is the institution's own and
never travels, `pseudonym` is what the network computes on.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, func, insert, select

from audit.bulk import SelectByKeys
from audit.database import Connection
from node.storage.tables import subject
from protocols.errors import NotFound

IN_LIST = 500  # bound parameters a statement; every database takes this many


class UnknownSubject(NotFound):
    """This node knows nobody by that reference."""

    code = "subject_unknown"
    next_step = "Check the reference; ingest the records of this person first."


@dataclass(frozen=True, slots=True)
class Subject:
    """One person as this institution knows them.

    Attributes:
        pseudonym: 32 bytes.
        subject_ref: local reference, "sub_" and 26 characters.
        customer_id: the institution's own identifier.
        enrolled_at_ms: when the node first saw the person.
    """

    pseudonym: bytes
    subject_ref: str
    customer_id: str
    enrolled_at_ms: int


def replace_all(connection: Connection, subjects: Iterable[Subject]) -> None:
    """Make `subjects` the people this node knows.

    Whoever was known keeps `enrolled_at_ms` and `subject_ref`: clients hold references, which
    outlive a change of pseudonyms.
    """
    known = {
        row.pseudonym: row
        for row in connection.execute(
            select(subject.c.pseudonym, subject.c.subject_ref, subject.c.enrolled_at_ms)
        )
    }
    rows = [
        {
            "pseudonym": one.pseudonym,
            "subject_ref": known.get(one.pseudonym, one).subject_ref,
            "customer_id": one.customer_id,
            "enrolled_at_ms": known.get(one.pseudonym, one).enrolled_at_ms,
        }
        for one in subjects
    ]
    connection.execute(delete(subject))
    if rows:
        connection.execute(insert(subject), rows)


def find(connection: Connection, pseudonym: bytes) -> Subject | None:
    """The subject with this pseudonym, or None."""
    return _first(connection, subject.c.pseudonym == pseudonym)


def by_pseudonym(connection: Connection, pseudonym: bytes) -> Subject:
    """The subject with this pseudonym.

    Raises:
        UnknownSubject: nobody has it here.
    """
    return _known(find(connection, pseudonym))


def by_ref(connection: Connection, subject_ref: str) -> Subject:
    """The subject with this local reference.

    Raises:
        UnknownSubject: nobody has it here.
    """
    return _known(by_refs(connection, [subject_ref]).get(subject_ref))


def by_refs(connection: Connection, subject_refs: Iterable[str]) -> dict[str, Subject]:
    """The subjects with these local references, by reference; who is unknown is absent."""
    rows = _BY_REFS(connection, sorted(set(subject_refs)))
    return {one.subject_ref: one for one in (Subject(*row) for row in rows)}


def by_customer(connection: Connection, customer_id: str) -> Subject:
    """The subject with this customer id.

    Raises:
        UnknownSubject: nobody has it here.
    """
    return _known(_first(connection, subject.c.customer_id == customer_id))


def all_subjects(connection: Connection) -> list[Subject]:
    """All subjects, in the order of their customer ids."""
    rows = connection.execute(select(subject).order_by(subject.c.customer_id))
    return [_from_row(row) for row in rows]


def pseudonyms(connection: Connection) -> list[bytes]:
    """The pseudonyms of all people this node knows."""
    return list(connection.execute(select(subject.c.pseudonym)).scalars())


def marker(connection: Connection) -> tuple[int, int]:
    """Changes whenever the people this node knows do: their number and the newest enrolment."""
    newest = func.coalesce(func.max(subject.c.enrolled_at_ms), 0)
    number, at_ms = connection.execute(select(func.count(), newest).select_from(subject)).one()
    return int(number), int(at_ms)


def known_among(connection: Connection, wanted: Iterable[bytes]) -> set[bytes]:
    """Those of the pseudonyms `wanted` that this node knows."""
    found: set[bytes] = set()
    ordered = sorted(set(wanted))
    for start in range(0, len(ordered), IN_LIST):
        chunk = ordered[start : start + IN_LIST]
        query = select(subject.c.pseudonym).where(subject.c.pseudonym.in_(chunk))
        found.update(connection.execute(query).scalars())
    return found


def count(connection: Connection) -> int:
    """How many people this node knows."""
    return connection.execute(select(func.count()).select_from(subject)).scalar_one()


_BY_REFS = SelectByKeys(
    lambda keys: select(
        subject.c.pseudonym, subject.c.subject_ref, subject.c.customer_id, subject.c.enrolled_at_ms
    ).where(subject.c.subject_ref.in_(keys))
)


def _first(connection: Connection, condition: Any) -> Subject | None:
    row = connection.execute(select(subject).where(condition)).first()
    return None if row is None else _from_row(row)


def _known(found: Subject | None) -> Subject:
    if found is None:
        raise UnknownSubject("no such subject at this node")
    return found


def _from_row(row: Row[Any]) -> Subject:
    return Subject(
        pseudonym=row.pseudonym,
        subject_ref=row.subject_ref,
        customer_id=row.customer_id,
        enrolled_at_ms=row.enrolled_at_ms,
    )
