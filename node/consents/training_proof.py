"""The file that shows a person that no training round after their withdrawal drew on them.

`audit/verifier/absence.py` documents the file and checks it. It tells its reader how many consents
each round drew from, and the hashes of the two beside their own place; a hash says nothing of whose
consent it is.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from audit.database import Connection, Database
from audit.leaf import parse_payload
from audit.receipts import Receipt, prove
from audit.sorted_set import SortedSet
from audit.store import AuditLog
from audit.verifier.absence import MAX_ROUNDS, TRAINING_PROOF_FORMAT
from consent.lifecycle import Event
from consent.refusals import ConsentUnknown
from node.storage import consent_events, statuses, training
from protocols.errors import StateConflict
from protocols.keys import SigningKey


class NotWithdrawn(StateConflict):
    """The consent was not withdrawn: rounds may draw on it."""

    code = "not_withdrawn"
    next_step = "Withdraw the consent first; the proof is about the rounds after that."


def make_training_proof(
    database: Database, log: AuditLog, consent_id: str, signing_key: SigningKey
) -> dict[str, Any]:
    """The proof for one withdrawn consent, as of now, as a JSON object.

    Args:
        database: the node's.
        log: its log, in the same database.
        consent_id: the consent.
        signing_key: the member's own, by which its directory entry names it.

    Raises:
        ConsentUnknown: this node keeps no consent of this id.
        NotWithdrawn: it has not been withdrawn.
        MemberPresent: a round after the withdrawal did draw on it.
    """
    with database.read() as connection:
        happened = consent_events.events_of(connection, consent_id)
        if not happened:
            raise ConsentUnknown("this node keeps no consent of this id")
        withdrawn = next((one for one in happened if one.event is Event.WITHDRAW), None)
        if withdrawn is None:
            raise NotWithdrawn("the consent was not withdrawn at this node")
        hashes = statuses.versions_of(connection, consent_id)
        seqs = training.charges_after(connection, withdrawn.leaf_seq)[-MAX_ROUNDS:]
        rounds = [prove(log, connection, seq, signing_key) for seq in seqs]
        return {
            "format": TRAINING_PROOF_FORMAT,
            "consent_id": consent_id,
            "consent_hashes": [one.hex() for one in hashes],
            "withdrawal": prove(log, connection, withdrawn.leaf_seq, signing_key).to_json(),
            "rounds": [one.to_json() for one in rounds],
            "absences": _absences(connection, rounds, hashes),
        }


def _absences(
    connection: Connection, rounds: Sequence[Receipt], hashes: Sequence[bytes]
) -> Mapping[str, Any]:
    shown = [one.opening for one in rounds if one.opening is not None]
    roots = {parse_payload(one.payload)["cohort_root"] for one in shown}
    found: dict[str, Any] = {}
    for root in sorted(roots):
        cohort = SortedSet(training.cohort_hashes(connection, bytes.fromhex(root)))
        found[root] = [cohort.prove_absent(one).to_json() for one in hashes]
    return found
