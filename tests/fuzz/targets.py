"""What is fuzzed: each target takes any bytes, and only a `CredenceError` may come of them.

A target signs or seals the bytes where the format demands it, as a member of the network could who
means harm; otherwise the signature check would keep the fuzzer out of what comes after it.
"""

import contextlib
import json
from functools import cache

from consent.artefact import Artefact, grant, verify_artefact, verify_subject
from consent.events import ConsentEvent, verify_event
from consent.templates import Templates
from protocols import dkg
from protocols.canonical import canonical_json, sha256
from protocols.directory import accept
from protocols.dkg_entries import Ceremony, Opening, shown_share, verdicts
from protocols.documents import Document, from_proto, sign_document, to_proto, verify_document
from protocols.envelope import OutgoingRequest, open_answer, seal_answer, verify_request
from protocols.errors import CredenceError
from protocols.keys import SigningKey, VerifyKey
from protocols.padding import pad
from protocols.releases import Release, Staged
from protocols.releases import accept as accept_release
from protocols.v1.exchange_pb2 import AnswerBody, RequestBody, SealedAnswer, SealedRequest
from protocols.v1.membership_pb2 import SignedDocument
from scripts.vectors import hpke
from scripts.vectors.seeds import sealing, seeded
from tests.fuzz import access, accounts, events, keys, portal, proofs, relay, status, witness
from tests.fuzz.trying import Target, attempt, canonical_too, network, vectors


def envelope(data: bytes) -> bool:
    """A request body that a member signed; an answer body that the asked holder sealed."""
    taken = [attempt(asked, data), attempt(answered, data), attempt(framed, data)]
    return any(taken)


def asked(data: bytes) -> None:
    """As the holder: verify, and answer what passes with nothing."""
    vector = vectors("exchange", "request")[0]
    key = SigningKey.from_seed(bytes.fromhex(vector["sender_seed"]))
    verified = verify_request(
        SealedRequest(body=data, signature=key.sign("request", data)),
        own_id="payments",
        directory=network(),
        now_ms=1_780_000_000_010,
    )
    with contextlib.suppress(CredenceError):
        seal_answer(verified, AnswerBody.FromString(data), key)


def answered(data: bytes) -> None:
    """As the recipient: open what the holder sealed."""
    vector = vectors("exchange", "answer")[0]
    body = bytes.fromhex(vector["request_body"])
    padded = pad(data, smallest=512, largest=2 * 1024 * 1024)
    sealed = hpke.seal(
        bytes.fromhex(vector["ephemeral_private"]),
        RequestBody.FromString(body).recipient_epk,
        bytes.fromhex(vector["info"]),
        padded,
    )
    open_answer(
        OutgoingRequest(
            message=SealedRequest(body=body),
            body=RequestBody.FromString(body),
            request_hash=sha256(body),
            private_key=bytes.fromhex(vector["one_use_private"]),
        ),
        SealedAnswer(
            request_hash=sha256(body),
            sealed=sealed,
            signature=SigningKey.from_seed(bytes.fromhex(vector["holder_seed"])).sign(
                "answer", sha256(body) + sealed
            ),
        ),
        network(),
    )


def framed(data: bytes) -> None:
    """As the holder: a whole message off the wire, its signature as it came."""
    from google.protobuf.message import DecodeError

    try:
        message = SealedRequest.FromString(data)
    except DecodeError:
        return  # gRPC refuses it before we see it
    verify_request(message, own_id="payments", directory=network(), now_ms=1_780_000_000_010)


def directory(data: bytes) -> bool:
    """A directory and a release that their key signed, and a signed document off the wire."""
    key = SigningKey.from_seed(bytes.fromhex(vectors("documents", "signature")[0]["seed"]))
    taken = [attempt(offered, body, key) for body in canonical_too(data)]
    taken += [attempt(released, body, key) for body in canonical_too(data)]
    return any([*taken, attempt(received, data, key.verify_key)])


def offered(data: bytes, key: SigningKey) -> None:
    """Accept it, first with nothing held, then after itself."""
    version = 0
    with contextlib.suppress(ValueError, RecursionError, TypeError, KeyError):
        version = json.loads(data)["version"]
    body = data.replace(network().directory_key.hex().encode(), key.verify_key.bytes.hex().encode())
    document = Document(
        "directory", version, body, key.sign("directory", body), key.verify_key.key_id
    )
    held = accept(None, document, key.verify_key)
    if accept(held, document, key.verify_key) is not held or held.to_body() != body:
        raise AssertionError("a directory is not what it was read from")


def released(data: bytes, key: SigningKey) -> None:
    """A release that its key signed, with nothing held and after itself."""
    document = sign_document("release", data, key)
    if accept_release(None, document, key.verify_key).to_body() != data:
        raise AssertionError("a release is not what it was read from")
    accept_release(document, document, key.verify_key)


def received(data: bytes, key: VerifyKey) -> None:
    """A `SignedDocument` as a peer might send it."""
    from google.protobuf.message import DecodeError

    try:
        document = from_proto(SignedDocument.FromString(data))
    except DecodeError:
        return
    if from_proto(to_proto(document)) != document:
        raise AssertionError("a document changes on the wire")
    verify_document(document, key, document.kind)


def artefact(data: bytes) -> bool:
    """A consent or an event, as bare body and as a JWS that its parties signed."""
    taken = [attempt(consented, body) for body in canonical_too(data)]
    taken += [attempt(spoken, body) for body in canonical_too(data)]
    taken += [attempt(verify_artefact, data, bank), attempt(verify_event, data, bank)]
    taken += [attempt(verify_subject, data)]
    return any(taken)


def consented(data: bytes) -> None:
    """Read, check against templates, sign and verify."""
    read = Artefact.parse(data)
    if Artefact.parse(read.body()) != read or read.body() != data:
        raise AssertionError("a consent is not what it was read from")
    with contextlib.suppress(CredenceError):
        templates().check(read)
    verify_artefact(grant(read, subject_key(), bank_key()), bank)


def spoken(data: bytes) -> None:
    """Read an event."""
    if ConsentEvent.parse(data).body() != data:
        raise AssertionError("an event is not what it was read from")


@cache
def templates() -> Templates:
    """The templates of this release."""
    return Templates.load_default()


def bank_key() -> SigningKey:
    """The consent node's."""
    return SigningKey.from_seed(
        bytes.fromhex(vectors("consents", "artefact")[0]["controller_seed"])
    )


def subject_key() -> SigningKey:
    """The person's."""
    return SigningKey.from_seed(bytes.fromhex(vectors("consents", "artefact")[0]["subject_seed"]))


def bank(_member_id: str) -> VerifyKey:
    """Every controller is the bank."""
    return bank_key().verify_key


def ceremony(data: bytes) -> bool:
    """The bytes as the entry that one trustee posts in a round, for every round."""
    agreed, honest = agreement()
    taken = []
    for entry in canonical_too(data):
        taken += [
            attempt(dealt, entry),
            attempt(confirmed, entry),
            any(verdicts(agreed, honest | {"verdict": {"payments": entry}}).values()),
            shown_share({"answer": {"payments": entry}}, "payments", "bank-a") is not None,
        ]
    return any(taken)


def dealt(entry: bytes) -> None:
    """An opening, committed to and judged beside an honest one."""
    Opening.parse(entry)
    agreed, honest = agreement()
    committed = canonical_json({"opening_sha256": sha256(entry).hex()})
    board = honest | {
        "commitment": honest["commitment"] | {"payments": committed},
        "deal": honest["deal"] | {"payments": entry},
    }
    dkg.judge(agreed, board)


def confirmed(entry: bytes) -> None:
    """A confirmation of the honest board."""
    agreed, honest = agreement()
    judgement = judged()
    said = dict.fromkeys(agreed.trustees, dkg.confirmation(judgement))
    dkg.settle(judgement, honest | {"confirmation": said | {"payments": entry}})


@cache
def judged() -> dkg.Judgement:
    """What the honest board says."""
    return dkg.judge(*agreement())


@cache
def agreement() -> tuple[Ceremony, dict[dkg.Round, dict[str, bytes]]]:
    """A ceremony of two trustees, quick to judge, and its board."""
    agreed = Ceremony("cer_fuzz", epoch=1, threshold=2, trustees=("bank-a", "payments"))
    publics = {name: sealing(name).public for name in agreed.trustees}
    with seeded("fuzz"):
        trustees = {
            name: dkg.Trustee(agreed, name, sealing(name), publics) for name in agreed.trustees
        }
        board: dict[dkg.Round, dict[str, bytes]] = {
            "commitment": {name: one.commitment() for name, one in trustees.items()},
            "deal": {name: one.deal() for name, one in trustees.items()},
        }
    return agreed, board


def _envelope_seeds() -> list[bytes]:
    request, answer = vectors("exchange", "request")[0], vectors("exchange", "answer")[0]
    body = bytes.fromhex(request["body"])
    whole = SealedRequest(body=body, signature=bytes.fromhex(request["signature"]))
    return [body, bytes.fromhex(answer["plaintext"]), whole.SerializeToString()]


def _directory_seeds() -> list[bytes]:
    release = Release(7, 1, "m2", "m3", Staged("m4", ("bank-a",)),
                      dict.fromkeys(("m2", "m3", "m4"), "0" * 64), ("m1",))  # fmt: skip
    return [vectors("documents", "directory")[0]["body"].encode(), release.to_body()]


def _artefact_seeds() -> list[bytes]:
    consent, event = vectors("consents", "artefact")[0], vectors("consents", "event")[0]
    return [one[part].encode() for one in (consent, event) for part in ("body", "jws")]


def _ceremony_seeds() -> list[bytes]:
    return [
        agreement()[1]["deal"]["payments"],
        canonical_json({"accused": ["bank-a"]}),
        canonical_json({"shares": {"bank-a": "07" + "00" * 31}}),
        dkg.confirmation(judged()),
    ]


TARGETS = {
    "envelope": Target(envelope, _envelope_seeds),
    "directory": Target(directory, _directory_seeds),
    "artefact": Target(artefact, _artefact_seeds),
    "ceremony": Target(ceremony, _ceremony_seeds),
    "keys": Target(keys.run, keys.seeds),
    "relay": Target(relay.run, relay.seeds),
    "portal": Target(portal.run, portal.seeds),
    "proofs": Target(proofs.run, proofs.seeds),
    "access": Target(access.run, access.seeds),
    "accounts": Target(accounts.run, accounts.seeds),
    "status": Target(status.run, status.seeds),
    "witness": Target(witness.run, witness.seeds),
    "events": Target(events.run, events.seeds),
}
