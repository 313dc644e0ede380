"""Repository of checkpoints, cosignatures, epochs, and of what a witness holds."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, delete, func, insert, or_, select, update

from audit.database import Connection
from audit.verifier.note import Checkpoint
from audit.witness_tables import (
    audit_checkpoint,
    audit_cosignature,
    audit_epoch,
    witness_evidence,
    witness_state,
)

HOUR_MS = 3_600_000
KEPT_MS = 7 * 24 * HOUR_MS  # every witnessed head of the last week, then one an hour

# -- as a witness


@dataclass(frozen=True, slots=True)
class Held:
    """The newest head of a log that this witness cosigned."""

    checkpoint: Checkpoint
    note: bytes
    at_ms: int


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """Evidence of a fork, kept for good."""

    sha256: bytes
    origin: str
    body: bytes
    at_ms: int


def held(connection: Connection, origin: str) -> Held | None:
    """What the witness holds of a log; None: it never cosigned one of its heads."""
    table = witness_state.c
    row = connection.execute(
        select(table.origin, table.size, table.root, table.note, table.at_ms)
        .where(table.origin == origin)
        .with_for_update()
    ).one_or_none()
    return None if row is None else _held(*row)


def all_held(connection: Connection) -> list[Held]:
    """All logs that this witness holds a head of, by origin."""
    table = witness_state.c
    query = select(table.origin, table.size, table.root, table.note, table.at_ms)
    return [_held(*row) for row in connection.execute(query.order_by(table.origin))]


def held_origins(connection: Connection) -> list[str]:
    """The origins of all logs that this witness holds a head of."""
    return list(connection.execute(select(witness_state.c.origin)).scalars())


def held_notes(connection: Connection, base: str) -> list[bytes]:
    """The newest note of every epoch of a log."""
    table = witness_state.c
    query = select(table.note).where(
        or_(table.origin == base, table.origin.startswith(base + "/", autoescape=True))
    )
    return list(connection.execute(query.order_by(table.origin)).scalars())


def hold(
    connection: Connection, before: Held | None, checkpoint: Checkpoint, note: bytes, at_ms: int
) -> None:
    """Replace what is held, if it is still `before`; else an integrity error."""
    values = {"size": checkpoint.size, "root": checkpoint.root, "note": note, "at_ms": at_ms}
    if before is None:
        connection.execute(insert(witness_state).values(origin=checkpoint.origin, **values))
        return
    same = and_(
        witness_state.c.origin == checkpoint.origin,
        witness_state.c.size == before.checkpoint.size,
        witness_state.c.root == before.checkpoint.root,
    )
    changed = connection.execute(update(witness_state).where(same).values(**values)).rowcount
    if changed != 1:
        raise RuntimeError("a witness's state changed under its own transaction")


def keep_evidence(
    connection: Connection, sha256: bytes, origin: str, body: bytes, at_ms: int
) -> bool:
    """Keep evidence, once; whether it is new."""
    query = select(witness_evidence.c.at_ms).where(witness_evidence.c.sha256 == sha256)
    if connection.execute(query).first() is not None:
        return False
    values = {"sha256": sha256, "origin": origin, "body": body, "at_ms": at_ms}
    connection.execute(insert(witness_evidence).values(**values))
    return True


def evidence(connection: Connection) -> list[EvidenceRow]:
    """All evidence, the oldest first."""
    table = witness_evidence.c
    query = select(table.sha256, table.origin, table.body, table.at_ms)
    return [EvidenceRow(*row) for row in connection.execute(query.order_by(table.at_ms))]


def _held(origin: str, size: int, root: bytes, note: bytes, at_ms: int) -> Held:
    return Held(Checkpoint(origin, size, root), note, at_ms)


# -- as a log


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch of this log.

    Attributes:
        epoch: from 1.
        origin: the log's name in it.
        size: leaves that there were when it began.
        last: last witnessed checkpoint of the epoch before, a signed note; empty in the first.
        cause: why it began: `founded`, or what was found.
        opened_at_ms: when.
        confirmed_at_ms: when an operator confirmed it; None: not yet.
        reason: what the operator said.
    """

    epoch: int
    origin: str
    size: int
    last: bytes
    cause: str
    opened_at_ms: int
    confirmed_at_ms: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class SignedHead:
    """A checkpoint of this log: as signed, and as witnessed if it is."""

    checkpoint: Checkpoint
    note: bytes
    signed_at_ms: int
    witnessed: bytes | None
    witnessed_at_ms: int | None


def epoch(connection: Connection) -> Epoch | None:
    """The epoch in force; None: none was opened yet."""
    rows = select(audit_epoch).order_by(audit_epoch.c.epoch.desc()).limit(1)
    row = connection.execute(rows).one_or_none()
    return None if row is None else Epoch(*row)


def epochs(connection: Connection) -> list[Epoch]:
    """All epochs, the first one first."""
    query = select(audit_epoch).order_by(audit_epoch.c.epoch)
    return [Epoch(*row) for row in connection.execute(query)]


def open_epoch(connection: Connection, opened: Epoch) -> None:
    """Add an epoch; the one in force from now on."""
    values = {name: getattr(opened, name) for name in Epoch.__slots__}
    connection.execute(insert(audit_epoch).values(**values))


def confirm_epoch(connection: Connection, number: int, reason: str, at_ms: int) -> bool:
    """Note that an operator confirmed an epoch; False: it was, or there is none."""
    same = and_(audit_epoch.c.epoch == number, audit_epoch.c.confirmed_at_ms.is_(None))
    values = {"confirmed_at_ms": at_ms, "reason": reason}
    return connection.execute(update(audit_epoch).where(same).values(**values)).rowcount == 1


def add_signed(connection: Connection, checkpoint: Checkpoint, note: bytes, at_ms: int) -> None:
    """Keep a head that is about to be signed for others; one size, one root, for good."""
    same = _is(checkpoint)
    found = connection.execute(select(audit_checkpoint.c.note).where(same)).scalar_one_or_none()
    if found == note:
        return
    if found is None:
        values = {
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "root": checkpoint.root,
            "note": note,
            "signed_at_ms": at_ms,
        }
        connection.execute(insert(audit_checkpoint).values(**values))
        return
    # Under a new key; the trigger refuses another root.
    values = {"note": note, "root": checkpoint.root, "signed_at_ms": at_ms}
    connection.execute(update(audit_checkpoint).where(same).values(**values))


def add_cosignature(
    connection: Connection, checkpoint: Checkpoint, witness: str, line: str, at_ms: int
) -> None:
    """Keep a witness's newest cosignature under a head."""
    table = audit_cosignature
    same = and_(
        table.c.origin == checkpoint.origin,
        table.c.size == checkpoint.size,
        table.c.witness == witness,
    )
    values = {"line": line, "at_ms": at_ms}
    if connection.execute(update(table).where(same).values(**values)).rowcount == 0:
        values |= {"origin": checkpoint.origin, "size": checkpoint.size, "witness": witness}
        connection.execute(insert(table).values(**values))


def cosignature_lines(connection: Connection, checkpoint: Checkpoint) -> list[str]:
    """The cosignatures of a head, by witness."""
    table = audit_cosignature.c
    query = select(table.line).where(
        table.origin == checkpoint.origin, table.size == checkpoint.size
    )
    return list(connection.execute(query.order_by(table.witness)).scalars())


def sizes_by_witness(connection: Connection, origin: str) -> dict[str, int]:
    """The largest size that each witness has cosigned of this log, as far as is known here."""
    table = audit_cosignature.c
    query = select(table.witness, func.max(table.size)).where(table.origin == origin)
    rows = connection.execute(query.group_by(table.witness))
    return {row.witness: row[1] for row in rows}


def mark_witnessed(
    connection: Connection, checkpoint: Checkpoint, witnessed: bytes, at_ms: int
) -> None:
    """Keep the note with its cosignatures, and when it was last witnessed."""
    values = {"witnessed": witnessed, "witnessed_at_ms": at_ms}
    connection.execute(update(audit_checkpoint).where(_is(checkpoint)).values(**values))


def prune(connection: Connection, checkpoint: Checkpoint, at_ms: int) -> None:
    """Forget what a newer witnessed head of the same origin makes superfluous.

    Cosignatures under smaller heads (those that counted stand in the kept notes), smaller heads
    that were never witnessed, and of those witnessed over a week ago all but one an hour.
    """
    cosigned = audit_cosignature.c
    connection.execute(
        delete(audit_cosignature).where(
            cosigned.origin == checkpoint.origin, cosigned.size < checkpoint.size
        )
    )
    table = audit_checkpoint.c
    smaller = and_(table.origin == checkpoint.origin, table.size < checkpoint.size)
    an_hour = (
        select(func.max(table.size))
        .where(table.origin == checkpoint.origin, table.witnessed_at_ms.is_not(None))
        .group_by(table.witnessed_at_ms // HOUR_MS)
    )
    old = and_(table.witnessed_at_ms < at_ms - KEPT_MS, table.size.not_in(an_hour))
    connection.execute(
        delete(audit_checkpoint).where(smaller, or_(table.witnessed_at_ms.is_(None), old))
    )


def newest_signed(connection: Connection, origin: str) -> SignedHead | None:
    """The largest head that this log signed under an origin."""
    return _newest(connection, audit_checkpoint.c.origin == origin)


def newest_witnessed(connection: Connection, origin: str | None = None) -> SignedHead | None:
    """The largest head that is witnessed; of one origin, or of the one in force."""
    if origin is None:
        current = epoch(connection)
        if current is None:
            return None
        origin = current.origin
    table = audit_checkpoint.c
    return _newest(connection, and_(table.origin == origin, table.witnessed.is_not(None)))


def latest_witnessed(connection: Connection) -> bytes:
    """The newest witnessed checkpoint of this log, one signed note; empty: there is none yet."""
    found = newest_witnessed(connection)
    return b"" if found is None or found.witnessed is None else found.witnessed


def _newest(connection: Connection, condition: ColumnElement[bool]) -> SignedHead | None:
    table = audit_checkpoint.c
    query = select(
        table.origin,
        table.size,
        table.root,
        table.note,
        table.signed_at_ms,
        table.witnessed,
        table.witnessed_at_ms,
    )
    row = connection.execute(
        query.where(condition).order_by(table.size.desc()).limit(1)
    ).one_or_none()
    if row is None:
        return None
    return SignedHead(Checkpoint(row[0], row[1], row[2]), *row[3:])


def _is(checkpoint: Checkpoint) -> ColumnElement[bool]:
    return and_(
        audit_checkpoint.c.origin == checkpoint.origin,
        audit_checkpoint.c.size == checkpoint.size,
    )
