"""The words of the pages: complete in every language, chosen as the reader asks."""

import json
import re
from pathlib import Path

import pytest

import api.http.web.language as module
from api.http.web.language import LANGUAGES, TextMissing, Texts, accepted, placeholders, supported
from api.http.web.wording import Wording
from models.catalogue import load_default

TEXTS = Texts.load()
LOCALES = Path(module.__file__).with_name("locales")
TEMPLATES = Path(module.__file__).with_name("templates")
# Keys that templates put together at run time begin so.
_DYNAMIC = re.compile(r"[~+]")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_same_texts(language: str) -> None:
    """No reader meets a page that is not in their language."""
    assert TEXTS.by_language[language].keys() == TEXTS.by_language["en"].keys()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_text_takes_the_same_arguments_in_every_language(language: str) -> None:
    for key, text in TEXTS.by_language[language].items():
        assert placeholders(text) == placeholders(TEXTS.by_language["en"][key]), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_empty_or_doubled_in_its_file(language: str) -> None:
    for path in sorted((LOCALES / language).glob("*.json")):
        pairs = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=list)
        keys = [key for key, _ in pairs]
        assert len(set(keys)) == len(keys), path
        assert all(text for _, text in pairs), path


def test_chinese_is_chinese() -> None:
    """A text that was forgotten in English stands out: it has no Chinese character."""
    plain = {"words.unit.count", "words.unit.per_month"}
    for language in ("zh-Hans", "zh-Hant"):
        for key, text in TEXTS.by_language[language].items():
            forms = [text] if isinstance(text, str) else list(text.values())
            bare = [re.sub(r"\{[a-z_]+\}", "", form) for form in forms]
            letters = [form for form in bare if re.search(r"[A-Za-z]{4,}", form)]
            for form in letters:
                assert key in plain or re.search(r"[\u4e00-\u9fff]", form), (language, key)


def test_every_text_a_template_names_is_there() -> None:
    """A page cannot fail on a text that nobody wrote."""
    named = re.compile(r"""\bt\(\s*["']([a-z_]+\.[A-Za-z0-9_.\-]+)["']""")
    missing = {
        (path.name, key)
        for path in TEMPLATES.rglob("*.html")
        for key in named.findall(path.read_text(encoding="utf-8"))
        if not key.endswith(".") and not TEXTS.has("en", key)
    }
    assert not missing


def test_every_signal_and_family_of_the_catalogue_has_plain_words() -> None:
    """Nobody is shown the name of a column."""
    for spec in load_default().signals:
        assert TEXTS.has("en", f"words.signal.{spec.id}"), spec.id
        assert TEXTS.has("en", f"words.family.{spec.family}"), spec.family
        assert TEXTS.has("en", f"words.class.{spec.source_class}"), spec.source_class


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("zh-TW,zh;q=0.9,en;q=0.8", "zh-Hant"),
        ("zh-HK", "zh-Hant"),
        ("zh", "zh-Hans"),
        ("zh-CN;q=0.5, en-GB;q=0.9", "en"),
        ("de, fr;q=0.7", None),
        ("de, zh-Hans-SG;q=0.1", "zh-Hans"),
        ("en;q=high, zh-Hant;q=0.2", "zh-Hant"),
        ("," * 5000, None),
        ("", None),
    ],
)
def test_the_browser_says_which_language(header: str, language: str | None) -> None:
    assert accepted(header) == language


def test_only_our_languages_are_supported() -> None:
    assert [supported(tag) for tag in ("EN", "zh-mo", "xx", "", None)] == [
        "en",
        "zh-Hant",
        None,
        None,
        None,
    ]


def test_a_plural_is_chosen_by_its_count() -> None:
    assert TEXTS.say("en", "words.unit.months", {"count": 1}) == "1 month"
    assert TEXTS.say("en", "words.unit.months", {"count": 2}) == "2 months"


def test_a_missing_text_or_argument_is_an_error() -> None:
    with pytest.raises(TextMissing):
        TEXTS.say("en", "no.such", {})
    with pytest.raises(TextMissing):
        TEXTS.say("en", "words.unit.months", {})


@pytest.mark.parametrize(
    "kind", ["purpose", "class", "signal", "family", "status", "state", "refusal"]
)
def test_a_code_that_nobody_foresaw_has_words_in_every_language(kind: str) -> None:
    """A page cannot fail on a code that a newer release, or another room, brings."""
    for language in LANGUAGES:
        assert Wording(TEXTS, language).word(kind, "brand_new")
