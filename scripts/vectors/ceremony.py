"""Vectors of the threshold OPRF and of the ceremony that makes its key."""

import json
from collections.abc import Mapping
from typing import Any

from protocols import dkg, oprf, ristretto
from protocols.canonical import canonical_json, sha256
from protocols.dkg import Ceremony, Judgement, Trustee
from protocols.secret_sharing import commit, evaluate_polynomial, verification_share
from scripts.vectors.seeds import sealing, seed, seeded

TRUSTEES = ("bank-a", "bank-b", "bank-c", "payments", "public-records")
CEREMONY = Ceremony("cer_vector", epoch=1, threshold=3, trustees=TRUSTEES)
MutableBoard = dict[dkg.Round, dict[str, bytes]]


def page() -> dict[str, Any]:
    """An evaluation by three of five; ceremonies with and without a cheat."""
    return {
        "vectors": [
            _evaluation(),
            _ceremony("all honest", honest=True),
            _ceremony("payments deals bank-b a wrong share and does not answer", honest=False),
        ]
    }


def _scalar(label: str) -> bytes:
    return ristretto.hash_to_scalar(seed(label), b"credence vectors")


def _evaluation() -> dict[str, Any]:
    polynomial = [_scalar(f"coefficient {k}") for k in range(3)]
    commitments = commit(polynomial)
    data = b"110101199003078515"
    item = oprf.blind(data, scalar=_scalar("blind"))
    shown = []
    evaluations = {}
    for index in (1, 3, 5):
        share = evaluate_polynomial(polynomial, index)
        public = verification_share(commitments, index)
        evaluated = oprf.evaluate(share, [item.element])
        nonce = _scalar(f"nonce {index}")
        proof = oprf.prove(share, public, [item.element], evaluated, nonce=nonce)
        evaluations[index] = evaluated
        shown.append(
            {
                "index": index,
                "share": share.hex(),
                "verification_share": public.hex(),
                "evaluated": evaluated[0].hex(),
                "nonce": nonce.hex(),
                "proof": proof.hex(),
            }
        )
    return {
        "check": "evaluation",
        "name": "one input, trustees 1, 3 and 5 of a threshold of 3",
        "commitments": [item.hex() for item in commitments],
        "input": data.hex(),
        "blind": item.blind.hex(),
        "blinded": item.element.hex(),
        "evaluations": shown,
        "output": oprf.combine([item], evaluations)[0].hex(),
    }


def _ceremony(name: str, *, honest: bool) -> dict[str, Any]:
    with seeded(name):
        board, trustees = _board(honest=honest)
    judgement = dkg.judge(CEREMONY, board)
    return {
        "check": "ceremony",
        "name": name,
        "ceremony": CEREMONY.ceremony_id,
        "epoch": CEREMONY.epoch,
        "threshold": CEREMONY.threshold,
        "trustees": list(TRUSTEES),
        "sealing_private": {one: sealing(one).private.hex() for one in judgement.qualified},
        "board": {
            round_: {member: data.decode() for member, data in entries.items()}
            for round_, entries in board.items()
        },
        **_judged(judgement),
        "shares": {one: trustees[one].conclude(board)[1].hex() for one in judgement.qualified},
        "confirmation": dkg.confirmation(judgement).decode(),
    }


def _judged(judgement: Judgement) -> dict[str, Any]:
    return {
        "qualified": list(judgement.qualified),
        "blamed": judgement.blamed,
        "public_key": judgement.public_key.hex(),
        "verification_shares": {
            member: share.hex() for member, share in judgement.verification_shares.items()
        },
        "transcript": judgement.transcript.hex(),
    }


def _board(*, honest: bool) -> tuple[MutableBoard, Mapping[str, Trustee]]:
    publics = {name: sealing(name).public for name in TRUSTEES}
    trustees = {name: Trustee(CEREMONY, name, sealing(name), publics) for name in TRUSTEES}
    board: MutableBoard = {"commitment": {n: t.commitment() for n, t in trustees.items()}}
    board["deal"] = {name: trustee.deal() for name, trustee in trustees.items()}
    if not honest:
        opening = json.loads(board["deal"]["payments"])
        opening["sealed"]["bank-b"] = "00" * 60
        changed = canonical_json(opening)
        board["deal"]["payments"] = changed
        board["commitment"]["payments"] = canonical_json({"opening_sha256": sha256(changed).hex()})
    board["verdict"] = {name: trustee.verdict(board) for name, trustee in trustees.items()}
    board["answer"] = {name: trustee.answer(board) for name, trustee in trustees.items()}
    if not honest:
        del board["answer"]["payments"]
    return board, trustees
