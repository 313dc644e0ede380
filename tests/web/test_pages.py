"""Pages in general: safe headers, escaped text, errors as pages, forms, static files."""

import re
from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from hypothesis import given
from hypothesis import strategies as st

from api.http.server import HttpServer
from api.http.web.formats import day_text, moment_mark, number_text
from api.http.web.forms import MAX_BYTES, SentForm
from api.http.web.language import Texts
from api.http.web.pages import Pages
from api.http.web.routes import SeeOther, page_router
from api.http.web.static_files import StaticFiles
from api.http.web.wording import Wording
from protocols.errors import CredenceError, InvalidInput, NotFound, StateConflict, Unavailable

TEXTS = Texts.load()
NAME = "<script>alert(1)</script> & Sons"


class Broken(CredenceError):
    """An internal failure with a secret in its message."""

    code = "broken"


ERRORS = {
    "absent": NotFound("secret"),
    "invalid": InvalidInput("secret"),
    "conflict": StateConflict("secret"),
    "unavailable": Unavailable("secret"),
    "internal": Broken("secret"),
    "bug": ZeroDivisionError("secret"),
    "elsewhere": SeeOther("/portal/sign-in"),
}


def _app() -> FastAPI:
    static_files = StaticFiles.load()
    pages = Pages(NAME, texts=TEXTS, static_files=static_files)
    router = page_router(pages, "/portal")

    @router.get("/fails/{how}")
    def fails(how: str) -> Response:
        raise ERRORS[how]

    @router.get("/number/{number}")
    def number(number: int) -> Response:
        raise AssertionError(number)

    @router.post("/form")
    def form(form: SentForm) -> dict[str, object]:
        return {"a": form.text("a", max_length=10), "b": form.many("b")}

    @router.get("/page")
    def page(request: Request) -> Response:
        return pages.render(
            request, "error.html", key="invalid", code=NAME, request_id="x", home="/portal/"
        )

    app = FastAPI()
    app.include_router(router)
    app.include_router(static_files.routes())
    return app


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    server = HttpServer(_app(), "127.0.0.1:0")
    server.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as client:
        yield client
    server.stop()


def test_a_page_allows_nothing_from_elsewhere_and_nothing_inline(http: httpx.Client) -> None:
    """A script that somebody gets into a page does not run."""
    policy = http.get("/portal/page").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    for name, value in (
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cache-control", "no-store"),
        ("x-frame-options", "DENY"),
    ):
        assert http.get("/portal/page").headers[name] == value


def test_no_page_has_an_inline_script_style_or_handler(http: httpx.Client) -> None:
    text = http.get("/portal/page").text
    assert not re.search(r"<script(?![^>]*(src=|application/json))", text)
    assert "<style" not in text
    assert not re.search(r"\s(style|on[a-z]+)=", text)


def test_text_from_outside_is_escaped(http: httpx.Client) -> None:
    """A name, a code, a query that holds markup is shown, not run."""
    answer = http.get("/portal/page", params={"x": '"><script>alert(2)</script>', "lang": "en"})
    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ("absent", 404),
        ("invalid", 400),
        ("conflict", 409),
        ("unavailable", 503),
        ("internal", 500),
        ("bug", 500),
    ],
)
def test_an_error_is_a_page_without_our_insides(http: httpx.Client, how: str, status: int) -> None:
    """Who meets an error is told what to do, and nothing that was meant for the log."""
    answer = http.get(f"/portal/fails/{how}")
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert "secret" not in answer.text
    assert "ZeroDivision" not in answer.text
    assert "content-security-policy" in answer.headers


def test_a_parameter_of_the_wrong_kind_is_a_page_too(http: httpx.Client) -> None:
    answer = http.get("/portal/number/abc")
    assert answer.status_code == 400
    assert "text/html" in answer.headers["content-type"]
    assert "abc" not in answer.text


def test_who_is_not_signed_in_is_sent_to_where_they_can(http: httpx.Client) -> None:
    answer = http.get("/portal/fails/elsewhere")
    assert (answer.status_code, answer.headers["location"]) == (303, "/portal/sign-in")


def test_a_language_that_was_chosen_stays(http: httpx.Client) -> None:
    first = http.get("/portal/page?lang=zh-Hant")
    assert '<html lang="zh-Hant">' in first.text
    again = http.get("/portal/page", headers={"Cookie": first.headers["set-cookie"].split(";")[0]})
    assert '<html lang="zh-Hant">' in again.text
    http.cookies.clear()


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("", "application/x-www-form-urlencoded"),
        ("a=1&a=2", "application/x-www-form-urlencoded"),
        ("a=12345678901", "application/x-www-form-urlencoded"),
        ("a=%00", "application/x-www-form-urlencoded"),
        ("a=%1b", "application/x-www-form-urlencoded"),
        ("a=%ff%fe", "application/x-www-form-urlencoded"),
        ("a=1&" + "b=1&" * 300, "application/x-www-form-urlencoded"),
        ("a=" + "1" * MAX_BYTES, "application/x-www-form-urlencoded"),
        ("a=\u00e9", "application/x-www-form-urlencoded"),
        ('{"a": 1}', "application/json"),
        ("a=1", "text/plain"),
    ],
)
def test_a_form_out_of_bounds_changes_nothing(
    http: httpx.Client, body: str, content_type: str
) -> None:
    answer = http.post(
        "/portal/form", content=body.encode(), headers={"Content-Type": content_type}
    )
    assert answer.status_code == 400


def test_a_form_is_read_as_it_was_sent(http: httpx.Client) -> None:
    answer = http.post("/portal/form", data={"a": " \u5f20\u4e09 ", "b": ["1", "<b>"]})
    assert answer.json() == {"a": "\u5f20\u4e09", "b": ["1", "<b>"]}


@given(st.binary(max_size=2000))
def test_any_bytes_are_a_form_or_refused(http: httpx.Client, body: bytes) -> None:
    """No form, whatever its bytes, is a failure of ours."""
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert http.post("/portal/form", content=body, headers=kind).status_code in {200, 400}


def test_static_files_are_kept_by_their_hash(http: httpx.Client) -> None:
    address = re.search(r'href="(/static/app\.css\?v=[0-9a-f]+)"', http.get("/portal/page").text)
    assert address is not None
    answer = http.get(address.group(1))
    assert "immutable" in answer.headers["cache-control"]
    tag = answer.headers["etag"]
    bare = http.get("/static/app.css", headers={"If-None-Match": tag})
    assert (bare.status_code, bare.content) == (304, b"")
    assert http.get("/static/app.css").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("name", ["..%2fpages.py", "nothing.css", "%2e%2e/pages.py", ".", "a\\b"])
def test_only_known_static_files_are_served(http: httpx.Client, name: str) -> None:
    assert http.get(f"/static/{name}").status_code == 404


def test_times_say_their_zone_and_are_exact_for_machines() -> None:
    mark = str(moment_mark(1_785_000_000_123, "en"))
    assert 'datetime="2026-07-25T17:20:00.123Z"' in mark
    assert mark.endswith("25 July 2026, 17:20:00 UTC</time>")
    assert day_text(1_785_000_000_123, "zh-Hant") == "2026\u5e747\u670825\u65e5"


def test_values_are_told_in_words() -> None:
    """A reader sees what a figure means, not how it is coded."""
    words = Wording(TEXTS, "en")
    assert words.value("months_late", -1) == "paid in full"
    assert words.value("months_late", 3) == "3 months late"
    assert words.value("flag", 1) == "yes"
    assert words.value("ratio", 0.256) == "26%"
    assert words.value("ratio_per_month", -0.1) == "\u221210% a month"
    assert words.value("currency", 1234567) == "1,234,567"
    assert words.value("never_heard_of", 1.5) == "1.50"
    assert number_text(-1200) == "\u22121,200"


def test_a_code_of_a_newer_member_has_general_words() -> None:
    assert "brand_new" in Wording(TEXTS, "en").word("refusal", "brand_new")
