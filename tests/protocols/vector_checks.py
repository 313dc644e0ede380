"""Checks of docs/vectors, one a kind: each raises unless every field of the vector holds.

They read a vector as another implementer would, from its fields alone, then make it again.
"""

import json
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from consent.artefact import Artefact, grant, verify_artefact
from consent.delivery import Acknowledgement, Delivery, Kind, verify_acknowledgement
from consent.events import ConsentEvent, countersign_event, sign_event, verify_event
from consent.signatures import attested, challenge
from protocols import dkg, oprf
from protocols.canonical import b64url_decode, canonical_json, parse_canonical, sha256
from protocols.directory import Directory, accept
from protocols.documents import Document, verify_document
from protocols.envelope import OutgoingRequest, open_answer, verify_request
from protocols.invitations import Invitation
from protocols.joining import verify_join
from protocols.keys import SealingKey, SigningKey, VerifyKey, pair_key
from protocols.padding import pad, unpad
from protocols.pseudonyms import handle, query_token, subject_ref
from protocols.secret_sharing import verification_share
from protocols.suites import suite
from protocols.v1.exchange_pb2 import RequestBody, SealedAnswer, SealedRequest
from scripts.vectors import hpke
from tests.protocols.log_vector_checks import checkpoint, consistency, inclusion, leaf, tree
from tests.protocols.vector_fields import Mismatch, Vector, same, unhex

BUCKETS = {"smallest": 512, "largest": 2 * 1024 * 1024}


def canonical(vector: Vector, _context: Vector) -> None:
    data = canonical_json(vector["value"])
    same(data.hex(), vector["bytes"])
    same(sha256(data).hex(), vector["sha256"])


def refused_json(vector: Vector, _context: Vector) -> None:
    parse_canonical(unhex(vector["bytes"]), max_bytes=1024)


def signature(vector: Vector, _context: Vector) -> None:
    key, message = SigningKey.from_seed(unhex(vector["seed"])), unhex(vector["message"])
    same(key.verify_key, VerifyKey(unhex(vector["public_key"])))
    same(key.verify_key.key_id, vector["key_id"])
    same(f"credence/1|{vector['domain']}|".encode() + message, unhex(vector["signed_bytes"]))
    key.verify_key.verify(vector["domain"], message, unhex(vector["signature"]))
    same(key.sign(vector["domain"], message).hex(), vector["signature"])
    key.verify_key.verify_raw(unhex(vector["signed_bytes"]), unhex(vector["signature"]))


def document_of(vector: Vector) -> Document:
    return Document(
        kind=vector["kind"],
        version=vector["version"],
        body=vector["body"].encode(),
        signature=unhex(vector["signature"]),
        key_id=vector["key_id"],
    )


def document(vector: Vector, _context: Vector) -> None:
    verify_document(document_of(vector), VerifyKey(unhex(vector["public_key"])), "catalogue")


def directory(vector: Vector, _context: Vector) -> None:
    accepted = accept(None, document_of(vector), VerifyKey(unhex(vector["public_key"])))
    same(accepted.to_body().decode(), vector["body"])
    same(accepted.epoch, vector["epoch"])
    same([entry.member_id for entry in accepted.members], vector["members"])


def refused_directory(vector: Vector, _context: Vector) -> None:
    held = Directory.from_body(vector["held"].encode())
    accept(held, document_of(vector), VerifyKey(unhex(vector["public_key"])))


def invitation(vector: Vector, _context: Vector) -> None:
    read = Invitation.from_text(vector["text"])
    same(read.to_text(), vector["text"])
    for name in set(vector) - {"check", "name", "text"}:
        value = getattr(read, name)
        same(value.hex() if isinstance(value, bytes) else value, vector[name])


def join(vector: Vector, _context: Vector) -> None:
    declaration = vector["declaration"].encode()
    verify_join(declaration, unhex(vector["csr_der"]), unhex(vector["signature"]))


def account_artefact(vector: Vector, _context: Vector) -> Artefact:
    key = VerifyKey(unhex(vector["controller_key"]))
    read = verify_artefact(vector["jws"].encode(), lambda _id: key)
    same(read, Artefact.parse(vector["body"].encode()))
    same(read.body().decode(), vector["body"])
    same(read.consent_hash.hex(), vector["consent_hash"])
    return read


def artefact(vector: Vector, context: Vector) -> None:
    subject, controller = signers(vector)
    read = account_artefact(vector, context)
    same(grant(read, subject, controller).decode(), vector["jws"])


def passkey_artefact(vector: Vector, context: Vector) -> None:
    read = account_artefact(vector, context)
    same(read.authority.kid, vector["kid"])
    same(challenge(read.body(), read.authority).hex(), vector["challenge"])
    stated, evidence = attested(vector["jws"].encode(), read.authority)
    same(evidence.decode(), vector["attestation"])
    same(stated.sha256.hex(), vector["attestation_sha256"])
    header = json.loads(vector["jws"])["signatures"][0]["header"]
    same(b64url_decode(header["clientDataJSON"]), vector["client_data"].encode())
    same(b64url_decode(header["authenticatorData"]).hex(), vector["authenticator_data"])


def event(vector: Vector, _context: Vector) -> None:
    subject, controller = signers(vector)
    read = verify_event(vector["jws"].encode(), lambda _id: controller.verify_key)
    same(read, ConsentEvent.parse(vector["body"].encode()))
    same(countersign_event(sign_event(read, subject), controller).decode(), vector["jws"])


def signers(vector: Vector) -> tuple[SigningKey, SigningKey]:
    controller = SigningKey.from_seed(unhex(vector["controller_seed"]))
    same(controller.verify_key.bytes.hex(), vector["controller_key"])
    return SigningKey.from_seed(unhex(vector["subject_seed"])), controller


def acknowledgement(vector: Vector, _context: Vector) -> None:
    delivery = Delivery(Kind.EVENT, vector["delivered"].encode())
    same(delivery.delivery_id, vector["delivery_id"])
    made = Acknowledgement(
        vector["delivery_id"],
        vector["refusal"],
        vector["effective_at_ms"],
        unhex(vector["signature"]),
    )
    verify_acknowledgement(made, delivery, VerifyKey(unhex(vector["public_key"])))


def pair(vector: Vector, _context: Vector) -> None:
    names = {"low": vector["low"], "high": vector["high"], "epoch": vector["epoch"]}
    low, high = (SealingKey(unhex(vector[f"{side}_private"])) for side in ("low", "high"))
    same(low.public.hex(), vector["low_public"])
    same(high.public.hex(), vector["high_public"])
    same(pair_key(low, high.public, **names).hex(), vector["pair_key"])
    same(pair_key(high, low.public, **names).hex(), vector["pair_key"])


def handles(vector: Vector, _context: Vector) -> None:
    made = handle(unhex(vector["pair_key"]), unhex(vector["pseudonym"]))
    same(made.hex(), vector["handle"])


def token(vector: Vector, _context: Vector) -> None:
    key, name = unhex(vector["pair_key"]), unhex(vector["pseudonym"])
    same(query_token(key, name, unhex(vector["consent_hash"])).hex(), vector["token"])


def reference(vector: Vector, _context: Vector) -> None:
    made = subject_ref(unhex(vector["local_key"]), unhex(vector["pseudonym"]))
    same(made, vector["subject_ref"])


def padding(vector: Vector, _context: Vector) -> None:
    same(pad(unhex(vector["data"]), **BUCKETS).hex(), vector["padded"])
    same(unpad(unhex(vector["padded"]), **BUCKETS).hex(), vector["data"])


def directory_for(context: Vector, suites: int | str) -> Directory:
    if str(suites) not in context["directories"]:
        raise Mismatch
    return Directory.from_body(context["directories"][str(suites)].encode())


def refused_request(vector: Vector, context: Vector) -> None:
    verify_request(
        SealedRequest(body=unhex(vector["body"]), signature=unhex(vector["signature"])),
        own_id="payments",
        directory=directory_for(context, vector["directory"]),
        now_ms=context["now_ms"],
        peer_id="bank-a",
    )


def request(vector: Vector, context: Vector) -> None:
    body, signed = unhex(vector["body"]), unhex(vector["signature"])
    verified = verify_request(
        SealedRequest(body=body, signature=signed),
        own_id="payments",
        directory=directory_for(context, vector["suite"]),
        now_ms=context["now_ms"],
        peer_id="bank-a",
    )
    same(verified.body.suite, vector["suite"])
    same(verified.request_hash.hex(), vector["request_hash"])
    key = SigningKey.from_seed(unhex(vector["sender_seed"]))
    same(key.sign("request", body).hex(), vector["signature"])
    same(verified.body.SerializeToString(deterministic=True), body)


def answer(vector: Vector, context: Vector) -> None:
    data, sealed = unhex(vector["request_body"]), unhex(vector["sealed"])
    body, private = RequestBody.FromString(data), unhex(vector["one_use_private"])
    if "rejection_seed" in vector:
        private = private[:32] + unhex(vector["rejection_seed"]) + private[32:]
    same(body.suite, vector["suite"])
    same(one_use_public(private), body.recipient_epk)
    asked = OutgoingRequest(
        message=SealedRequest(body=data), body=body, request_hash=sha256(data), private_key=private
    )
    opened = open_answer(
        asked,
        SealedAnswer(
            request_hash=sha256(data), sealed=sealed, signature=unhex(vector["signature"])
        ),
        directory_for(context, vector["suite"]),
    )
    plaintext = unhex(vector["plaintext"])
    same(opened.SerializeToString(deterministic=True), plaintext)
    info = b"credence/1|" + sha256(data) + b"payments" + b"bank-a"
    same(info.hex(), vector["info"])
    padded = pad(plaintext, **BUCKETS)
    same(suite(body.suite).open(sealed, private, info), padded)
    if body.suite == 1:
        ephemeral = unhex(vector["ephemeral_private"])
        same(hpke.seal(ephemeral, body.recipient_epk, info, padded), sealed)
    key = SigningKey.from_seed(unhex(vector["holder_seed"]))
    same(key.sign("answer", sha256(data) + sealed).hex(), vector["signature"])


def one_use_public(private: bytes) -> bytes:
    curve = X25519PrivateKey.from_private_bytes(private[-32:]).public_key().public_bytes_raw()
    if len(private) == 32:
        return curve
    return MLKEM768PrivateKey.from_seed_bytes(private[:64]).public_key().public_bytes_raw() + curve


def evaluation(vector: Vector, _context: Vector) -> None:
    blinded = oprf.blind(unhex(vector["input"]), scalar=unhex(vector["blind"]))
    same(blinded.element.hex(), vector["blinded"])
    commitments = [unhex(item) for item in vector["commitments"]]
    found = {}
    for one in vector["evaluations"]:
        share, public = unhex(one["share"]), unhex(one["verification_share"])
        same(verification_share(commitments, one["index"]), public)
        evaluated = oprf.evaluate(share, [blinded.element])
        same(evaluated[0].hex(), one["evaluated"])
        oprf.verify(public, [blinded.element], evaluated, unhex(one["proof"]))
        made = oprf.prove(share, public, [blinded.element], evaluated, nonce=unhex(one["nonce"]))
        same(made.hex(), one["proof"])
        found[one["index"]] = evaluated
    same(oprf.combine([blinded], found)[0].hex(), vector["output"])


def ceremony(vector: Vector, _context: Vector) -> None:
    agreed = dkg.Ceremony(
        vector["ceremony"], vector["epoch"], vector["threshold"], tuple(vector["trustees"])
    )
    board = {
        name: {member: text.encode() for member, text in entries.items()}
        for name, entries in vector["board"].items()
    }
    judgement = dkg.judge(agreed, board)
    same(list(judgement.qualified), vector["qualified"])
    same(judgement.blamed, vector["blamed"])
    same(judgement.public_key.hex(), vector["public_key"])
    same(judgement.transcript.hex(), vector["transcript"])
    shares = {member: one.hex() for member, one in judgement.verification_shares.items()}
    same(shares, vector["verification_shares"])
    same(dkg.confirmation(judgement).decode(), vector["confirmation"])
    keys = {one: SealingKey(unhex(key)) for one, key in vector["sealing_private"].items()}
    stranger = SealingKey.generate().public  # in the place of who is out: nobody opens its deal
    publics = dict.fromkeys(agreed.trustees, stranger)
    publics |= {member: key.public for member, key in keys.items()}
    for member, share in vector["shares"].items():
        trustee = dkg.Trustee(agreed, member, keys[member], publics)
        same(trustee.conclude(board)[1].hex(), share)


CHECKS: dict[str, Callable[[Vector, Vector], object]] = {
    "canonical_json": canonical,
    "refused_json": refused_json,
    "signature": signature,
    "document": document,
    "directory": directory,
    "refused_directory": refused_directory,
    "invitation": invitation,
    "join": join,
    "artefact": artefact,
    "passkey_artefact": passkey_artefact,
    "account_artefact": account_artefact,
    "event": event,
    "acknowledgement": acknowledgement,
    "pair_key": pair,
    "handle": handles,
    "token": token,
    "subject_ref": reference,
    "padding": padding,
    "request": request,
    "refused_request": refused_request,
    "answer": answer,
    "leaf": leaf,
    "tree": tree,
    "inclusion": inclusion,
    "consistency": consistency,
    "checkpoint": checkpoint,
    "evaluation": evaluation,
    "ceremony": ceremony,
}
