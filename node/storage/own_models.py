"""Models that this node keeps for its own decisions; at most one is in use."""

from dataclasses import dataclass

from sqlalchemy import delete, func, insert, select, update

from audit.database import Connection
from node.storage.own_model_tables import own_model
from node.storage.tables import signal_vector
from node.storage.training_sources import TRAIN

NEVER_MS = 2**62


@dataclass(frozen=True, slots=True)
class OwnModelRow:
    """A kept model; `body` and `signature` are believed only once verified.

    Attributes:
        consents: hashes of the consents it was made under, 32 bytes each, sorted and joined.
        changed_seq: no consent had changed after this audit sequence number.
        data_until_ms: when the data life of a signal in it runs out.
    """

    model_id: str
    body: bytes
    signature: bytes
    key_id: str
    consents: bytes
    changed_seq: int
    data_until_ms: int
    active: bool
    created_at_ms: int


_COLUMNS = [own_model.c[name] for name in OwnModelRow.__slots__]


def add(connection: Connection, row: OwnModelRow) -> None:
    """Store a new model."""
    values = {name: getattr(row, name) for name in OwnModelRow.__slots__}
    connection.execute(insert(own_model).values(**values))


def find(connection: Connection, model_id: str) -> OwnModelRow | None:
    """The model of that id, or None."""
    query = select(*_COLUMNS).where(own_model.c.model_id == model_id)
    row = connection.execute(query).one_or_none()
    return None if row is None else OwnModelRow(*row)


def in_use(connection: Connection) -> OwnModelRow | None:
    """The model in use, or None."""
    query = select(*_COLUMNS).where(own_model.c.active.is_(True))
    row = connection.execute(query).one_or_none()
    return None if row is None else OwnModelRow(*row)


def every(connection: Connection) -> list[OwnModelRow]:
    """All of them, the newest first."""
    query = select(*_COLUMNS).order_by(own_model.c.created_at_ms.desc(), own_model.c.model_id)
    return [OwnModelRow(*row) for row in connection.execute(query)]


def activate(connection: Connection, model_id: str) -> None:
    """Put one in use, and no other."""
    connection.execute(update(own_model).values(active=own_model.c.model_id == model_id))


def remove(connection: Connection, model_id: str) -> None:
    """Delete one; nothing of it stays."""
    connection.execute(delete(own_model).where(own_model.c.model_id == model_id))


def first_expiry_ms(connection: Connection, now_ms: int) -> int:
    """When the first signal that was released here for training runs out; far away for none."""
    query = select(func.min(signal_vector.c.expires_at_ms)).where(
        signal_vector.c.purpose == TRAIN, signal_vector.c.expires_at_ms > now_ms
    )
    found = connection.execute(query).scalar_one()
    return NEVER_MS if found is None else int(found)
