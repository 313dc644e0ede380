"""What the witness protocol's messages ask and answer, whoever carries them.

The services of a node and of the coordinator hand their messages on to here; what they carry them
by stays with them.
"""

from collections.abc import Callable

from audit.database import Database
from audit.witness import Witness
from audit.witness_store import held_notes
from protocols.errors import Malformed
from protocols.v1.witness_pb2 import (
    AddCheckpointAnswer,
    AddCheckpointRequest,
    LatestHeads,
    LatestHeadsRequest,
)

MAX_NOTES = 64
MAX_NOTE_BYTES = 64 * 1024
MAX_ORIGIN = 160


class WitnessMessages:
    """A witness asked by messages."""

    def __init__(self, witness: Witness, database: Database, now_ms: Callable[[], int]) -> None:
        """Answer with `witness`, whose state is in `database`."""
        self._witness = witness
        self._database = database
        self._now_ms = now_ms

    def add_checkpoint(self, request: AddCheckpointRequest) -> AddCheckpointAnswer:
        """Cosign a head, or say why not; see `audit.witness`."""
        answer = self._witness.answer(self._database, request.body, self._now_ms())
        return AddCheckpointAnswer(status=answer.status, body=answer.body)

    def latest(self, request: LatestHeadsRequest) -> LatestHeads:
        """What is held of a log.

        Raises:
            Malformed: an origin of the wrong length.
        """
        if not 1 <= len(request.origin) <= MAX_ORIGIN:
            raise Malformed("an origin has 1 to 160 characters")
        with self._database.read() as connection:
            return LatestHeads(notes=held_notes(connection, request.origin)[-MAX_NOTES:])


def read_notes(held: LatestHeads) -> list[bytes]:
    """The notes that a witness says it holds, within limits.

    Raises:
        Malformed: too many, or too long.
    """
    if len(held.notes) > MAX_NOTES or any(len(one) > MAX_NOTE_BYTES for one in held.notes):
        raise Malformed("a witness holds at most 64 notes of a log, of 64 KiB each")
    return list(held.notes)
