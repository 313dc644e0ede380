"""The words of the pages, by language, and which language a reader gets.

One file an area and language: `locales/LANGUAGE/AREA.json`, an object of texts. A text may be an
object of `one` and `other`, chosen by the argument `count`. `{name}` stands for an argument.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from protocols.errors import CredenceError

LANGUAGES: Mapping[str, str] = {"en": "English", "zh-Hans": "简体中文", "zh-Hant": "繁體中文"}
"""BCP 47 tag -> the language's name in itself."""

DEFAULT = "en"
_LOCALES = Path(__file__).with_name("locales")
_MAX_ACCEPT = 200
_PLACE = re.compile(r"\{([a-z_]+)\}")

Text = str | Mapping[str, str]


class TextMissing(CredenceError):
    """A page asks for a text that no file has, or leaves out one of its arguments."""

    code = "text_missing"


@dataclass(frozen=True)
class Texts:
    """All texts: language -> "area.key" -> text."""

    by_language: Mapping[str, Mapping[str, Text]]

    @classmethod
    def load(cls, directory: Path = _LOCALES) -> Self:
        """The texts that ship with this release."""
        return cls({language: dict(_read(directory / language)) for language in LANGUAGES})

    def has(self, language: str, key: str) -> bool:
        """Whether there is a text by that key."""
        return key in self.by_language[language]

    def say(self, language: str, key: str, arguments: Mapping[str, Any]) -> str:
        """One text with its arguments in place.

        Raises:
            TextMissing: no such text, or an argument of it is not given.
        """
        found = self.by_language[language].get(key)
        if found is None:
            raise TextMissing(f"no text {key} in {language}")
        if not isinstance(found, str):
            found = found["one" if arguments.get("count") == 1 else "other"]
        try:
            return _PLACE.sub(lambda place: str(arguments[place.group(1)]), found)
        except KeyError as missing:
            raise TextMissing(f"text {key} needs the argument {missing}") from None


def placeholders(text: Text) -> frozenset[str]:
    """The arguments a text takes."""
    forms: Iterable[str] = [text] if isinstance(text, str) else text.values()
    return frozenset(name for form in forms for name in _PLACE.findall(form))


def supported(tag: str | None) -> str | None:
    """The language of ours that a BCP 47 tag means, or None."""
    if not tag:
        return None
    low = tag.strip().lower()
    if low in {"zh-tw", "zh-hk", "zh-mo"} or low.startswith("zh-hant"):
        return "zh-Hant"
    if low == "zh" or low.startswith("zh-"):
        return "zh-Hans"
    return "en" if low == "en" or low.startswith("en-") else None


def accepted(header: str) -> str | None:
    """The first language of ours in an Accept-Language header (RFC 9110, 12.5.4), or None."""
    wanted: list[tuple[float, int, str]] = []
    for place, part in enumerate(header[:_MAX_ACCEPT].split(",")):
        tag, _, quality = part.partition(";")
        language = supported(tag)
        if language is not None:
            wanted.append((-_quality(quality), place, language))
    return min(wanted)[2] if wanted else None


def _quality(text: str) -> float:
    name, _, value = text.strip().partition("=")
    if name != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def _read(directory: Path) -> Iterable[tuple[str, Text]]:
    for path in sorted(directory.glob("*.json")):
        texts: dict[str, Text] = json.loads(path.read_text(encoding="utf-8"))
        for key, text in texts.items():
            yield f"{path.stem}.{key}", text
