"""Keys as they come from outside: a pseudonym key, a rotation, elements and proofs, identifiers."""

import contextlib
import json

from protocols import dkg, oprf
from protocols.canonical import canonical_json, sha256
from protocols.ceremony import KEY_KIND, accept_key, make_key, sign_entry
from protocols.dkg_entries import Ceremony
from protocols.documents import Document
from protocols.enrolment import split_elements
from protocols.errors import CredenceError
from protocols.legal_ids import normalise_identifier
from protocols.ristretto import multiply_base, scalar_of
from protocols.rotation import Rotation, sign_rotation, verify_rotation
from scripts.vectors.seeds import NOW_MS, sealing, seed, seeded, signing
from tests.fuzz.trying import attempt, canonical_too, network

CEREMONY = Ceremony("cer_fuzz", epoch=1, threshold=2, trustees=("bank-a", "payments"))
CSR = seed("stands for the DER of a CSR")
IDENTIFIER = "110101199003078515"


def run(data: bytes) -> bool:
    """The bytes as each of them."""
    taken = [attempt(one, body) for body in canonical_too(data) for one in (_key, _rotation)]
    return any([*taken, attempt(_elements, data), attempt(_identifier, data)])


def _key(data: bytes) -> None:
    """A result of a ceremony that the coordinator signed: alone, and after itself."""
    version = 0
    with contextlib.suppress(ValueError, RecursionError, TypeError, KeyError):
        version = json.loads(data)["version"]
    key = signing("directory")
    document = Document(KEY_KIND, version, data, key.sign(KEY_KIND, data), key.verify_key.key_id)
    accepted = accept_key(None, document, key.verify_key, network())
    if accept_key(document, document, key.verify_key, network()) != accepted:
        raise AssertionError("a key is not what it was read from")
    accepted.trustees  # noqa: B018 - as whoever asks trustees does


def _rotation(data: bytes) -> None:
    """A rotation that both keys signed."""
    signatures = sign_rotation(data, signing("bank-a"), signing("bank-a anew"))
    verify_rotation(
        data,
        CSR,
        *signatures,
        member_id="bank-a",
        current_key=signing("bank-a").verify_key.bytes,
        now_ms=NOW_MS,
    )


def _elements(data: bytes) -> None:
    """A batch as a trustee gets it, and a proof as a client does."""
    elements = split_elements(data[64:])
    public = multiply_base(scalar_of(7))
    with contextlib.suppress(CredenceError):
        oprf.verify(public, elements, elements, data[:64])


def _identifier(data: bytes) -> None:
    """An identifier, which has one spelling."""
    found = normalise_identifier(data.decode("utf-8", "replace"))
    if normalise_identifier(found) != found:
        raise AssertionError("an identifier has two spellings")


def seeds() -> list[bytes]:
    """A key, a rotation, a batch behind a proof, an identifier."""
    rotation = Rotation(
        member_id="bank-a",
        old_signing_key=signing("bank-a").verify_key.bytes,
        signing_key=signing("bank-a anew").verify_key.bytes,
        sealing_key=sealing("bank-a anew").public,
        csr_sha256=sha256(CSR),
        overlap_s=3600,
        issued_at_ms=NOW_MS,
    )
    elements = b"".join(multiply_base(scalar_of(number)) for number in (1, 2, 3))
    return [_made_key(), rotation.to_body(), bytes(64) + elements, IDENTIFIER.encode()]


def _made_key() -> bytes:
    publics = {name: sealing(name).public for name in CEREMONY.trustees}
    with seeded("fuzz key"):
        trustees = {
            name: dkg.Trustee(CEREMONY, name, sealing(name), publics) for name in CEREMONY.trustees
        }
        board: dict[dkg.Round, dict[str, bytes]] = {
            "commitment": {name: one.commitment() for name, one in trustees.items()},
            "deal": {name: one.deal() for name, one in trustees.items()},
        }
    judgement = dkg.judge(CEREMONY, board)
    said = dkg.confirmation(judgement)
    signatures = {
        name: sign_entry(CEREMONY, "confirmation", name, said, signing(name))
        for name in CEREMONY.trustees
    }
    return canonical_json(json.loads(make_key(1, CEREMONY, judgement, signatures).to_body()))
