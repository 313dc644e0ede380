"""Codes of authenticator apps against RFC 6238, passwords at rest, and which ones are taken."""

import base64
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.people.codes import ALPHABET, new_code, read_code
from node.people.password_rules import MIN_CHARACTERS, PasswordRefused, check_password
from protocols import totp
from protocols.passwords import PasswordCost, Passwords

RFC_SEED = base64.b32encode(b"12345678901234567890").decode()
CHEAP = PasswordCost(memory_kib=64, passes=1, lanes=1)


@pytest.mark.parametrize(
    ("at_s", "code"),
    [
        (59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"),
        (2000000000, "279037"), (20000000000, "353130"),
    ],
)  # fmt: skip
def test_codes_are_those_of_the_rfc(at_s: int, code: str) -> None:
    """RFC 6238, appendix B, the last six of its eight digits."""
    step = totp.step_at(at_s * 1000)
    assert totp.code_at(RFC_SEED, step) == code
    assert totp.matching_step(RFC_SEED, code, at_s * 1000) == step


def test_one_step_of_drift_is_taken_and_no_more() -> None:
    """A phone's clock may be half a minute off."""
    now_ms = 1_700_000_000_000
    step = totp.step_at(now_ms)
    taken = [totp.matching_step(RFC_SEED, totp.code_at(RFC_SEED, step + off), now_ms)
             for off in (-2, -1, 0, 1, 2)]  # fmt: skip
    assert taken == [None, step - 1, step, step + 1, None]


@given(st.text(max_size=20))
def test_what_is_no_code_matches_nothing(text: str) -> None:
    """Only six ASCII digits are a code; a guess that happens to be right is the one exception."""
    found = totp.matching_step(RFC_SEED, text, 1_700_000_000_000)
    assert found is None or (len(text) == 6 and text.isascii())


def test_seeds_are_long_and_differ() -> None:
    """160 bits (RFC 4226, R6)."""
    seeds = {totp.new_seed() for _ in range(50)}
    assert len(seeds) == 50
    assert {len(base64.b32decode(seed)) for seed in seeds} == {20}


def test_a_password_is_the_same_however_the_keyboard_composes_it() -> None:
    """One system sends e with an accent as one character, another as two."""
    passwords = Passwords(CHEAP)
    kept = passwords.hash(unicodedata.normalize("NFD", "café olé voilà là-bas"))
    assert passwords.matches(kept, unicodedata.normalize("NFC", "café olé voilà là-bas"))
    assert not passwords.matches(kept, "cafe ole voila la-bas")


def test_no_password_and_a_damaged_hash_match_nothing() -> None:
    """Not even the password of nobody."""
    passwords = Passwords(CHEAP)
    for kept in (None, "", "x", "$argon2id$v=19$m=64,t=1,p=1$AAAA$AAAA"):
        for tried in ("", "x", "None"):
            assert not passwords.matches(kept, tried)


def test_hashes_are_argon2id_at_the_cost_asked_for() -> None:
    """RFC 9106, section 4, second recommendation, is the default."""
    assert Passwords(CHEAP).hash("x").startswith("$argon2id$v=19$m=64,t=1,p=1$")
    default = PasswordCost()
    assert (default.memory_kib, default.passes, default.lanes) == (65536, 3, 4)
    assert Passwords().is_weaker(Passwords(CHEAP).hash("x"))


@given(st.text(max_size=200))
def test_whatever_is_typed_is_taken_or_refused(password: str) -> None:
    """No text makes the rules fail, and nothing short passes."""
    try:
        check_password(password, own_words=("A-0001", "Harbour Bank"))
    except PasswordRefused:
        return
    assert MIN_CHARACTERS <= len(unicodedata.normalize("NFKC", password)) <= 128


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery", "tide mango copper nine", "我家门前有两棵枣树另一棵也是",
        "Xk3$vP9!qLm2", "no kinds of characters are asked for",
    ],
)  # fmt: skip
def test_long_and_uncommon_passwords_are_taken(password: str) -> None:
    """Any kind of character, any script."""
    check_password(password)


@given(st.integers(min_value=4, max_value=24))
def test_a_code_reads_as_it_was_made(characters: int) -> None:
    """Groups and case are for the eye."""
    code = new_code(characters)
    assert read_code(code.lower()) == code.replace("-", "")
    assert set(read_code(code)) <= set(ALPHABET)
