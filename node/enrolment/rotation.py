"""From the pseudonyms of one key to those of the next, without a moment in which nobody is found.

1. The members hold a ceremony for epoch e + 1; nothing changes by that.
2. Every node enrols its customers under e + 1 (`enrol`). From then on it finds people by the
   handles and tokens of both epochs, whichever its peers use.
3. When all nodes have, each switches when it likes (`switch`): in one transaction its tables name
   everybody by the new pseudonym, and what it sends uses that. Both stay valid.
4. A node forgets the old ones (`retire`) when all have switched; trustees destroy their shares of
   e with the ceremony for e + 2.

References given to API clients, consents and their hashes stay as they are. The audit log does,
too: it indexes people by a keyed hash of the pseudonym of the time, so that an erasure after a
switch has to name both (`names_of`), which it can until step 4.
"""

from collections.abc import Callable
from dataclasses import dataclass

from audit.database import Connection, Database
from audit.leaf import Entry
from audit.store import AuditLog
from node.enrolment.pseudonyms import Enrolled, Progress, PseudonymService
from node.storage import pseudonyms as storage
from protocols.errors import InvalidInput, StateConflict
from protocols.identifiers import new_id


class EnrolmentIncomplete(StateConflict):
    """People this node knows have no pseudonym of that epoch yet."""

    code = "enrolment_incomplete"
    next_step = "Enrol them first: `credence node enrol HOME --epoch N`."


@dataclass(frozen=True)
class Rotation:
    """Changes of a node's pseudonyms.

    Attributes:
        database: the node's.
        audit: its log.
        pseudonyms: its enrolment client.
        member_id: who acts, in the log.
        identifiers: the identifiers of all customers, from the records.
    """

    database: Database
    audit: AuditLog
    pseudonyms: PseudonymService
    member_id: str
    identifiers: Callable[[], list[str]]

    def enrol(self, epoch: int, progress: Progress | None = None) -> Enrolled:
        """Make the pseudonyms of an epoch for everybody in the records; may be repeated.

        Raises:
            NoPseudonymKey, TrusteesUnavailable: as `PseudonymService.enrol`.
        """
        return self.pseudonyms.enrol(self.identifiers(), epoch=epoch, progress=progress)

    def switch(self, epoch: int, now_ms: int) -> int:
        """Use the pseudonyms of `epoch` from now on; how many people were renamed.

        Raises:
            InvalidInput: the epoch is not after the one in force.
            EnrolmentIncomplete: somebody has none of that epoch; nothing was changed.
        """
        with self.database.write() as connection:
            current = storage.epoch_in_force(connection)
            if current is None or epoch <= current:
                raise InvalidInput(f"the pseudonyms in use are of epoch {current}")
            found = storage.renamed(connection, epoch)
            names = {was: becomes for was, becomes in found.items() if becomes is not None}
            if len(names) < len(found):
                missing = len(found) - len(names)
                raise EnrolmentIncomplete(f"{missing:,} people have no pseudonym of epoch {epoch}")
            storage.rename(connection, names)
            storage.put_epoch_in_force(connection, epoch, now_ms)
            self._log(connection, "pseudonyms.switched", now_ms, epoch, len(names))
        return len(names)

    def retire(self, now_ms: int) -> None:
        """Forget the pseudonyms of epochs before the one in force.

        Raises:
            InvalidInput: none is in force.
        """
        with self.database.write() as connection:
            current = storage.epoch_in_force(connection)
            if current is None:
                raise InvalidInput("no pseudonyms are in use yet")
            counts = storage.count_enrolled(connection)
            kept = [epoch for epoch in counts if epoch >= current]
            storage.forget_epochs_but(connection, kept)
            dropped = sum(counts.values()) - sum(counts[epoch] for epoch in kept)
            self._log(connection, "pseudonyms.retired", now_ms, current, dropped)

    def names_of(self, pseudonym: bytes) -> list[bytes]:
        """All pseudonyms of a person, the one in use first."""
        with self.database.read() as connection:
            return [pseudonym, *storage.aliases_of(connection, [pseudonym]).get(pseudonym, ())]

    def _log(self, connection: Connection, kind: str, now_ms: int, epoch: int, people: int) -> None:
        self.audit.append(
            connection,
            Entry(
                kind=kind,
                actor=self.member_id,
                purpose="pseudonyms",
                correlation=new_id("rot"),
                payload={"epoch": epoch, "people": people},
                subject=None,
                at_ms=now_ms,
            ),
        )
