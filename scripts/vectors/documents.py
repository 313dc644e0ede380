"""Vectors of signatures, signed documents, the directory and joining."""

from dataclasses import replace
from typing import Any

from protocols.documents import Document, sign_document
from protocols.invitations import Invitation
from protocols.joining import Declaration, sign_join
from scripts.vectors.seeds import DAY_MS, NOW_MS, directory, entry, seed, signing


def page() -> dict[str, Any]:
    """One of each, and directories that must not replace the one held."""
    return {
        "vectors": [_signature(), _document(), _directory(), _invitation(), _join()],
        "refused": [*_rollbacks()],
    }


def _signature() -> dict[str, Any]:
    key, message = signing("signature"), b"any bytes"
    return {
        "check": "signature",
        "name": "a signature under a domain",
        "seed": key.seed.hex(),
        "public_key": key.verify_key.bytes.hex(),
        "key_id": key.verify_key.key_id,
        "domain": "request",
        "message": message.hex(),
        "signed_bytes": (b"credence/1|request|" + message).hex(),
        "signature": key.sign("request", message).hex(),
    }


def _document() -> dict[str, Any]:
    document = sign_document("catalogue", b'{"signals":[],"version":7}', signing("directory"))
    return {
        "check": "document",
        "name": "a signed document",
        "public_key": signing("directory").verify_key.bytes.hex(),
        **_fields(document),
    }


def _fields(document: Document) -> dict[str, Any]:
    return {
        "kind": document.kind,
        "version": document.version,
        "body": document.body.decode(),
        "key_id": document.key_id,
        "signature": document.signature.hex(),
    }


def _directory() -> dict[str, Any]:
    held = directory()
    return {
        "check": "directory",
        "name": "a member directory, accepted as the first one",
        "public_key": held.directory_key.hex(),
        **_fields(sign_document("directory", held.to_body(), signing("directory"))),
        "epoch": held.epoch,
        "members": [one.member_id for one in held.members],
    }


def _rollbacks() -> list[dict[str, Any]]:
    held = directory(3)
    offers = (
        ("an older version", directory(2)),
        ("another directory of the same version", replace(held, issued_at_ms=NOW_MS + 1)),
        ("a newer version of an older key epoch", replace(directory(4), epoch=0)),
        ("a newer version issued earlier", replace(directory(4), issued_at_ms=NOW_MS - 1)),
    )
    return [
        {
            "check": "refused_directory",
            "name": name,
            "code": "directory_rollback",
            "public_key": held.directory_key.hex(),
            "held": held.to_body().decode(),
            **_fields(sign_document("directory", offered.to_body(), signing("directory"))),
        }
        for name, offered in offers
    ]


def _invitation() -> dict[str, Any]:
    invitation = Invitation(
        invitation_id="inv_aaaaaaaaaaaaaaaaaaaaaaaaaa",
        token=seed("invitation token"),
        member_id="bank-a",
        coordinator_endpoint="coordinator.example:7400",
        enrolment_endpoint="coordinator.example:7401",
        ca_sha256=seed("ca certificate"),
        directory_key=signing("directory").verify_key.bytes,
        expires_at_ms=NOW_MS + DAY_MS,
    )
    return {
        "check": "invitation",
        "name": "an invitation's line",
        "text": invitation.to_text(),
        "invitation_id": invitation.invitation_id,
        "token": invitation.token.hex(),
        "member_id": invitation.member_id,
        "coordinator_endpoint": invitation.coordinator_endpoint,
        "enrolment_endpoint": invitation.enrolment_endpoint,
        "ca_sha256": invitation.ca_sha256.hex(),
        "directory_key": invitation.directory_key.hex(),
        "expires_at_ms": invitation.expires_at_ms,
    }


def _join() -> dict[str, Any]:
    stated = entry("bank-a", "bank", ("credit_account",))
    declaration = Declaration(
        member_id=stated.member_id,
        name=stated.name,
        role=stated.role,
        licence=stated.licence,
        contact=stated.contact,
        holds=stated.holds,
        signing_key=stated.signing_key,
        sealing_key=stated.sealing_key,
        endpoint=stated.endpoint,
    ).to_body()
    csr = seed("stands for the DER of a CSR")
    return {
        "check": "join",
        "name": "the signature of a join request",
        "declaration": declaration.decode(),
        "csr_der": csr.hex(),
        "signature": sign_join(declaration, csr, signing("bank-a")).hex(),
    }
