"""Renders the pages of a node: templates, words, safe headers; the same for portal and desk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api.http.web import formats
from api.http.web.headers import PAGE_HEADERS
from api.http.web.language import DEFAULT, LANGUAGES, Texts, accepted, supported
from api.http.web.navigation import NAVIGATION
from api.http.web.static_files import StaticFiles
from api.http.web.wording import Wording

LANGUAGE_COOKIE = "credence-language"
_TEMPLATES = Path(__file__).with_name("templates")
_YEAR_S = 365 * 86_400
_MAX_QUERY = 1000


class Pages:
    """Templates and words, loaded once; thread-safe.

    In a template: `t("area.key", name=value)`, `moment(ms)`, `day(ms)`, `clock(ms)`, `number(x)`,
    `percent(x)`, `word("purpose", code)`, `about("purpose", code)`, `value(unit, x)`,
    `static("app.css")`, `institution`, `session`, `language`.
    """

    def __init__(self, institution: str, *, texts: Texts, static_files: StaticFiles) -> None:
        """Load the templates.

        Args:
            institution: legal name of the member whose pages these are.
            texts: the words.
            static_files: style sheets and scripts.
        """
        self.institution = institution
        self.texts = texts
        self.static_files = static_files
        self._environment = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals.update(
            institution=institution, static=static_files.address, languages=LANGUAGES
        )

    def language(self, request: Request, session: Any = None) -> str:
        """The reader's language: as just chosen, as chosen before, of the account, of the browser.

        Args:
            request: the call.
            session: anything with a `language`, or None.
        """
        return (
            supported(request.query_params.get("lang"))
            or supported(request.cookies.get(LANGUAGE_COOKIE))
            or supported(getattr(session, "language", None))
            or accepted(request.headers.get("accept-language", ""))
            or DEFAULT
        )

    def say(self, request: Request, key: str, session: Any = None, **arguments: Any) -> str:
        """One text in the reader's language."""
        return self.texts.say(self.language(request, session), key, arguments)

    def render(
        self,
        request: Request,
        template: str,
        *,
        session: Any = None,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        face: str = "portal",
        navigation_of: str = "",
        **context: Any,
    ) -> HTMLResponse:
        """A page.

        Args:
            request: the call it answers.
            template: path below `templates/`.
            session: who is signed in, or None: no navigation is shown.
            status: HTTP status.
            headers: more headers.
            face: whose navigation: `portal` or `desk`.
            navigation_of: whose navigation, where that differs from the face.
            context: names the template uses.

        Raises:
            TextMissing: the template asks for words that are not there.
        """
        language = self.language(request, session)
        words = self._words(language)
        body = self._environment.get_template(template).render(
            session=session,
            language=language,
            face=face,
            navigation=NAVIGATION[navigation_of or face],
            here=request.url.path,
            other_languages=_other_languages(request),
            **words,
            **context,
        )
        response = HTMLResponse(body, status, {**PAGE_HEADERS, **(headers or {})})
        chosen = supported(request.query_params.get("lang"))
        if chosen is not None:
            response.set_cookie(
                LANGUAGE_COOKIE,
                chosen,
                max_age=_YEAR_S,
                httponly=True,
                samesite="lax",
                secure=request.url.scheme == "https",
            )
        return response

    def _words(self, language: str) -> dict[str, Any]:
        wording = Wording(self.texts, language)

        def say(key: str, **arguments: Any) -> str:
            return self.texts.say(language, key, arguments)

        return {
            "t": say,
            "has_text": lambda key: self.texts.has(language, key),
            "moment": lambda at_ms: formats.moment_mark(at_ms, language),
            "day": lambda at_ms: formats.day_mark(at_ms, language),
            "clock": formats.clock_mark,
            "number": formats.number_text,
            "percent": formats.percent_text,
            "word": wording.word,
            "about": wording.about,
            "value": wording.value,
        }


def _other_languages(request: Request) -> list[tuple[str, str, str]]:
    """(tag, name, address of this page in it)."""
    kept = [
        (name, value)
        for name, value in request.query_params.multi_items()
        if name != "lang" and len(name) + len(value) <= _MAX_QUERY
    ]
    return [(tag, name, "?" + urlencode([*kept, ("lang", tag)])) for tag, name in LANGUAGES.items()]
