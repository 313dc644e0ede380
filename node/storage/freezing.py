"""What consent nodes say of freezes, and the mark that makes one bite."""

from dataclasses import dataclass

from sqlalchemy import delete, insert, select

from audit.database import Connection
from consent.rights import Freeze
from node.storage import marks
from node.storage.marks import Mark, MarkKind
from node.storage.rights_tables import subject_freeze


@dataclass(frozen=True, slots=True)
class FreezeWord:
    """The newest word of a consent node on a person."""

    controller: str
    state: Freeze
    at_ms: int


def words(connection: Connection, pseudonym: bytes) -> list[FreezeWord]:
    """The newest word of each consent node on a person."""
    query = (
        select(subject_freeze)
        .where(subject_freeze.c.pseudonym == pseudonym)
        .order_by(subject_freeze.c.controller)
    )
    return [
        FreezeWord(row.controller, Freeze(row.state), row.at_ms)
        for row in connection.execute(query)
    ]


def put_word(connection: Connection, pseudonym: bytes, word: FreezeWord, leaf_seq: int) -> None:
    """Remember the newest word of a consent node on a person."""
    same = (subject_freeze.c.pseudonym == pseudonym) & (
        subject_freeze.c.controller == word.controller
    )
    connection.execute(delete(subject_freeze).where(same))
    connection.execute(
        insert(subject_freeze).values(
            pseudonym=pseudonym,
            controller=word.controller,
            state=word.state.value,
            at_ms=word.at_ms,
            leaf_seq=leaf_seq,
        )
    )


def frozen_by(connection: Connection, controller: str) -> list[tuple[bytes, int]]:
    """People that `controller` says are frozen, and since when."""
    query = select(subject_freeze.c.pseudonym, subject_freeze.c.at_ms).where(
        subject_freeze.c.controller == controller, subject_freeze.c.state == Freeze.FROZEN.value
    )
    return [(row.pseudonym, row.at_ms) for row in connection.execute(query)]


def set_frozen(connection: Connection, pseudonym: bytes, word: FreezeWord) -> None:
    """Set or take away the mark that a consent node's word makes."""
    marks.remove(connection, pseudonym, MarkKind.FROZEN, word.controller)
    if word.state is Freeze.FROZEN:
        mark = Mark(MarkKind.FROZEN, "", "", word.controller, word.at_ms)
        marks.put(connection, pseudonym, mark)
