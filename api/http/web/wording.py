"""Codes and values of the domain in a reader's words; a code without words of its own gets a
general one, so that a page never fails on what a newer member sends.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from api.http.web.formats import number_text, percent_text
from api.http.web.language import Texts

_REPAYMENT: Mapping[int, str] = {-2: "inactive", -1: "cleared", 0: "revolving"}


@dataclass(frozen=True)
class Wording:
    """The vocabulary of one language."""

    texts: Texts
    language: str

    def word(self, kind: str, code: str, **arguments: Any) -> str:
        """Words for a code, such as `word("purpose", "train")`.

        Args:
            kind: part of the vocabulary: `purpose`, `class`, `signal`, `refusal`, ...
            code: what to name.
            arguments: of the text.
        """
        key = f"words.{kind}.{code}"
        if not self.texts.has(self.language, key):
            key = f"words.{kind}.other"
        return self.texts.say(self.language, key, {"code": code, **arguments})

    def about(self, kind: str, code: str) -> str:
        """A sentence that explains a code, or nothing."""
        key = f"words.{kind}.{code}.about"
        return self.texts.say(self.language, key, {}) if self.texts.has(self.language, key) else ""

    def value(self, unit: str, value: float) -> str:
        """A figure's value in its unit."""
        return _UNITS.get(unit, _plain)(self, value)

    def say(self, key: str, **arguments: Any) -> str:
        """A text of the vocabulary."""
        return self.texts.say(self.language, f"words.{key}", arguments)


def _plain(_: Wording, value: float) -> str:
    return number_text(value, 0 if float(value).is_integer() else 2)


def _currency(_: Wording, value: float) -> str:
    return number_text(value, 0 if float(value).is_integer() else 2)


def _ratio(_: Wording, value: float) -> str:
    return percent_text(value)


def _per_month(words: Wording, value: float) -> str:
    return words.say("unit.per_month", share=f"{value * 100:+.0f}%".replace("-", "\u2212"))


def _months(words: Wording, value: float) -> str:
    return words.say("unit.months", count=round(value))


def _flag(words: Wording, value: float) -> str:
    return words.say("unit.yes" if value else "unit.no")


def _months_late(words: Wording, value: float) -> str:
    known = _REPAYMENT.get(round(value))
    if known is not None:
        return words.say(f"unit.{known}")
    return words.say("unit.late", count=round(value))


_UNITS: Mapping[str, Callable[[Wording, float], str]] = {
    "currency": _currency,
    "ratio": _ratio,
    "ratio_per_month": _per_month,
    "months": _months,
    "flag": _flag,
    "months_late": _months_late,
}
