"""A person's leaves shown to a regulator who records what that rests on.

1. The basis is a person's own request or a warrant; it is in the log before anything is shown, as
   a leaf about that person, who reads it under "who looked at my data".
2. A disclosure lets the regulator who recorded it choose from that person's leaves, of nobody
   else's, for eight hours.
3. Each payload that is shown has a leaf of its own, with the same basis.
"""

from dataclasses import dataclass

from audit.database import Connection
from audit.leaf import parse_leaf
from audit.oversight import ABOUT_PEOPLE, DISCLOSURE, Basis, Disclosed, Oversight
from audit.search import FoundLeaf, leaf_at, read_leaf
from node.storage import pseudonyms, subjects
from node.storage.subjects import Subject, UnknownSubject
from protocols.errors import CredenceError, InvalidInput

LIFE_MS = 8 * 3_600_000
MAX_LEAVES = 200
_LOOKED_AT = 2_000


class DisclosureRefused(CredenceError):
    """This disclosure does not open that leaf."""

    code = "disclosure_refused"
    category = "forbidden"
    next_step = "Record the basis for this person anew, and choose from their own leaves."


@dataclass(frozen=True, slots=True)
class PersonLeaves:
    """What a disclosure shows: a person's leaves, the newest first, and nothing of the payloads.

    Attributes:
        subject_ref: the institution's reference of the person.
        whole: whether these are all leaves about them.
    """

    disclosure_id: str
    subject_ref: str
    basis: Basis
    leaves: tuple[FoundLeaf, ...]
    whole: bool


class Disclosures:
    """Opens a person's part of the log to a regulator; thread-safe."""

    def __init__(self, oversight: Oversight) -> None:
        self._oversight = oversight

    def open(self, reader: str, customer_id: str, basis: Basis) -> PersonLeaves:
        """Record a basis and show whose leaves there are.

        Raises:
            InvalidInput: the basis is none about a person.
            UnknownSubject: the institution knows nobody by that customer number.
        """
        if basis.kind not in ABOUT_PEOPLE:  # 1
            raise InvalidInput(f"the basis about a person is one of {', '.join(ABOUT_PEOPLE)}")
        with self._oversight.database.write() as connection:
            person = _find(connection, customer_id)
            # That nobody is found is an answer too, and leaves its leaf.
            subject = None if person is None else person.pseudonym
            facts: dict[str, str | int] = {"what": "leaves", "found": int(person is not None)}
            made = self._oversight.record(connection, reader, basis, subject, facts)
        if person is None:
            raise UnknownSubject("nobody by that customer number")
        return self._leaves(made, person, basis)

    def leaves(self, reader: str, disclosure_id: str, subject_ref: str) -> PersonLeaves:
        """The same leaves again, logged as a read of that person's.

        Raises:
            DisclosureRefused: rule 2.
            UnknownSubject: nobody by that reference.
        """
        with self._oversight.database.write() as connection:
            person = subjects.by_ref(connection, subject_ref)
            basis = self._standing(connection, reader, disclosure_id, person)
            facts = {"what": "leaves", "under": disclosure_id}
            self._oversight.record(connection, reader, basis, person.pseudonym, facts)
        return self._leaves(disclosure_id, person, basis)

    def payload(
        self, reader: str, disclosure_id: str, subject_ref: str, seq: int
    ) -> tuple[Disclosed, Basis]:
        """What one of the person's leaves commits to, and what showing it rests on.

        Raises:
            DisclosureRefused: rule 2.
            UnknownSubject: nobody by that reference.
            LeafNotFound: no such leaf.
            PayloadErased: its key was destroyed.
        """
        log = self._oversight.log
        with self._oversight.database.write() as connection:
            person = subjects.by_ref(connection, subject_ref)
            basis = self._standing(connection, reader, disclosure_id, person)  # 2
            leaf_at(log, connection, seq)
            if not any(log.is_about(seq, one, connection) for one in _names(connection, person)):
                raise DisclosureRefused(f"leaf {seq} is not about this person")
            facts: dict[str, str | int] = {"what": "payload", "under": disclosure_id, "seq": seq}
            made = self._oversight.record(  # 3
                connection, reader, basis, person.pseudonym, facts
            )
        return self._oversight.opened(made, seq), basis

    def _standing(
        self, connection: Connection, reader: str, disclosure_id: str, person: Subject
    ) -> Basis:
        log = self._oversight.log
        for stored in log.newest_about(person.pseudonym, limit=_LOOKED_AT, connection=connection):
            fields = parse_leaf(stored.leaf)
            if fields["correlation"] != disclosure_id or fields["kind"] != DISCLOSURE:
                continue
            lives = self._oversight.clock() - fields["at_ms"] < LIFE_MS
            if fields["actor"] != reader or not lives:
                break
            said = log.payload(stored.seq, connection)
            return Basis(str(said["basis"]), str(said["reference"]))
        raise DisclosureRefused("no such disclosure of this regulator about this person")

    def _leaves(self, disclosure_id: str, person: Subject, basis: Basis) -> PersonLeaves:
        log = self._oversight.log
        with self._oversight.database.read() as connection:
            found = [
                read_leaf(stored)
                for one in _names(connection, person)
                for stored in log.newest_about(one, limit=MAX_LEAVES + 1, connection=connection)
            ]
        newest = sorted(found, key=lambda leaf: -leaf.seq)
        return PersonLeaves(
            disclosure_id=disclosure_id,
            subject_ref=person.subject_ref,
            basis=basis,
            leaves=tuple(newest[:MAX_LEAVES]),
            whole=len(newest) <= MAX_LEAVES,
        )


def _find(connection: Connection, customer_id: str) -> Subject | None:
    try:
        return subjects.by_customer(connection, customer_id)
    except UnknownSubject:
        return None


def _names(connection: Connection, person: Subject) -> list[bytes]:
    """The pseudonyms of a person: while keys change there are two."""
    others = pseudonyms.aliases_of(connection, [person.pseudonym])
    return [person.pseudonym, *others.get(person.pseudonym, [])]
