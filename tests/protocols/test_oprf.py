"""The OPRF is RFC 9497's, and its threshold form gives the same outputs."""

from dataclasses import dataclass

import pytest

from protocols import oprf, ristretto
from protocols.errors import CredenceError, Malformed
from protocols.secret_sharing import (
    commit,
    evaluate_polynomial,
    random_polynomial,
    recover,
    share_matches,
    verification_share,
)


def unhex(text: str) -> list[bytes]:
    return [bytes.fromhex(part) for part in text.split(",")]


@dataclass(frozen=True)
class Vector:
    """One vector of RFC 9497, appendix A.1.2 (VOPRF, ristretto255-SHA512)."""

    inputs: str
    blinds: str
    blinded: str
    evaluated: str
    proof: str
    nonce: str
    outputs: str


KEY = bytes.fromhex("e6f73f344b79b379f1a0dd37e07ff62e38d9f71345ce62ae3a9bc60b04ccd909")
PUBLIC = bytes.fromhex("c803e2cc6b05fc15064549b5920659ca4a77b2cca6f04f6b357009335476ad4e")
BLIND_1 = "64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706"
NONCE_1 = "222a5e897cf59db8145db8d16e597e8facb80ae7d4e26d9881aa6f61d645fc0e"
OUTPUT_1 = (
    "b58cfbe118e0cb94d79b5fd6a6dafb98764dff49c14e1770b566e42402da1a7d"
    "a4d8527693914139caee5bd03903af43a491351d23b430948dd50cde10d32b3c"
)
OUTPUT_2 = (
    "8a9a2f3c7f085b65933594309041fc1898d42d0858e59f90814ae90571a6df60"
    "356f4610bf816f27afdd84f47719e480906d27ecd994985890e5f539e7ea74b6"
)
VECTORS = [
    Vector(
        "00",
        BLIND_1,
        "863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945",
        "aa8fa048764d5623868679402ff6108d2521884fa138cd7f9c7669a9a014267e",
        "ddef93772692e535d1a53903db24367355cc2cc78de93b3be5a8ffcc6985dd06"
        "6d4346421d17bf5117a2a1ff0fcb2a759f58a539dfbe857a40bce4cf49ec600d",
        NONCE_1,
        OUTPUT_1,
    ),
    Vector(
        "5a" * 17,
        BLIND_1,
        "cc0b2a350101881d8a4cba4c80241d74fb7dcbfde4a61fde2f91443c2bf9ef0c",
        "60a59a57208d48aca71e9e850d22674b611f752bed48b36f7a91b372bd7ad468",
        "401a0da6264f8cf45bb2f5264bc31e109155600babb3cd4e5af7d181a2c9dc0a"
        "67154fabf031fd936051dec80b0b6ae29c9503493dde7393b722eafdf5a50b02",
        NONCE_1,
        OUTPUT_2,
    ),
    Vector(
        "00," + "5a" * 17,
        BLIND_1 + "," + NONCE_1,
        "863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945,"
        "90a0145ea9da29254c3a56be4fe185465ebb3bf2a1801f7124bbbadac751e654",
        "aa8fa048764d5623868679402ff6108d2521884fa138cd7f9c7669a9a014267e,"
        "cc5ac221950a49ceaa73c8db41b82c20372a4c8d63e5dded2db920b7eee36a2a",
        "cc203910175d786927eeb44ea847328047892ddf8590e723c37205cb74600b0a"
        "5ab5337c8eb4ceae0494c2cf89529dcf94572ed267473d567aeed6ab873dee08",
        "419c4f4f5052c53c45f3da494d2b67b220d02118e0857cdbcf037f9ea84bbe0c",
        OUTPUT_1 + "," + OUTPUT_2,
    ),
]


@pytest.mark.parametrize("vector", VECTORS, ids=["one", "two", "batch"])
def test_every_step_matches_the_vectors_of_the_rfc(vector: Vector) -> None:
    pairs = zip(unhex(vector.inputs), unhex(vector.blinds), strict=True)
    blinded = [oprf.blind(data, scalar=scalar) for data, scalar in pairs]
    elements = [item.element for item in blinded]
    assert elements == unhex(vector.blinded)
    evaluated = oprf.evaluate(KEY, elements)
    assert evaluated == unhex(vector.evaluated)
    proof = oprf.prove(KEY, PUBLIC, elements, evaluated, nonce=bytes.fromhex(vector.nonce))
    assert proof.hex() == vector.proof
    oprf.verify(PUBLIC, elements, evaluated, proof)
    outputs = [oprf.finalize(b, e) for b, e in zip(blinded, evaluated, strict=True)]
    assert outputs == unhex(vector.outputs)


def test_the_unverified_mode_matches_its_vector_too() -> None:
    key = bytes.fromhex("5ebcea5ee37023ccb9fc2d2019f9d7737be85591ae8652ffa9ef0f4d37063b0e")
    blinded = oprf.blind(b"\0", mode=oprf.MODE_OPRF, scalar=bytes.fromhex(BLIND_1))
    assert blinded.element.hex() == (
        "609a0ae68c15a3cf6903766461307e5c8bb2f95e7e6550e1ffa2dc99e412803c"
    )
    assert oprf.finalize(blinded, oprf.evaluate(key, [blinded.element])[0]).hex() == (
        "527759c3d9366f277d8c6020418d96bb393ba2afb20ff90df23fb7708264e2f3"
        "ab9135e3bd69955851de4b1f9fe8a0973396719b7912ba9ee8aa7d0b5e24bcf6"
    )


@pytest.fixture
def polynomial() -> list[bytes]:
    rest = random_polynomial(2)
    return [KEY, *rest]


@pytest.mark.parametrize("trustees", [(1, 2, 3), (1, 3, 5), (5, 4, 2)])
def test_any_three_of_five_trustees_give_the_output_of_the_whole_key(
    polynomial: list[bytes], trustees: tuple[int, ...]
) -> None:
    blinded = [oprf.blind(data) for data in (b"\0", b"\x5a" * 17)]
    elements = [item.element for item in blinded]
    evaluations = {}
    for index in trustees:
        share = evaluate_polynomial(polynomial, index)
        public = verification_share(commit(polynomial), index)
        evaluated = oprf.evaluate(share, elements)
        oprf.verify(public, elements, evaluated, oprf.prove(share, public, elements, evaluated))
        evaluations[index] = evaluated
    assert [o.hex() for o in oprf.combine(blinded, evaluations)] == [OUTPUT_1, OUTPUT_2]


def test_two_of_five_trustees_give_something_else(polynomial: list[bytes]) -> None:
    blinded = [oprf.blind(b"\0")]
    evaluations = {
        index: oprf.evaluate(evaluate_polynomial(polynomial, index), [blinded[0].element])
        for index in (1, 2)
    }
    assert oprf.combine(blinded, evaluations)[0].hex() != OUTPUT_1
    shares = {index: evaluate_polynomial(polynomial, index) for index in (1, 2)}
    assert recover(shares) != KEY
    assert recover(shares | {4: evaluate_polynomial(polynomial, 4)}) == KEY


def test_a_trustee_that_uses_another_key_is_found_out(polynomial: list[bytes]) -> None:
    elements = [oprf.blind(bytes([n])).element for n in range(4)]
    public = verification_share(commit(polynomial), 1)
    wrong = ristretto.random_scalar()
    evaluated = oprf.evaluate(wrong, elements)
    proof = oprf.prove(wrong, public, elements, evaluated)
    with pytest.raises(oprf.ProofInvalid):
        oprf.verify(public, elements, evaluated, proof)


@pytest.mark.parametrize("position", range(3))
def test_one_wrong_element_of_a_batch_is_found_out(polynomial: list[bytes], position: int) -> None:
    elements = [oprf.blind(bytes([n])).element for n in range(3)]
    share = evaluate_polynomial(polynomial, 2)
    public = verification_share(commit(polynomial), 2)
    evaluated = oprf.evaluate(share, elements)
    proof = oprf.prove(share, public, elements, evaluated)
    evaluated[position] = ristretto.multiply_base(ristretto.random_scalar())
    with pytest.raises(oprf.ProofInvalid):
        oprf.verify(public, elements, evaluated, proof)


@pytest.mark.parametrize("bit", range(0, 512, 37))
def test_a_flipped_bit_of_a_proof_is_found_out(bit: int) -> None:
    elements = [oprf.blind(b"x").element]
    evaluated = oprf.evaluate(KEY, elements)
    proof = bytearray(oprf.prove(KEY, PUBLIC, elements, evaluated))
    proof[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CredenceError):
        oprf.verify(PUBLIC, elements, evaluated, bytes(proof))


@pytest.mark.parametrize(
    "element", [bytes(32), b"\1" * 32, b"", b"x" * 31, bytes([0xED]) + b"\xff" * 30 + b"\x7f"]
)
def test_what_is_no_element_is_refused_before_a_key_touches_it(element: bytes) -> None:
    with pytest.raises(Malformed):
        oprf.evaluate(KEY, [element])


def test_an_empty_or_overlong_batch_is_refused() -> None:
    for batch in ([], [PUBLIC] * (oprf.MAX_BATCH + 1)):
        with pytest.raises(Malformed):
            oprf.evaluate(KEY, batch)


def test_a_share_matches_its_commitments_and_no_other_index(polynomial: list[bytes]) -> None:
    commitments = commit(polynomial)
    share = evaluate_polynomial(polynomial, 3)
    assert share_matches(share, commitments, 3)
    assert not share_matches(share, commitments, 2)
    assert not share_matches(ristretto.random_scalar(), commitments, 3)
