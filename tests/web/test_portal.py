"""The portal's own pages over a real node: whose they are, what they let through, what they say."""

import csv
import io
import json
import re
from collections.abc import Iterator
from urllib.parse import urlencode

import httpx
import pytest

from audit.verifier.receipt import check_receipt
from node.people.sessions import PORTAL, Sessions, csrf_token
from node.storage import people
from tests.browser.portal_world import PortalWorld, open_portal, ref
from tests.network import now_ms, person

ANNA, BEN, MANY, CARL = 1, 2, 3, 4
EVIL = "<img src=x onerror=alert(1)>\"'&"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalWorld]:
    with open_portal(tmp_path_factory.mktemp("portal")) as opened:
        for number in (ANNA, BEN, MANY, CARL):
            opened.enrol(number)
        yield opened


class Reader:
    """A person's browser without a screen."""

    def __init__(
        self, world: PortalWorld, number: int, language: str = "en", token: str = ""
    ) -> None:
        self.token = token or world.session(number, language)
        self.origin = world.url
        self.http = httpx.Client(base_url=world.url, cookies={"credence": self.token}, timeout=20)

    def get(self, path: str, **query: str) -> httpx.Response:
        return self.http.get(path, params=query or None)

    def post(self, path: str, *, csrf: str | None = None, **fields: str) -> httpx.Response:
        token = csrf_token(self.token) if csrf is None else csrf
        return self.http.post(
            path,
            data={"csrf": token, **fields},
            headers={"Origin": self.origin, "Sec-Fetch-Site": "same-origin"},
        )


@pytest.fixture
def anna(world: PortalWorld) -> Iterator[Reader]:
    reader = Reader(world, ANNA)
    yield reader
    reader.http.close()


@pytest.fixture(scope="module")
def annas(world: PortalWorld) -> str:
    """A consent of Anna's that her score rests on."""
    consent_id = world.grant(ANNA)
    world.score(ANNA, consent_id)
    return consent_id


@pytest.fixture(scope="module")
def bens(world: PortalWorld) -> str:
    return world.grant(BEN)


ABSENT = "con_aaaaaaaaaaaaaaaaaaaaaaaaaa"
OF_ONE = (
    "/portal/consents/{}",
    "/portal/consents/{}/withdrawal",
    "/portal/consents/{}/receipt",
    "/portal/consents/{}/receipt.json",
    "/portal/consents/{}/training-proof.json",
    "/portal/consents/{}/answer",
    "/portal/consents/new?changes={}",
    "/portal/consents/confirm?purpose=score&recipient=bank-a&class=payment&days=30&changes={}",
)


def _bare(answer: httpx.Response) -> str:
    """A page without what differs between any two: its request id."""
    return re.sub(r"req_[0-9a-f]+", "", answer.text)


@pytest.mark.parametrize("path", OF_ONE)
def test_another_persons_consent_answers_exactly_like_an_absent_one(
    anna: Reader, bens: str, path: str
) -> None:
    """Nobody learns from the portal that an id exists."""
    theirs, absent = anna.get(path.format(bens)), anna.get(path.format(ABSENT))
    assert theirs.status_code == absent.status_code == 404
    assert _bare(theirs).replace(bens, ABSENT) == _bare(absent)
    assert {k: v for k, v in theirs.headers.items() if k != "x-request-id" and k != "date"} == {
        k: v for k, v in absent.headers.items() if k != "x-request-id" and k != "date"
    }


@pytest.mark.parametrize("act", ["withdraw", "pause", "resume", "refuse"])
def test_another_persons_consent_cannot_be_changed(
    anna: Reader, world: PortalWorld, bens: str, act: str
) -> None:
    theirs = anna.post(f"/portal/consents/{bens}/{act}")
    absent = anna.post(f"/portal/consents/{ABSENT}/{act}")
    assert theirs.status_code == absent.status_code == 404
    assert _bare(theirs) == _bare(absent)
    assert world.node.consents.get(bens).terms.state.value == "active"


def test_entries_of_another_person_answer_like_absent_ones(
    anna: Reader, world: PortalWorld, annas: str, bens: str
) -> None:
    """Counting through the log's numbers tells nothing about others."""
    own = set(world.node.audit.about(person(ANNA)))
    others = set(world.node.audit.about(person(BEN))) - own
    assert others
    bodies = set()
    for seq in [*others, 10**9]:
        answer = anna.get(f"/portal/access/{seq}/proof.json")
        assert answer.status_code == 404
        bodies.add(_bare(answer))
    assert len(bodies) == 1
    assert anna.get(f"/portal/access/{max(own)}/proof.json").status_code == 200


@pytest.mark.parametrize("path", ["/portal/access/-1/proof.json", "/portal/access/x/proof.json",
                                  "/portal/access?before=abc", "/portal/access?before=-5",
                                  "/portal/consents?before=99999999999999999999"])  # fmt: skip
def test_a_number_that_is_none_is_an_error_page(anna: Reader, path: str) -> None:
    answer = anna.get(path)
    assert answer.status_code == 400
    assert "text/html" in answer.headers["content-type"]


PRIVATE = ("/portal/", "/portal/consents", "/portal/consents/new", "/portal/access",
           "/portal/score", "/portal/score.csv", "/portal/score/what-if",
           "/portal/data", "/portal/data/export.json", "/portal/data/export.csv",
           "/portal/access/0/proof.json")  # fmt: skip


@pytest.mark.parametrize("path", PRIVATE)
def test_nobody_reads_a_page_without_signing_in(world: PortalWorld, path: str) -> None:
    answer = httpx.get(world.url + path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/portal/sign-in?next=")
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", PRIVATE)
def test_every_page_says_it_may_not_be_kept_or_framed(anna: Reader, annas: str, path: str) -> None:
    answer = anna.get(path)
    assert answer.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("act", ["withdraw", "pause"])
def test_a_form_from_elsewhere_changes_nothing(
    anna: Reader, world: PortalWorld, annas: str, act: str
) -> None:
    """CSRF: without the session's token, with another's, or from another site."""
    path = f"/portal/consents/{annas}/{act}"
    for token in ("", "wrong", csrf_token(Reader(world, BEN).token)):
        assert anna.post(path, csrf=token).status_code == 403
    foreign = anna.http.post(
        path,
        data={"csrf": csrf_token(anna.token)},
        headers={"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    )
    assert foreign.status_code == 403
    assert world.node.consents.get(annas).terms.state.value == "active"


@pytest.mark.parametrize(
    "path",
    [
        "/portal/consents?show={}&lang={}",
        "/portal/consents/{}",
        "/portal/consents/{}/answer",
        "/portal/consents/confirm?purpose={}&recipient={}&class={}&days=30",
        "/portal/consents/confirm?purpose=score&recipient=bank-a&class=payment&days=30&x={}",
        "/portal/consents/new?changes={}",
        "/portal/access?show={}&before=1&x={}",
        "/portal/score?x={}",
        "/portal/data?lang={}&x={}",
        "/portal/{}",
    ],
)
def test_nothing_from_an_address_becomes_markup(anna: Reader, path: str) -> None:
    """Reflected XSS: whatever stands in a path or a query comes back escaped, or not at all."""
    sent = urlencode({"": EVIL})[1:]
    answer = anna.get(path.replace("{}", sent))
    assert "<img" not in answer.text
    assert "onerror=alert(1)>" not in answer.text


def test_nothing_from_a_form_becomes_markup(anna: Reader, annas: str) -> None:
    """The fields of the granting form: body, assertion, the page to go back to."""
    for fields in (
        {"body": EVIL},
        {"body": "e30", "assertion": EVIL},
        {"body": "e30", "back": f"/portal/consents/{EVIL}"},
        {"body": "e30", "back": "https://evil.example/"},
        {"body": "e30", "back": "/portal/consents//evil.example/"},
    ):
        answer = anna.post("/portal/consents/grant", **fields)
        assert answer.status_code in {400, 401, 422}
        assert "<img" not in answer.text
        assert "evil.example" not in answer.text


def _session(world: PortalWorld, number: int, *, minutes_ago: int, second_factor: bool) -> str:
    """The token of a session that was opened a while ago, with one factor or more."""
    world.session(number)
    sessions = Sessions(world.node.database, lambda: now_ms() - 60_000 * minutes_ago)
    with world.node.database.write() as connection:
        account = people.by_login(connection, PORTAL, ref(number))
        assert account is not None
        return sessions.open(connection, account, "oidc", "test", None, second_factor=second_factor)


def _confirmed(reader: Reader) -> httpx.Response:
    """Read a consent and confirm it with the account, as the page would."""
    page = reader.get(
        "/portal/consents/confirm?purpose=score&recipient=bank-a&class=payment&days=30"
    )
    body = re.search(r'name="body" value="([^"]+)"', page.text)
    return reader.post("/portal/consents/grant", body=body[1] if body else BODY)


BODY = "e30"


@pytest.mark.parametrize(
    ("minutes_ago", "second_factor", "status", "to"),
    [(0, True, 303, "done=granted"), (11, True, 303, "/portal/confirm?"), (0, False, 403, "")],
)
def test_a_session_proves_a_consent_when_it_is_fresh_and_has_a_second_factor(
    world: PortalWorld, minutes_ago: int, second_factor: bool, status: int, to: str
) -> None:
    """One factor: nothing is granted or resumed. A stale session: to where one shows it again."""
    token = _session(world, CARL, minutes_ago=minutes_ago, second_factor=second_factor)
    reader = Reader(world, CARL, token=token)
    before = len(world.node.personal_consents().of_person(person(CARL)))
    answer = _confirmed(reader)
    assert (answer.status_code, to in answer.headers.get("location", "")) == (status, True)
    granted = len(world.node.personal_consents().of_person(person(CARL))) - before
    assert granted == ("granted" in to)
    paused = world.grant(CARL)
    assert reader.post(f"/portal/consents/{paused}/pause").status_code == 303
    answer = reader.post(f"/portal/consents/{paused}/resume")
    assert answer.status_code == status
    resumed = world.node.consents.get(paused).terms.state.value == "active"
    assert resumed == ("granted" in to)
    assert reader.post(f"/portal/consents/{paused}/withdraw").status_code == 303
    reader.http.close()


def test_a_session_with_one_factor_is_told_what_to_add(world: PortalWorld) -> None:
    """The page offers no button that would fail, and says where to show more."""
    token = _session(world, CARL, minutes_ago=0, second_factor=False)
    reader = Reader(world, CARL, token=token)
    page = reader.get(
        "/portal/consents/confirm?purpose=score&recipient=bank-a&class=payment&days=30"
    ).text
    assert "Confirm with my account" not in page
    assert "/portal/confirm?next=" in page
    reader.http.close()


def test_what_others_wrote_is_shown_as_text(world: PortalWorld, annas: str) -> None:
    """Stored XSS: names of clients, messages of the bank, purposes of newer members."""
    offer = world.node.consents.offer(_score_offer())
    asked = world.node.consents.requests.ask(
        person(BEN), offer, requested_by="desk", message=EVIL, days=7
    )
    reader = Reader(world, BEN)
    page = reader.get(f"/portal/consents/{asked.consent_id}/answer").text
    assert "<img" not in page
    assert "&lt;img src=x" in page
    reader.http.close()


def _score_offer() -> object:
    from node.consents.offers import OfferTerms

    return OfferTerms(purposes=("score",))


def test_a_proof_from_the_portal_checks_without_the_log(
    anna: Reader, world: PortalWorld, annas: str
) -> None:
    """The file that a reader without JavaScript takes is whole."""
    page = anna.get("/portal/access", show="all").text
    seqs = re.findall(r"/portal/access/(\d+)/proof\.json\"", page)
    kinds = set()
    for seq in set(seqs):
        answer = anna.get(f"/portal/access/{seq}/proof.json")
        assert "attachment" in answer.headers["content-disposition"]
        kinds.add(check_receipt(answer.content).leaf["kind"])
    assert {"score.issued", "consent.granted"} <= kinds


def test_who_looked_is_told_by_name_with_the_reason(anna: Reader, annas: str) -> None:
    text = anna.get("/portal/access").text
    assert "Lantern Finance was given your score" in text
    assert "Clearwater Payments" in text
    assert "You granted a consent" not in text
    assert "You granted a consent" in anna.get("/portal/access", show="all").text


def test_the_score_page_tells_what_moved_it_and_what_was_not_consulted(
    anna: Reader, world: PortalWorld, annas: str
) -> None:
    text = anna.get("/portal/score").text
    (row,) = list(csv.reader(io.StringIO(anna.get("/portal/score.csv").text)))[1:2]
    assert f"Your score is {row[1]} on a scale from 300 to 850" in text
    assert "What raised it" in text
    assert "What was not looked at" in text
    assert 'role="img"' in text


def test_what_would_change_the_score_can_be_tried_out_and_is_kept_nowhere(
    anna: Reader, annas: str
) -> None:
    assert "/portal/score/what-if" in anna.get("/portal/score").text
    assert "Figures that would change" not in anna.get("/portal/score/what-if").text
    tried = anna.get("/portal/score/what-if", utilisation="10", on_time="6", in_full="1")
    assert "Figures that would change" in tried.text
    assert "You tried out what would change your score" in anna.get("/portal/access").text
    assert anna.get("/portal/score/what-if", utilisation="11").status_code == 400


def test_who_has_no_score_is_told_how_one_comes(world: PortalWorld) -> None:
    reader = Reader(world, MANY)
    assert "No score has been given out" in reader.get("/portal/score").text
    assert reader.get("/portal/score.csv").status_code == 200
    assert "Nobody has looked" in reader.get("/portal/access").text
    assert "Nobody may use your data" in reader.get("/portal/").text
    reader.http.close()


def test_all_that_is_held_can_be_taken_as_json(
    anna: Reader, world: PortalWorld, annas: str
) -> None:
    """Every value on the page is in the file, with what was signed, and the taking is logged."""
    taken = json.loads(anna.get("/portal/data/export.json").content)
    figures = {one["signal_id"]: one["value"] for part in taken["figures"]
               for one in part["figures"]}  # fmt: skip
    assert figures["credit_limit"] == 220_000
    assert figures["tax_arrears"] is None
    assert taken["person"]["customer_id"] == "HB-10001"
    (consent,) = [one for one in taken["consents"] if one["record_id"] == annas]
    assert json.loads(consent["signed"])["signatures"]
    assert taken["scores"][0]["consent_id"] == annas
    assert {one["kind"] for one in taken["access_log"]} >= {"score.issued", "consent.granted"}
    assert "You took a copy of your data" in anna.get("/portal/access", show="all").text


def test_all_that_is_held_can_be_taken_as_csv(anna: Reader, annas: str) -> None:
    """A line for every value; no cell is a formula."""
    body = anna.get("/portal/data/export.csv").content
    assert body.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(body[3:].decode())))
    items = {row["item"]: row for row in rows if row["part"] == "figure"}
    assert items["credit_limit"]["value"] == "220000.0"
    assert items["tax_arrears"]["status"] == "none_on_record"
    assert not [cell for row in rows for cell in row.values() if cell[:1] in {"=", "+", "@"}]


def test_a_cell_that_a_spreadsheet_would_run_is_made_text() -> None:
    from node.subject_access.export import _safe

    assert _safe("=cmd|'/c calc'!A1") == "'=cmd|'/c calc'!A1"
    assert _safe(-5.0) == -5.0


def test_a_list_of_many_consents_comes_in_pages(world: PortalWorld) -> None:
    """Each consent once, the newest first, no page longer than the rest of it."""
    made = [world.grant(MANY) for _ in range(23)]
    reader = Reader(world, MANY)
    seen: list[str] = []
    address = "/portal/consents"
    while address:
        page = reader.get(address).text
        found = re.findall(r'<h2 id="c-\d+"><a href="/portal/consents/(con_[a-z0-9]+)"', page)
        assert len(found) <= 20
        seen += found
        older = re.search(r'href="(\?before=\d+)" rel="next"', page)
        address = f"/portal/consents{older.group(1)}" if older else ""
    assert seen == made[::-1]
    reader.http.close()


def test_a_page_is_in_the_accounts_language_until_another_is_chosen(world: PortalWorld) -> None:
    world.enrol(9)
    reader = Reader(world, 9, "zh-Hant")
    assert '<html lang="zh-Hant">' in reader.get("/portal/").text
    assert '<html lang="en">' in reader.get("/portal/", lang="en").text
    assert '<html lang="en">' in reader.get("/portal/").text
    reader.http.close()


def test_an_unknown_address_below_the_portal_is_a_page(anna: Reader) -> None:
    for path in ("/portal/nothing", "/desk/nothing", "/portal/consents/x/y"):
        answer = anna.get(path)
        assert answer.status_code == 404
        assert "text/html" in answer.headers["content-type"]
    assert anna.get("/v1/nothing").headers["content-type"] == "application/problem+json"


def test_home_says_what_waits(world: PortalWorld) -> None:
    """A freeze that lasts and an answer that is due are on the first page."""
    world.enrol(11)
    reader = Reader(world, 11)
    assert "Nothing is waiting for you" in reader.get("/portal/").text
    world.node.rights.freeze(person(11))
    world.node.rights.person.access(person(11), "all of it")
    text = reader.get("/portal/").text
    assert "Your data is frozen" in text
    assert "Harbour Bank has to answer your request by" in text
    reader.http.close()
