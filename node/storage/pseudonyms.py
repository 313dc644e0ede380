"""Shares of pseudonym keys, counted evaluations, and the pseudonyms that were asked for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.dialects import sqlite

from audit.bulk import Prepared
from audit.database import Connection
from node.storage.retention_tables import legal_hold
from node.storage.rights_tables import OF_PEOPLE
from node.storage.tables import (
    consent,
    enrolled,
    enrolment_epoch,
    evaluation_count,
    key_share,
    outcome,
    signal_vector,
    subject,
)

IN_LIST = 500  # bound parameters a statement; every database takes this many


@dataclass(frozen=True)
class ShareRow:
    """A sealed share."""

    ceremony_id: str
    epoch: int
    share_index: int
    sealed: bytes
    at_ms: int


def put_share(connection: Connection, row: ShareRow) -> None:
    """Store the share of a ceremony; an earlier one of the same ceremony is replaced."""
    connection.execute(delete(key_share).where(key_share.c.ceremony_id == row.ceremony_id))
    connection.execute(insert(key_share).values(**row.__dict__))


def share(connection: Connection, ceremony_id: str) -> ShareRow | None:
    """The share of a ceremony, or None."""
    found = connection.execute(select(key_share).where(key_share.c.ceremony_id == ceremony_id))
    row = found.mappings().one_or_none()
    return ShareRow(**row) if row is not None else None


def shares(connection: Connection) -> list[ShareRow]:
    """All shares, oldest epoch first."""
    rows = connection.execute(select(key_share).order_by(key_share.c.epoch, key_share.c.at_ms))
    return [ShareRow(**row) for row in rows.mappings()]


def drop_shares_below(connection: Connection, epoch: int) -> int:
    """Destroy the shares of epochs before `epoch`; how many."""
    return connection.execute(delete(key_share).where(key_share.c.epoch < epoch)).rowcount


def evaluations(connection: Connection, requester: str, day: int) -> int:
    """How many elements were evaluated for a member on a day."""
    found = connection.execute(
        select(evaluation_count.c.elements).where(
            evaluation_count.c.requester == requester, evaluation_count.c.day == day
        )
    ).scalar_one_or_none()
    return int(found or 0)


def count_evaluations(connection: Connection, requester: str, day: int, elements: int) -> int:
    """Add to a member's count of the day, whoever else does; the count afterwards."""
    counted = evaluation_count.c
    statement = _insert(connection)(evaluation_count).values(
        requester=requester, day=day, elements=elements
    )
    added = statement.on_conflict_do_update(
        index_elements=[counted.requester, counted.day],
        set_={"elements": counted.elements + elements},
    )
    total: int = connection.execute(added.returning(counted.elements)).scalar_one()
    return total


def _insert(connection: Connection) -> Any:
    """What makes an INSERT with a conflict clause; SQL has none that all databases know."""
    if connection.dialect.name != "postgresql":
        return sqlite.insert
    from sqlalchemy.dialects import postgresql  # with three drivers' dialects: only where used

    return postgresql.insert


def forget_days_before(connection: Connection, day: int) -> None:
    """Drop the counts of days that are over; the log keeps them."""
    connection.execute(delete(evaluation_count).where(evaluation_count.c.day < day))


def find_enrolled(
    connection: Connection, epoch: int, cache_keys: Iterable[bytes]
) -> dict[bytes, bytes]:
    """Pseudonyms of an epoch by cache key, as far as they were asked for."""
    found: dict[bytes, bytes] = {}
    ordered = sorted(set(cache_keys))
    for start in range(0, len(ordered), IN_LIST):
        chunk = ordered[start : start + IN_LIST]
        query = select(enrolled.c.cache_key, enrolled.c.pseudonym).where(
            enrolled.c.epoch == epoch, enrolled.c.cache_key.in_(chunk)
        )
        found.update((row[0], row[1]) for row in connection.execute(query))
    return found


def put_enrolled(connection: Connection, epoch: int, names: Mapping[bytes, bytes]) -> None:
    """Keep pseudonyms of an epoch by cache key; those that are kept already stay."""
    held = find_enrolled(connection, epoch, names)
    rows = [
        {"epoch": epoch, "cache_key": key, "pseudonym": name}
        for key, name in names.items()
        if key not in held
    ]
    if rows:
        connection.execute(insert(enrolled), rows)


def count_enrolled(connection: Connection) -> dict[int, int]:
    """How many pseudonyms are kept, by epoch."""
    query = select(enrolled.c.epoch, func.count()).group_by(enrolled.c.epoch)
    return {int(epoch): int(number) for epoch, number in connection.execute(query)}


def has_aliases(connection: Connection) -> bool:
    """Whether pseudonyms of more than one epoch are kept; two look-ups in an index."""
    ((low, high),) = _EPOCHS.rows(connection)
    return bool(low != high)


# Built once: it is run for every group of exchanged requests.
_EPOCHS = Prepared(
    select(
        select(func.min(enrolled.c.epoch)).scalar_subquery().label("low"),
        select(func.max(enrolled.c.epoch)).scalar_subquery().label("high"),
    )
)


def aliases(connection: Connection) -> dict[bytes, bytes]:
    """A pseudonym of another epoch -> that in use here, for everybody this node knows."""
    other = enrolled.alias()
    query = (
        select(other.c.pseudonym, subject.c.pseudonym)
        .join(enrolled, enrolled.c.pseudonym == subject.c.pseudonym)
        .join(other, other.c.cache_key == enrolled.c.cache_key)
        .where(other.c.pseudonym != subject.c.pseudonym)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def alias_marker(connection: Connection) -> tuple[int, int]:
    """Changes whenever `aliases` may: kept rows, and the epoch in force."""
    if not has_aliases(connection):
        return 0, 0
    kept = connection.execute(select(func.count()).select_from(enrolled)).scalar_one()
    return int(kept), epoch_in_force(connection) or 0


def aliases_of(connection: Connection, pseudonyms: Sequence[bytes]) -> dict[bytes, list[bytes]]:
    """The pseudonyms of other epochs of some people, by that in use here."""
    found: dict[bytes, list[bytes]] = {}
    if not has_aliases(connection):
        return found
    other = enrolled.alias()
    for start in range(0, len(pseudonyms), IN_LIST):
        query = (
            select(enrolled.c.pseudonym, other.c.pseudonym)
            .join(other, other.c.cache_key == enrolled.c.cache_key)
            .where(
                enrolled.c.pseudonym.in_(pseudonyms[start : start + IN_LIST]),
                other.c.pseudonym != enrolled.c.pseudonym,
            )
        )
        for name, alias in connection.execute(query):
            found.setdefault(name, []).append(alias)
    return found


def renamed(connection: Connection, epoch: int) -> dict[bytes, bytes | None]:
    """Everybody known here: the pseudonym in use -> that of `epoch`, None where it was not made."""
    other = enrolled.alias()
    query = (
        select(subject.c.pseudonym, other.c.pseudonym)
        .outerjoin(enrolled, enrolled.c.pseudonym == subject.c.pseudonym)
        .outerjoin(other, (other.c.cache_key == enrolled.c.cache_key) & (other.c.epoch == epoch))
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def rename(connection: Connection, names: Mapping[bytes, bytes]) -> None:
    """Give people other pseudonyms wherever this node's tables name them."""
    values = [{"was": was, "becomes": becomes} for was, becomes in names.items()]
    if not values:
        return
    for table in (subject, signal_vector, outcome, consent, legal_hold, *OF_PEOPLE):
        statement = (
            update(table)
            .where(table.c.pseudonym == bindparam("was"))
            .values(pseudonym=bindparam("becomes"))
        )
        connection.execute(statement, values)


def forget_epochs_but(connection: Connection, kept: Iterable[int]) -> None:
    """Drop the pseudonyms of all other epochs."""
    connection.execute(delete(enrolled).where(enrolled.c.epoch.not_in(list(kept))))


def forget_unknown(connection: Connection) -> None:
    """Drop the rows, of all epochs, of people this node no longer knows."""
    known = select(enrolled.c.cache_key).join(subject, subject.c.pseudonym == enrolled.c.pseudonym)
    connection.execute(delete(enrolled).where(enrolled.c.cache_key.not_in(known)))


def epoch_in_force(connection: Connection) -> int | None:
    """The epoch of the pseudonyms in this node's tables; None before the first ingest."""
    found = connection.execute(select(func.max(enrolment_epoch.c.epoch))).scalar_one_or_none()
    return int(found) if found is not None else None


def put_epoch_in_force(connection: Connection, epoch: int, at_ms: int) -> None:
    """Note that this node's tables use the pseudonyms of `epoch`."""
    if epoch_in_force(connection) != epoch:
        connection.execute(insert(enrolment_epoch).values(epoch=epoch, since_ms=at_ms))
