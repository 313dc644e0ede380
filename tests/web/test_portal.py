"""The portal's own pages over a real node: what they say, and what can be taken from them."""

import csv
import io
import json
import re

from audit.verifier.receipt import check_receipt
from tests.browser.portal_world import PortalWorld
from tests.network import person
from tests.web.reader import MANY, Reader


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
