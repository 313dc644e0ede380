"""Upper bounds on what a consent may say, by purpose, and the notices a person may be shown.

A template is data that all members hold alike: its hash stands in every artefact, so a holder
checks a consent against the very text and bounds the person was offered. A consent outside its
template is refused even when the person signed it, because nobody is to be talked into more.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from consent.artefact import Artefact
from consent.authority import METHODS
from consent.clauses import Notice
from consent.fields import DECIMAL, WORD, Fields
from protocols.canonical import canonical_json, parse_json, sha256
from protocols.data_classes import is_data_class
from protocols.errors import InvalidInput
from protocols.identifiers import PURPOSES

DAY_MS = 86_400_000
DAY_S = 86_400
MAX_FILE_BYTES = 1024 * 1024

_FILE = Path(__file__).with_name("templates.json")


class ConsentOutOfBounds(InvalidInput):
    """A consent asks for more than its template allows."""

    code = "consent_out_of_bounds"
    next_step = "Offer the person a consent within the bounds of its template."


class TemplateUnknown(InvalidInput):
    """A consent names a template, or a text of it, that is not held here."""

    code = "template_unknown"
    next_step = "Check that both members run the same release of the consent templates."


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most a consent may say for one purpose."""

    max_validity_ms: int
    max_data_life_s: int
    max_uses: int
    max_epsilon: float | None
    max_delta: float | None


@dataclass(frozen=True)
class Template:
    """One template.

    Attributes:
        template_id: its name in an artefact.
        sha256: SHA-256 of its canonical JSON, texts included.
        auth_methods: by what a person may grant it (`consent.authority`).
        data_categories: source classes that may be asked for.
        adverse_notice_categories: those that need a notice of adverse consequences.
        bounds: purpose -> the most that may be granted for it.
        notices: texts a person may be shown, by what an artefact says of them.
        adverse_notices: hashes of the notices of adverse consequences.
    """

    template_id: str
    sha256: bytes
    auth_methods: frozenset[str]
    data_categories: frozenset[str]
    adverse_notice_categories: frozenset[str]
    bounds: Mapping[str, Bounds]
    notices: Mapping[Notice, str]
    adverse_notices: Mapping[Notice, str]

    def notice(self, language: str) -> Notice:
        """The newest notice in a language.

        Raises:
            TemplateUnknown: there is none in it.
        """
        return _newest(self.notices, language)

    def adverse_notice(self, language: str) -> Notice:
        """The newest notice of adverse consequences in a language.

        Raises:
            TemplateUnknown: there is none in it.
        """
        return _newest(self.adverse_notices, language)

    def strictest(self, purposes: Iterable[str]) -> Bounds:
        """The bounds of a consent for all of `purposes` at once.

        Raises:
            ConsentOutOfBounds: the template does not offer one of them.
        """
        wanted = set(purposes)
        if not wanted or not wanted <= self.bounds.keys():
            raise ConsentOutOfBounds("the template does not offer this purpose")
        chosen = [self.bounds[purpose] for purpose in wanted]
        train = self.bounds["train"] if "train" in wanted else None
        return Bounds(
            max_validity_ms=min(one.max_validity_ms for one in chosen),
            max_data_life_s=min(one.max_data_life_s for one in chosen),
            max_uses=min(one.max_uses for one in chosen),
            max_epsilon=None if train is None else train.max_epsilon,
            max_delta=None if train is None else train.max_delta,
        )


class Templates:
    """The templates of the network, by id."""

    def __init__(self, templates: Iterable[Template]) -> None:
        """Hold `templates`."""
        self._by_id = {template.template_id: template for template in templates}

    @classmethod
    def load_default(cls) -> Self:
        """The templates that ship with this release."""
        return cls.load(_FILE)

    @classmethod
    def load(cls, path: Path) -> Self:
        """The templates of a JSON file.

        Raises:
            Malformed: it holds another thing than templates.
        """
        return cls(map(_template, parse_json(path.read_bytes(), max_bytes=MAX_FILE_BYTES)))

    def get(self, template_id: str) -> Template:
        """One template.

        Raises:
            TemplateUnknown: there is none by that name.
        """
        found = self._by_id.get(template_id)
        if found is None:
            raise TemplateUnknown("no consent template by this name")
        return found

    def check(self, artefact: Artefact) -> Template:
        """Check that an artefact stays within its template.

        1. the template is held here, in the very version the artefact was made from;
        2. the notice is one of the template's texts;
        3. every category may be asked for;
        4. categories that need it come with a notice of adverse consequences;
        5. every purpose is offered, and validity, data life and uses keep the strictest bounds;
        6. training spends no more than allowed;
        7. it is granted by one of the means that the template allows, or only asked for.

        Raises:
            TemplateUnknown: 1, 2.
            ConsentOutOfBounds: 3 to 7.
        """
        # 1
        template = self.get(artefact.template_id)
        if template.sha256 != artefact.template_sha256:
            raise TemplateUnknown("the consent was made from another version of its template")
        # 2
        if artefact.notice not in template.notices:
            raise TemplateUnknown("the consent's notice is none of its template's texts")
        # 3
        categories = frozenset(artefact.data_categories)
        _within(categories <= template.data_categories, "data_categories")
        # 4
        adverse = {notice.sha256 for notice in template.adverse_notices}
        needs = bool(categories & template.adverse_notice_categories)
        given = artefact.adverse_notice_sha256
        _within(given in adverse if needs else given is None, "adverse_notice_sha256")
        # 5
        bounds = template.strictest(artefact.purposes)
        validity_ms = artefact.valid_until_ms - artefact.valid_from_ms
        _within(validity_ms <= bounds.max_validity_ms, "valid_until_ms")
        _within(artefact.data_life_s <= bounds.max_data_life_s, "data_life_s")
        _within(artefact.max_uses <= bounds.max_uses, "max_uses")
        # 6
        _check_training(artefact, bounds)
        # 7
        _within(artefact.is_request or artefact.auth_method in template.auth_methods, "authority")
        return template


def _check_training(artefact: Artefact, bounds: Bounds) -> None:
    if artefact.training is None:
        return
    epsilon, delta = float(artefact.training.epsilon), float(artefact.training.delta)
    _within(bounds.max_epsilon is not None and 0 < epsilon <= bounds.max_epsilon, "epsilon")
    _within(bounds.max_delta is not None and 0 < delta <= bounds.max_delta, "delta")


def _within(holds: bool, name: str) -> None:
    if not holds:
        raise ConsentOutOfBounds(f"the consent's {name} is outside its template")


def _newest(notices: Mapping[Notice, str], language: str) -> Notice:
    found = [notice for notice in notices if notice.language == language]
    if not found:
        offered = ", ".join(sorted({notice.language for notice in notices}))
        raise TemplateUnknown(f"there is no notice in this language; there are {offered}")
    return max(found, key=lambda notice: notice.version)


def _template(value: Any) -> Template:
    fields = Fields(value, "a consent template")
    purposes = fields.object("purposes")
    found = Template(
        template_id=fields.text("template_id", WORD),
        sha256=sha256(canonical_json(value)),
        auth_methods=frozenset(fields.words("auth_methods", METHODS.__contains__, 1, 8)),
        data_categories=frozenset(fields.words("data_categories", is_data_class, 1, 64)),
        adverse_notice_categories=frozenset(
            fields.words("adverse_notice_categories", is_data_class, 0, 64)
        ),
        bounds={purpose: _bounds(purposes.object(purpose), purpose) for purpose in PURPOSES},
        notices=dict(map(_notice, fields.objects("notices", 1, 64))),
        adverse_notices=dict(map(_notice, fields.objects("adverse_notices", 0, 64))),
    )
    fields.integer("version", 1, 1_000_000)
    fields.prose("title", 1, 200)
    purposes.end()
    fields.end()
    return found


def _bounds(fields: Fields, purpose: str) -> Bounds:
    train = purpose == "train"
    found = Bounds(
        max_validity_ms=fields.integer("max_validity_days", 1, 3660) * DAY_MS,
        max_data_life_s=fields.integer("max_data_life_days", 1, 3660) * DAY_S,
        max_uses=fields.integer("max_uses", 1, 1_000_000),
        max_epsilon=float(fields.text("max_epsilon", DECIMAL)) if train else None,
        max_delta=float(fields.text("max_delta", DECIMAL)) if train else None,
    )
    fields.end()
    return found


def _notice(fields: Fields) -> tuple[Notice, str]:
    version = fields.integer("version", 1, 1_000_000)
    language, text = fields.prose("language", 2, 35), fields.prose("text", 1, 8000)
    fields.end()
    return Notice(version, language, sha256(text.encode())), text
