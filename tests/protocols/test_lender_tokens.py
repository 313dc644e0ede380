"""Lenders are counted across holders, and the one who counts learns no name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import InvalidInput, Malformed
from protocols.keys import SealingKey, pair_key
from protocols.lender_tokens import (
    LenderRows,
    LendersNotComparable,
    blind,
    count_distinct,
    decode,
    encode,
    peers_of,
)

HOLDERS = ("bank-b", "bank-c", "payments", "public-records")
RECIPIENT = "bank-a"
KEYS = {one: SealingKey.generate() for one in (*HOLDERS, RECIPIENT)}
SUBJECT, CONSENT = b"s" * 32, b"c" * 32


def key_of(one: str, other: str, epoch: int = 1) -> bytes:
    low, high = sorted((one, other))
    return pair_key(KEYS[one], KEYS[other].public, low=low, high=high, epoch=epoch)


def said(holder: str, lenders, *, subject=SUBJECT, consent=CONSENT, epoch: int = 1) -> LenderRows:
    peers = peers_of(holder, (*HOLDERS, RECIPIENT), RECIPIENT)
    return blind(
        lenders,
        {peer: key_of(holder, peer, epoch) for peer in peers},
        recipient=RECIPIENT,
        subject=subject,
        consent_hash=consent,
        epoch=epoch,
    )


LENDERS = st.sets(st.sampled_from(["bank-a", "bank-b", "bank-c", "lender-d", "uscc:" + "9" * 18]))


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(HOLDERS, LENDERS)))
def test_as_many_are_counted_as_there_are_whoever_names_them(names: dict[str, set[str]]) -> None:
    """Distinct over all holders, the one who asks not counted; through the wire form."""
    told = {}
    for holder, lenders in names.items():
        rows = said(holder, lenders)
        told[holder] = decode(encode(rows), rows.peers, 1)
    assert count_distinct(told) == len(set().union(*names.values()) - {RECIPIENT})


def test_who_asks_cannot_make_a_token_with_any_key_of_its_own() -> None:
    """Lenders are few; trying them all takes a pair key of two other members."""
    (row,) = said("bank-b", ["lender-d"]).rows
    own = {peer: key_of(RECIPIENT, peer) for peer in HOLDERS}
    tried = blind(["lender-d"], own, recipient="nobody", subject=SUBJECT,
                  consent_hash=CONSENT, epoch=1)  # fmt: skip
    assert not set(row) & set(tried.rows[0])


@pytest.mark.parametrize("change", [{"subject": b"t" * 32}, {"consent": b"d" * 32}, {"epoch": 2}])
def test_rows_of_another_person_consent_or_epoch_have_nothing_in_common(change: dict) -> None:
    one, other = said("bank-b", ["lender-d"]), said("bank-b", ["lender-d"], **change)
    assert not set(one.rows[0]) & set(other.rows[0])


def test_rows_of_different_epochs_are_not_counted_together() -> None:
    rows = {"bank-b": said("bank-b", ["bank-b"]), "bank-c": said("bank-c", ["bank-b"], epoch=2)}
    with pytest.raises(LendersNotComparable):
        count_distinct(rows)


def test_a_holder_alone_says_how_many_and_nothing_else() -> None:
    rows = blind(["bank-b", "bank-c"], {}, recipient=RECIPIENT, subject=SUBJECT,
                 consent_hash=CONSENT, epoch=1)  # fmt: skip
    assert rows.rows == ((), ())
    assert count_distinct({"bank-b": decode(encode(rows), (), 1)}) == 2


def test_what_is_not_a_lender_or_too_much_is_refused() -> None:
    for lenders in (["Bank B"], ["uscc:1"], [f"lender-{n}" for n in range(300)]):
        with pytest.raises(InvalidInput):
            said("bank-b", lenders)
    with pytest.raises(InvalidInput):
        blind([], {RECIPIENT: bytes(32)}, recipient=RECIPIENT, subject=SUBJECT,
              consent_hash=CONSENT, epoch=1)  # fmt: skip


@given(st.binary(max_size=200))
def test_bytes_of_another_form_are_refused(data: bytes) -> None:
    peers = ("bank-c", "payments")
    try:
        rows = decode(data, peers, 1)
    except Malformed:
        return
    assert encode(rows) == data


def test_a_row_said_twice_is_refused() -> None:
    rows = said("bank-b", ["bank-b"])
    twice = LenderRows(1, rows.peers, rows.rows * 2)
    with pytest.raises(Malformed):
        decode(encode(twice), rows.peers, 1)
