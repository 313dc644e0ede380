"""The witness: cosigns heads of other logs that continue what it saw before (C2SP tlog-witness).

An `add-checkpoint` request, in this order; the first check that fails is the answer:

  1. it has the form of one (400);
  2. its origin is that of a log which this witness watches (404);
  3. one of the log's keys signed the checkpoint (403);
  4. it starts from the size that this witness has (409, with that size);
  5. the new tree continues the one at that size (422), and this is kept as evidence.

2 to 5 and the new state are one write transaction, so that of two requests that race the later one
to commit is checked against what the earlier one left: a head is never rolled back. The cosignature
leaves after that transaction, never before.
"""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from audit import witness_store as store
from audit.database import Connection, Database
from audit.merkle import ProofInvalid, verify_consistency
from audit.verifier.cosignature import CosignatureKey, signed_message
from audit.verifier.evidence import make_evidence
from audit.verifier.note import Checkpoint, NoteKey, NoteSignature
from audit.witness_request import AddCheckpoint, parse_request
from protocols.errors import Malformed, SignatureInvalid
from protocols.keys import SigningKey

WatchedLog = Callable[[Connection, str], Sequence[NoteKey]]
"""Gives the keys of the log with an origin; none: it is not watched."""
ForkFound = Callable[[Connection, str, bytes, int], None]
"""Is told of new evidence, in the transaction that keeps it: origin, its SHA-256, UTC ms."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a witness answers.

    Attributes:
        status: 200, 400, 403, 404, 409 or 422, as C2SP gives them.
        body: with 200, cosignature lines; with 409, the size it has, a decimal and a newline.
        evidence: SHA-256 of the evidence that was kept, with 422.
    """

    status: int
    body: bytes = b""
    evidence: bytes = b""


class Witness:
    """One witness; thread-safe."""

    def __init__(
        self,
        name: str,
        signing: Callable[[], SigningKey],
        watched: WatchedLog,
        fork_found: ForkFound | None = None,
    ) -> None:
        """Cosign as `name`.

        Args:
            name: key name of the cosignatures.
            signing: the key in force.
            watched: the logs, asked inside the transaction.
            fork_found: see there; None: nobody is told.
        """
        self._name = name
        self._signing = signing
        self._watched = watched
        self._fork_found = fork_found

    def answer(self, database: Database, body: bytes, now_ms: int) -> Answer:
        """Answer one request; see the module's checks.

        Raises:
            DatabaseUnavailable: nothing could be kept, so nothing is cosigned.
        """
        try:
            request = parse_request(body)  # 1
        except Malformed:
            return Answer(HTTPStatus.BAD_REQUEST)
        with database.write() as connection:
            return self.add_checkpoint(connection, request, now_ms)

    def add_checkpoint(self, connection: Connection, request: AddCheckpoint, now_ms: int) -> Answer:
        """Checks 2 to 5 inside the caller's write transaction, to be answered once it commits."""
        note, checkpoint = request.parsed()
        # 2. The log.
        keys = self._watched(connection, checkpoint.origin)
        if not keys:
            return Answer(HTTPStatus.NOT_FOUND)
        # 3. Its signature.
        try:
            note.verify(keys)
        except SignatureInvalid:
            return Answer(HTTPStatus.FORBIDDEN)
        # 4. The size it starts from.
        held = store.held(connection, checkpoint.origin)
        size = held.checkpoint.size if held else 0
        if request.old != size:
            return Answer(HTTPStatus.CONFLICT, f"{size}\n".encode())
        # 5. That it is continued.
        if held is not None and not _continues(held.checkpoint, checkpoint, request.proof):
            body = make_evidence(held.note, request.note, request.proof, keys)
            digest = hashlib.sha256(body).digest()
            kept = store.keep_evidence(connection, digest, checkpoint.origin, body, now_ms)
            if kept and self._fork_found is not None:
                self._fork_found(connection, checkpoint.origin, digest, now_ms)
            return Answer(HTTPStatus.UNPROCESSABLE_ENTITY, b"", digest)
        store.hold(connection, held, checkpoint, request.note, now_ms)
        return Answer(HTTPStatus.OK, cosign(self._name, self._signing(), note.text, now_ms))


def cosign(name: str, key: SigningKey, text: str, now_ms: int) -> bytes:
    """A cosignature line over a note's text; that it may be given was decided before."""
    at_s = now_ms // 1000
    signature = at_s.to_bytes(8, "big") + key.sign_raw(signed_message(text, at_s))
    key_id = CosignatureKey(name, key.verify_key).key_id
    return NoteSignature(name, key_id, signature).encode().encode()


def _continues(held: Checkpoint, shown: Checkpoint, proof: Sequence[bytes]) -> bool:
    if held.size == 0:
        return not proof
    if held.size == shown.size:
        return hmac.compare_digest(held.root, shown.root)
    try:
        verify_consistency(held.size, shown.size, held.root, shown.root, proof)
    except ProofInvalid:
        return False
    return True
