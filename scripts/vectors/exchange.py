"""Vectors of padding, signed requests and the sealed answers to them, in both suites.

The hybrid KEM takes no randomness from outside, so the sealed answer of suite 2 is made once and
kept: it stays while it opens under the fixed one-use key to what it must.
"""

import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from protocols.canonical import sha256
from protocols.errors import CredenceError
from protocols.exchange_rules import DEFAULT_LIMITS
from protocols.padding import pad
from protocols.pseudonyms import query_token
from protocols.suites import suite
from protocols.v1.exchange_pb2 import (
    AnswerBody,
    RequestBody,
    SignalStatus,
    SignalValue,
    SubjectAnswer,
    SubjectQuery,
)
from scripts.vectors import hpke
from scripts.vectors.consents import artefact
from scripts.vectors.pairwise import PSEUDONYM, key_with
from scripts.vectors.seeds import NOW_MS, directory, seed, signing

KEPT = Path(__file__).resolve().parent.parent.parent / "docs/vectors/exchange.json"
LATTICE_SEED = seed("one-use lattice key") + seed("one-use lattice key, second half")
ONE_USE = {1: seed("one-use key"), 2: LATTICE_SEED + seed("one-use key")}


def one_use_public(number: int) -> bytes:
    """The public half of the one-use key of a suite."""
    curve = X25519PrivateKey.from_private_bytes(ONE_USE[number][-32:])
    public = curve.public_key().public_bytes_raw()
    if number == 1:
        return public
    lattice = MLKEM768PrivateKey.from_seed_bytes(ONE_USE[number][:64])
    return lattice.public_key().public_bytes_raw() + public


def request(number: int = 1) -> RequestBody:
    """bank-a asks payments about one person."""
    consent_hash = artefact().consent_hash
    token = query_token(key_with("payments"), PSEUDONYM, consent_hash)
    return RequestBody(
        suite=number,
        request_id=f"req_{'ab'[number - 1] * 26}",
        to="payments",
        issued_at_ms=NOW_MS,
        expires_at_ms=NOW_MS + 30_000,
        nonce=seed(f"nonce {number}")[:16],
        recipient_epk=one_use_public(number),
        purpose="score",
        queries=[SubjectQuery(consent_hash=consent_hash, token=token)],
        signals=["statement_balance", "unpaid_months_6m"],
        **{"from": "bank-a"},
    )


def answer(number: int = 1) -> AnswerBody:
    """What payments says."""
    return AnswerBody(
        request_id=request(number).request_id,
        holder="payments",
        answered_at_ms=NOW_MS + 12,
        catalogue_version="1",
        answers=[
            SubjectAnswer(
                consent_hash=artefact().consent_hash,
                signals=[
                    SignalValue(
                        signal="statement_balance",
                        status=SignalStatus.SIGNAL_STATUS_PRESENT,
                        value=1250.5,
                        as_of_ms=NOW_MS - 1000,
                    ),
                    SignalValue(
                        signal="unpaid_months_6m",
                        status=SignalStatus.SIGNAL_STATUS_NONE_ON_RECORD,
                        as_of_ms=NOW_MS - 1000,
                    ),
                ],
            )
        ],
    )


def page() -> dict[str, Any]:
    """Padding at its edges; a request and its answer in each suite; requests to refuse."""
    return {
        "context": {
            "now_ms": NOW_MS + 10,
            "directories": {
                "1": directory().to_body().decode(),
                "2": directory(suites=(1, 2)).to_body().decode(),
            },
        },
        "vectors": [
            *(_padding(length) for length in (0, 1, 511, 512, 513)),
            *(_request(number) for number in (1, 2)),
            *(_answer(number) for number in (1, 2)),
        ],
        "refused": [*_refused()],
    }


def _padding(length: int) -> dict[str, Any]:
    data = (seed("padding") * 32)[:length]
    return {
        "check": "padding",
        "name": f"{length} bytes",
        "data": data.hex(),
        "padded": _padded(data).hex(),
    }


def _padded(data: bytes) -> bytes:
    limits = DEFAULT_LIMITS
    return pad(data, smallest=limits.smallest_bucket_bytes, largest=limits.max_answer_bytes)


def _request(number: int) -> dict[str, Any]:
    body = _serialized(request(number))
    return {
        "check": "request",
        "name": f"a signed request, suite {number}",
        "suite": number,
        "sender_seed": signing("bank-a").seed.hex(),
        "body": body.hex(),
        "request_hash": sha256(body).hex(),
        "signature": signing("bank-a").sign("request", body).hex(),
    }


def _refused() -> list[dict[str, Any]]:
    changes: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("malformed", "a nonce of 15 bytes", {"nonce": bytes(15)}),
        ("malformed", "a lifetime over 60 s", {"expires_at_ms": NOW_MS + 60_001}),
        ("suite_unsupported", "a suite that is none", {"suite": 9}),
        ("unknown_member", "a sender that is no member", {"from": "bank-z"}),
        ("sender_mismatch", "a sender that is not the peer", {"from": "bank-b"}),
        ("wrong_audience", "another holder", {"to": "bank-b"}),
        ("request_expired", "a request of the past", _times(-120_000)),
        ("request_from_future", "a request of the future", _times(120_000)),
    )
    found = []
    for code, name, change in changes:
        body = request()
        for field, value in change.items():
            setattr(body, field, value)
        found.append(_refusal(code, name, "1", body))
    found.append(_refusal("suite_downgrade", "suite 1 where both speak 2", "2", request()))
    changed = _refusal("signature_invalid", "a signature over other bytes", "1", request())
    return [*found, changed | {"signature": signing("bank-a").sign("request", b"").hex()}]


def _times(shift_ms: int) -> dict[str, int]:
    return {"issued_at_ms": NOW_MS + shift_ms, "expires_at_ms": NOW_MS + shift_ms + 30_000}


def _refusal(code: str, name: str, suites: str, body: RequestBody) -> dict[str, Any]:
    data = _serialized(body)
    return {
        "check": "refused_request",
        "name": name,
        "code": code,
        "directory": suites,
        "body": data.hex(),
        "signature": signing("bank-a").sign("request", data).hex(),
    }


def _answer(number: int) -> dict[str, Any]:
    body, plain = _serialized(request(number)), _serialized(answer(number))
    info = b"credence/1|" + sha256(body) + b"payments" + b"bank-a"
    ephemeral = {"ephemeral_private": seed("ephemeral").hex()} if number == 1 else {}
    sealed = (
        hpke.seal(seed("ephemeral"), one_use_public(1), info, _padded(plain))
        if number == 1
        else _hybrid(info, _padded(plain))
    )
    return {
        "check": "answer",
        "name": f"the sealed answer to it, suite {number}",
        "suite": number,
        "request_body": body.hex(),
        **_private(number),
        **ephemeral,
        "info": info.hex(),
        "plaintext": plain.hex(),
        "sealed": sealed.hex(),
        "holder_seed": signing("payments").seed.hex(),
        "signature": signing("payments").sign("answer", sha256(body) + sealed).hex(),
    }


def _private(number: int) -> dict[str, str]:
    private = ONE_USE[number]
    if number == 1:
        return {"one_use_private": private.hex()}
    # FIPS 203's seed is d || z; z matters only for ciphertexts that are to be rejected.
    return {
        "one_use_private": (private[:32] + private[64:]).hex(),
        "rejection_seed": private[32:64].hex(),
    }


def _hybrid(info: bytes, padded: bytes) -> bytes:
    try:
        listed = json.loads(KEPT.read_text())["vectors"]
        kept = next(
            bytes.fromhex(one["sealed"])
            for one in listed
            if one["check"] == "answer" and one.get("suite") == 2
        )
        if suite(2).open(kept, ONE_USE[2], info) == padded:
            return kept
    except (OSError, ValueError, LookupError, StopIteration, CredenceError):
        pass
    return suite(2).seal(padded, one_use_public(2), info)


def _serialized(message: RequestBody | AnswerBody) -> bytes:
    return message.SerializeToString(deterministic=True)
