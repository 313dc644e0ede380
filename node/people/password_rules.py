"""Which passwords are taken (NIST SP 800-63B-4, 3.1.1.2): long enough, and not among the first that
a guesser tries. There are no rules about kinds of characters, and no list of millions ships here:
what people do to common words (capitals, digits at the ends, letters swapped for digits) is undone
first, so that a short list of words stands for many passwords.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from protocols.errors import InvalidInput

MIN_CHARACTERS: Final = 12
MAX_CHARACTERS: Final = 128
_MIN_DISTINCT: Final = 5
_MAX_PERIOD: Final = 5
_RUN: Final = 6  # characters in a row of an alphabet or a keyboard that count as nothing

_WORDS: Final = frozenset(
    """
    password passw passwort passphrase secret letmein letmeinnow welcome login admin administrator
    root user guest master default changeme iloveyou iloveu loveyou lovely princess sunshine
    football baseball basketball superman batman spiderman dragon monkey tigger shadow michael
    jennifer jordan charlie computer internet freedom whatever trustno trustnoone starwars pokemon
    cheese chocolate butterfly flower forever family friends summer winter spring autumn monday
    friday january december london hongkong beijing shanghai guangzhou shenzhen taiwan taipei china
    zhongguo woaini woaiwojia aini nihao wodemima mima mimamima bank banking account mybank money
    credit credence portal wechat weixin alipay zhifubao taobao baidu google qq qwer asdf zxcv
    correcthorsebatterystaple
    """.split()  # noqa: SIM905 - words, to be read as such
)
_ROWS: Final = ("abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm",
                "1qaz2wsx3edc4rfv5tgb6yhn7ujm", "1q2w3e4r5t6y7u8i9o0p")  # fmt: skip
_SWAPPED: Final = str.maketrans("@4831!0$57|", "aaeilio" + "sstl")


class PasswordRefused(InvalidInput):
    """A new password is too short, too long, or among the first that a guesser tries."""

    code = "password_refused"
    next_step = "Choose a longer one, for example four or five words that have nothing in common."


def check_password(password: str, *, own_words: Iterable[str] = ()) -> None:
    """Take or refuse a new password.

    1. its length is in range;
    2. it has more than a few different characters and is no repetition of a short piece;
    3. without runs of the alphabet or the keyboard something of it remains;
    4. it is not a common word, or two, with digits and signs around and swapped letters;
    5. nor is it that about words of the account itself.

    Args:
        password: as typed.
        own_words: of the account: customer number, the institution's name.

    Raises:
        PasswordRefused: a check fails; the message does not quote it.
    """
    text = unicodedata.normalize("NFKC", password)
    if len(text) < MIN_CHARACTERS:  # 1
        raise PasswordRefused(f"a password has at least {MIN_CHARACTERS} characters")
    if len(text) > MAX_CHARACTERS:
        raise PasswordRefused(f"a password has at most {MAX_CHARACTERS} characters")
    low = text.casefold()
    if len(set(low)) < _MIN_DISTINCT or _repeats(low):  # 2
        raise PasswordRefused("a password of a repeated piece is guessed at once")
    if len(_without_runs(low)) < _RUN:  # 3
        raise PasswordRefused("a row of keys or letters is guessed at once")
    words = _WORDS | {_plain(word) for word in own_words if len(_plain(word)) >= 4}
    core = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", low)
    if any(_is_made_of(form, words) for form in (_plain(low), _plain(core.translate(_SWAPPED)))):
        raise PasswordRefused("this password is among the first that are guessed")  # 4, 5


def _repeats(text: str) -> bool:
    return any(
        (text[:period] * len(text))[: len(text)] == text for period in range(1, _MAX_PERIOD + 1)
    )


def _without_runs(text: str) -> str:
    """`text` without stretches of at least `_RUN` that go along a row, either way."""
    for row in (*_ROWS, *(row[::-1] for row in _ROWS)):
        for start in range(len(row) - _RUN + 1):
            for length in range(len(row) - start, _RUN - 1, -1):
                text = text.replace(row[start : start + length], "")
    return text


def _plain(text: str) -> str:
    """Letters of any script, in lower case, no digits or signs; digits alone stay."""
    letters = "".join(char for char in text.casefold() if char.isalpha())
    return letters or re.sub(r"\W", "", text)


def _is_made_of(text: str, words: frozenset[str] | set[str]) -> bool:
    """Whether `text` is one of `words`, twice one, or two of them."""
    if text in words:
        return True
    return any(text[:cut] in words and text[cut:] in words for cut in range(1, len(text)))
