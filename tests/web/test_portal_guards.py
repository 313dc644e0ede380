"""The portal's own pages over a real node: whose they are, and what they let through."""

import re
from urllib.parse import urlencode

import httpx
import pytest

from node.people.sessions import PORTAL, Sessions, csrf_token
from node.storage import people
from tests.browser.portal_world import PortalWorld, ref
from tests.network import now_ms, person
from tests.web.reader import ANNA, BEN, CARL, Reader

EVIL = "<img src=x onerror=alert(1)>\"'&"
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
