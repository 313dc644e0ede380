"""Dealing: each member shares the key of its pseudorandom function with its neighbours, once.

The key is a ristretto255 scalar; the shares are Shamir's (any `Graph.needed` of the holders
evaluate the function, `protocols/masking/prf.py`), Feldman's commitments let every holder check its
own, and each share travels sealed under a key of the pair. Nobody ever puts the key together again:
what is opened are its values at single rounds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from protocols import ristretto
from protocols.aead import NONCE_BYTES, decrypt, encrypt
from protocols.canonical import canonical_json
from protocols.errors import CredenceError
from protocols.keys import SigningKey
from protocols.masking.errors import MaskingMalformed, ShareInvalid
from protocols.masking.layout import Graph
from protocols.masking.roster import Signed, read_fields
from protocols.masking.seeds import derive
from protocols.member_keys import hex32
from protocols.ristretto import Element, Scalar
from protocols.secret_sharing import Polynomial, commit, evaluate_polynomial, share_matches

DEAL_DOMAIN: Final = "mask-deal"


@dataclass(frozen=True)
class Deal:
    """What one member deals.

    Attributes:
        commitments: Feldman's, one a coefficient.
        sealed: the sealed share of each neighbour.
    """

    member_id: str
    commitments: tuple[Element, ...]
    sealed: Mapping[str, bytes]


def polynomial(secret: bytes, needed: int) -> Polynomial:
    """The sharing polynomial that a member's campaign secret stands for."""
    return [
        ristretto.hash_to_scalar(derive(secret, "coefficient", at.to_bytes(2, "big")), b"mask-deal")
        for at in range(needed)
    ]


def deal(
    graph: Graph, member_id: str, secret: bytes, share_keys: Mapping[str, bytes], key: SigningKey
) -> Signed:
    """The shares of one member, the same bytes whenever they are asked for.

    Args:
        graph: who holds what.
        member_id: the dealer.
        secret: its campaign secret.
        share_keys: the key of the pair by neighbour.
        key: its view key.
    """
    coefficients = polynomial(secret, graph.needed)
    sealed = {}
    for holder in graph.neighbours(member_id):
        share = evaluate_polynomial(coefficients, graph.index(member_id, holder))
        nonce = derive(secret, "nonce", holder.encode())[:NONCE_BYTES]
        aad = _aad(graph, member_id, holder)
        sealed[holder] = encrypt(share_keys[holder], share, aad, nonce=nonce).hex()
    body = canonical_json({
        "graph": graph.seed.hex(),
        "member_id": member_id,
        "commitments": [one.hex() for one in commit(coefficients)],
        "sealed": sealed,
    })  # fmt: skip
    return Signed(body, key.sign(DEAL_DOMAIN, body))


def read_deal(graph: Graph, signed: Signed) -> Deal:
    """Verify a deal, all but the shares, which only their holders can read.

    Raises:
        MaskingMalformed: its form, its graph, its holders or its number of commitments are wrong.
        SignatureInvalid: not signed by the dealer's key in the roster.
    """
    value = read_fields(signed.body, {"graph", "member_id", "commitments", "sealed"})
    member_id, commitments, sealed = value["member_id"], value["commitments"], value["sealed"]
    if not isinstance(member_id, str) or member_id not in graph.ids:
        raise MaskingMalformed("a deal by somebody outside the graph")
    graph.roster.view_key(member_id).verify(DEAL_DOMAIN, signed.body, signed.signature)
    if hex32(value["graph"]) != graph.seed:
        raise MaskingMalformed("a deal for another graph")
    if not isinstance(commitments, list) or len(commitments) != graph.needed:
        raise MaskingMalformed("a deal with another number of commitments than its threshold")
    if not isinstance(sealed, dict) or set(sealed) != set(graph.neighbours(member_id)):
        raise MaskingMalformed("a deal has one share for each neighbour")
    try:
        blobs = {holder: bytes.fromhex(blob) for holder, blob in sealed.items()}
        elements = tuple(ristretto.element(hex32(one)) for one in commitments)
    except (CredenceError, TypeError, ValueError) as error:
        raise MaskingMalformed("a deal with a field of the wrong form") from error
    return Deal(member_id, elements, blobs)


def open_share(graph: Graph, dealt: Deal, holder: str, share_key: bytes) -> Scalar:
    """The share of `holder`, checked against the dealer's commitments.

    Raises:
        ShareInvalid: it does not open, or does not fit them.
    """
    try:
        aad = _aad(graph, dealt.member_id, holder)
        share = ristretto.scalar(decrypt(share_key, dealt.sealed[holder], aad))
    except (CredenceError, KeyError) as error:
        raise ShareInvalid("a share does not open for its holder") from error
    if not share_matches(share, dealt.commitments, graph.index(dealt.member_id, holder)):
        raise ShareInvalid("a share does not fit its dealer's commitments")
    return share


def _aad(graph: Graph, dealer: str, holder: str) -> bytes:
    return b"credence/1|mask-share|" + graph.seed + f"|{dealer}|{holder}".encode()
