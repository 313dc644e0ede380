"""What logs bring to a witness, what witnesses answer, and the files about them."""

from audit.checkpoint import Checkpoint, NoteKey, sign_checkpoint
from audit.verifier.cosignature import CosignatureKey, cosignatures
from audit.verifier.evidence import check_evidence, make_evidence
from audit.verifier.note import Note
from audit.verifier.policy import Policy, Witness
from audit.witness import cosign
from audit.witness_home import directory_file, read_directory
from audit.witness_peers import ExternalWitness
from audit.witness_request import encode_request, parse_request
from protocols.documents import sign_document
from protocols.keys import SigningKey
from tests.fuzz.trying import attempt

ORIGIN = "bank-a.members.credence"
LOG = SigningKey.from_seed(bytes(32))
OWN = SigningKey.from_seed(b"w" * 32)
LOG_KEY = NoteKey(ORIGIN, LOG.verify_key)
KEY = CosignatureKey("w.example", OWN.verify_key)
POLICY = Policy.of([LOG_KEY], [Witness("regulator", KEY)], 1)
AT_MS = 1_780_000_000_000


def run(data: bytes) -> bool:
    """The bytes as a request, a note, evidence, a policy, a directory file, a line of settings."""
    taken = [
        attempt(parse_request, data),
        attempt(lambda given: cosignatures(Note.parse(given), [KEY]), data),
        attempt(POLICY.check, data),
        attempt(check_evidence, data),
        attempt(lambda given: Policy.parse(given).encode(), data),
        attempt(read_directory, data),
        attempt(ExternalWitness.parse, data.decode("latin-1")),
    ]
    return any(taken)


def seeds() -> list[bytes]:
    """One of each that is taken whole."""
    held, shown = _note(9, b"\1"), _note(9, b"\2")
    cosigned = held + cosign("w.example", OWN, Note.parse(held).text, AT_MS)
    return [
        encode_request(5, [bytes(32)], held),
        cosigned,
        make_evidence(held, shown, [], [LOG_KEY]),
        POLICY.encode().encode(),
        directory_file(sign_document("directory", b'{"version":1}', OWN)),
        f"regulator {KEY.encode()} https://w.example".encode(),
    ]


def _note(size: int, root: bytes) -> bytes:
    return sign_checkpoint(Checkpoint(ORIGIN, size, root * 32), LOG)
