"""Status lists in the database: the own one, and what is known of other controllers'.

A row of `status_doubt` is a consent in force here that the newest list of its controller does not
call valid, or does not speak of yet. `status_proof.doubts` counts them, so that a decision looks
for them only where there are some.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import delete, func, insert, select, update

from audit.bulk import SelectByKeys
from audit.database import Connection
from consent.lifecycle import State
from consent.status_list import MAX_ENTRIES, Listed, StatusListFull
from node.storage.status_tables import status_doubt, status_entry, status_list, status_proof
from node.storage.tables import consent, consent_superseded

IN_LIST = 500  # bound parameters a statement; every database takes this many
NO_INDEX = -1  # the delivery came without one


class Change(NamedTuple):
    """One entry of the own list, as it is since the leaf `changed`."""

    status_index: int
    status: int
    changed: int


class Proof(NamedTuple):
    """What the newest list of another controller proves, and until when.

    Attributes:
        controller: member id.
        until_ms: by the wall clock, UTC milliseconds.
        until_elapsed_ms: by the time since the machine's start `boot_id`, milliseconds.
        boot_id: of that start.
        doubts: consents of it that are in force here and that it does not call valid.
        version: of the list.
        entries: how many indices it covers.
        bits_sha256: of its bits.
    """

    controller: str
    until_ms: int
    until_elapsed_ms: int
    boot_id: str
    doubts: int
    version: int
    entries: int
    bits_sha256: bytes


class Proven(NamedTuple):
    """The part of a `Proof` that a decision needs."""

    controller: str
    until_ms: int
    until_elapsed_ms: int
    boot_id: str
    doubts: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A consent kept here and where its controller's list speaks of it."""

    consent_hash: bytes
    status_index: int
    state: State


@dataclass(frozen=True, slots=True)
class Doubt:
    """A consent in force here that is not called valid; `listed` None: not spoken of yet."""

    consent_hash: bytes
    status_index: int
    listed: Listed | None


# -- the own list


def allot(connection: Connection, controller: str, new: Sequence[tuple[bytes, int]]) -> None:
    """Give status indices to new versions of own consents: (consent hash, leaf number) each.

    Raises:
        StatusListFull: there are none left.
    """
    if not new:
        return
    last = connection.execute(
        select(func.max(status_entry.c.status_index)).where(status_entry.c.controller == controller)
    ).scalar_one()
    first = 0 if last is None else int(last) + 1
    if first + len(new) > MAX_ENTRIES:
        raise StatusListFull(f"{MAX_ENTRIES} versions of consents have a status index here")
    connection.execute(
        insert(status_entry),
        [
            _entry(consent_hash, controller, first + at, leaf_seq)
            for at, (consent_hash, leaf_seq) in enumerate(new)
        ],
    )


def mark(connection: Connection, consent_hash: bytes, status: Listed, leaf_seq: int) -> None:
    """Let the own list say something else of a version, since the leaf `leaf_seq`."""
    connection.execute(
        update(status_entry)
        .where(status_entry.c.consent_hash == consent_hash)
        .values(status=int(status), changed=leaf_seq)
    )


def changes(connection: Connection, controller: str, after: int) -> list[Change]:
    """Entries of the own list that changed after leaf `after`; -1: all."""
    query = select(
        status_entry.c.status_index, status_entry.c.status, status_entry.c.changed
    ).where(status_entry.c.controller == controller, status_entry.c.changed > after)
    return [Change(*row) for row in connection.execute(query)]


def changed_at(connection: Connection, controller: str) -> int:
    """The leaf of the last change of the own list; -1: it has no entry."""
    found = connection.execute(
        select(func.max(status_entry.c.changed)).where(status_entry.c.controller == controller)
    ).scalar_one()
    return -1 if found is None else int(found)


def indices_of(connection: Connection, hashes: Iterable[bytes]) -> dict[bytes, int]:
    """Status indices of versions, by consent hash."""
    found: dict[bytes, int] = {}
    for chunk in _chunks(hashes):
        query = select(status_entry.c.consent_hash, status_entry.c.status_index).where(
            status_entry.c.consent_hash.in_(chunk)
        )
        found.update({row.consent_hash: row.status_index for row in connection.execute(query)})
    return found


def consent_ids(connection: Connection, hashes: Iterable[bytes]) -> dict[bytes, str]:
    """Which consents these hashes are versions of, be they in force or replaced."""
    found: dict[bytes, str] = {}
    for chunk in _chunks(hashes):
        for table in (consent, consent_superseded):
            query = select(table.c.consent_hash, table.c.consent_id).where(
                table.c.consent_hash.in_(chunk)
            )
            found.update({row.consent_hash: row.consent_id for row in connection.execute(query)})
    return found


def versions_of(connection: Connection, consent_id: str) -> list[bytes]:
    """Hashes of all versions of a consent that are or were in force here, sorted."""
    found: set[bytes] = set()
    for table in (consent, consent_superseded):
        query = select(table.c.consent_hash).where(table.c.consent_id == consent_id)
        found.update(connection.execute(query).scalars())
    return sorted(found)


# -- others' lists


def taken(connection: Connection, controller: str, indices: Iterable[int]) -> dict[int, bytes]:
    """Which consent each of a controller's indices was given with."""
    found: dict[int, bytes] = {}
    for chunk in _chunks(indices):
        query = select(status_entry.c.status_index, status_entry.c.consent_hash).where(
            status_entry.c.controller == controller, status_entry.c.status_index.in_(chunk)
        )
        found.update({row.status_index: row.consent_hash for row in connection.execute(query)})
    return found


def admit(
    connection: Connection, controller: str, new: Sequence[tuple[bytes, int | None, int]]
) -> None:
    """Note another controller's consents: (hash, its status index, leaf number) each.

    They are in doubt until a list speaks of them; without an index, for ever.
    """
    if not new:
        return
    indexed = [one for one in new if one[1] is not None]
    if indexed:
        connection.execute(
            insert(status_entry),
            [_entry(one, controller, index, leaf) for one, index, leaf in indexed],
        )
    connection.execute(
        insert(status_doubt),
        [
            _doubt(one, controller, NO_INDEX if index is None else index, None)
            for one, index, _ in new
        ],
    )
    _recount(connection, controller)


def forget(connection: Connection, controller: str, hashes: Sequence[bytes]) -> None:
    """Note that versions of another controller's consents have ended here."""
    for chunk in _chunks(hashes):
        for table in (status_entry, status_doubt):
            connection.execute(
                delete(table).where(
                    table.c.controller == controller, table.c.consent_hash.in_(chunk)
                )
            )
    _recount(connection, controller)


def paused(connection: Connection, controller: str, consent_hash: bytes) -> None:
    """Note that a consent is paused here: its state refuses, no list has to."""
    connection.execute(delete(status_doubt).where(status_doubt.c.consent_hash == consent_hash))
    _recount(connection, controller)


def resumed(connection: Connection, controller: str, consent_hash: bytes) -> None:
    """Note that a consent is in force again: the next list has to say so, too."""
    index = connection.execute(
        select(status_entry.c.status_index).where(status_entry.c.consent_hash == consent_hash)
    ).scalar()
    connection.execute(delete(status_doubt).where(status_doubt.c.consent_hash == consent_hash))
    connection.execute(
        insert(status_doubt),
        [_doubt(consent_hash, controller, NO_INDEX if index is None else int(index), None)],
    )
    _recount(connection, controller)


_PROOFS = SelectByKeys(
    lambda keys: select(*status_proof.c).where(status_proof.c.controller.in_(keys))
)
_PROVEN = SelectByKeys(
    lambda keys: select(
        status_proof.c.controller,
        status_proof.c.until_ms,
        status_proof.c.until_elapsed_ms,
        status_proof.c.boot_id,
        status_proof.c.doubts,
    ).where(status_proof.c.controller.in_(keys))
)
_DOUBTED = SelectByKeys(
    lambda keys: select(status_doubt.c.consent_hash).where(status_doubt.c.consent_hash.in_(keys))
)


def proofs(connection: Connection, controllers: Iterable[str]) -> dict[str, Proof]:
    """What is proven of controllers' consents, by member id."""
    return {row[0]: Proof(*row) for row in _PROOFS(connection, sorted(controllers))}


def proven(connection: Connection, controllers: Iterable[str]) -> list[Proven]:
    """For how long controllers' consents are proven; on the path of every release."""
    return [Proven(*row) for row in _PROVEN(connection, list(controllers))]


def doubted(connection: Connection, hashes: Iterable[bytes]) -> set[bytes]:
    """Which of these versions are in doubt."""
    return {row[0] for row in _DOUBTED(connection, sorted(set(hashes)))}


def controllers(connection: Connection, own_id: str) -> list[str]:
    """Whose lists this node has to know: the other controllers of consents it keeps."""
    query = select(status_entry.c.controller).where(status_entry.c.controller != own_id)
    return list(connection.execute(query.distinct().order_by("controller")).scalars())


def bits_of(connection: Connection, controller: str) -> bytes | None:
    """The newest bits of a controller, compressed; None: there is no list of it."""
    query = select(status_list.c.bits).where(status_list.c.controller == controller)
    return connection.execute(query).scalar()


def keep(connection: Connection, proof: Proof, head: bytes, bits: bytes | None) -> None:
    """Put a verified list in the place of the one before; `bits` None: they stay."""
    connection.execute(delete(status_proof).where(status_proof.c.controller == proof.controller))
    connection.execute(insert(status_proof).values(proof._asdict()))
    if bits is None:
        connection.execute(
            update(status_list)
            .where(status_list.c.controller == proof.controller)
            .values(head=head)
        )
        return
    connection.execute(delete(status_list).where(status_list.c.controller == proof.controller))
    connection.execute(
        insert(status_list).values(controller=proof.controller, head=head, bits=bits)
    )


def entries_at(connection: Connection, controller: str, indices: Iterable[int]) -> list[Entry]:
    """Consents kept here at a controller's indices, with their state here."""
    found: list[Entry] = []
    for chunk in _chunks(indices):
        query = (
            select(status_entry.c.consent_hash, status_entry.c.status_index, consent.c.state)
            .join(consent, consent.c.consent_hash == status_entry.c.consent_hash)
            .where(status_entry.c.controller == controller, status_entry.c.status_index.in_(chunk))
        )
        found.extend(
            Entry(row.consent_hash, row.status_index, State(row.state))
            for row in connection.execute(query)
        )
    return found


def doubts(connection: Connection, controller: str) -> list[Doubt]:
    """All of a controller's consents that are in doubt here."""
    query = select(status_doubt).where(status_doubt.c.controller == controller)
    return [
        Doubt(
            row.consent_hash, row.status_index, None if row.listed is None else Listed(row.listed)
        )
        for row in connection.execute(query.order_by(status_doubt.c.status_index))
    ]


def set_doubts(connection: Connection, controller: str, found: Sequence[Doubt]) -> None:
    """Replace what is in doubt of a controller."""
    connection.execute(delete(status_doubt).where(status_doubt.c.controller == controller))
    if found:
        connection.execute(
            insert(status_doubt),
            [_doubt(one.consent_hash, controller, one.status_index, one.listed) for one in found],
        )
    _recount(connection, controller)


def _recount(connection: Connection, controller: str) -> None:
    number = select(func.count()).where(status_doubt.c.controller == controller).scalar_subquery()
    connection.execute(
        update(status_proof).where(status_proof.c.controller == controller).values(doubts=number)
    )


def _entry(
    consent_hash: bytes, controller: str, index: int | None, leaf_seq: int
) -> dict[str, Any]:
    return {
        "consent_hash": consent_hash,
        "controller": controller,
        "status_index": index,
        "status": int(Listed.VALID),
        "changed": leaf_seq,
    }


def _doubt(
    consent_hash: bytes, controller: str, index: int, listed: Listed | None
) -> dict[str, Any]:
    return {
        "consent_hash": consent_hash,
        "controller": controller,
        "status_index": index,
        "listed": None if listed is None else int(listed),
    }


def _chunks(items: Iterable[Any]) -> Iterable[Sequence[Any]]:
    ordered = sorted(set(items))
    for start in range(0, len(ordered), IN_LIST):
        yield ordered[start : start + IN_LIST]
