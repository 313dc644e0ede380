"""What a regulator sees of one institution, what it leaves in the log, and what is never seen."""

import re

import pytest

from audit.incidents import open_incident
from node.oversight.counts import shown
from tests.regulator.world import ANNA, BERT, CANARY, CUSTOMER, REF, World

PAGES = (
    "", "log", "log?kind=score.", "requests", "person", "epsilon", "retention", "incidents",
    "exports", "export.jsonl", "consents.csv", "days.csv", "requests.csv", "epsilon.csv",
    "incidents.csv",
)  # fmt: skip
# What a regulator may send: the basis of a disclosure, and what is of their own account.
MAY_POST = ("/regulator/", "/desk/sign-in", "/desk/sign-out", "/desk/activate", "/desk/confirm",
            "/desk/enrol", "/desk/security", "/portal/sign-in", "/portal/activate")  # fmt: skip


def fill(world: World) -> int:
    """A person of whom everything is here; the number of a leaf about them."""
    world.consents(12)
    world.dispute(3)
    world.score(world.at_ms)
    seq = world.log("score.issued", {"customer": CUSTOMER, "score": 612}, ANNA)
    world.log("ingest", {"rows": 3})
    return seq


def test_no_page_names_a_person_before_a_disclosure(world: World) -> None:
    """The canary of a customer is on no page, in no register, proof or export."""
    seq = fill(world)
    rita = world.browser()
    for path in (*PAGES, f"log/{seq}", f"log/{seq}/proof.json"):
        answer = rita.get(path)
        assert answer.status_code == 200, path
        for secret in (CANARY, REF, ANNA.hex(), ANNA.hex()[:16]):
            assert secret not in answer.text, path
    assert not world.leaves("regulator.disclosure")
    # Nor does the log of what was read: of its own payloads, opened.
    assert CANARY not in str([one["payload"] for one in world.leaves("regulator.read")])


def test_each_read_is_in_the_log_with_who_what_and_why(shared: World) -> None:
    """One leaf a page, in the transaction in which the page is read."""
    rita = shared.browser()
    for path in PAGES:
        before = len(shared.leaves("regulator.read"))
        rita.get(path)
        added = shared.leaves("regulator.read")[before:]
        if path == "person":
            assert not added  # a form shows nothing that was read
            continue
        (leaf,) = added
        assert leaf["actor"].startswith("stf_"), path
        name = path.partition("?")[0]
        assert leaf["payload"]["page"] == {"": "morning", "export.jsonl": "export"}.get(name, name)
        assert leaf["payload"]["basis"] == "CRIR 33"
    asked = [one["payload"]["query"] for one in shared.leaves("regulator.read")]
    assert {"kind": "score."} in asked


def test_what_cannot_be_logged_is_not_shown(world: World) -> None:
    """Where the log refuses the leaf of a read, there is no page."""
    fill(world)
    rita = world.browser()
    with world.node.database.write() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER full BEFORE INSERT ON audit_leaf BEGIN SELECT RAISE(ABORT, 'x'); END"
        )
    for path in ("", "log", "requests", "requests.csv", "export.jsonl", "log/0/proof.json"):
        answer = rita.get(path)
        assert answer.status_code == 500, path
        assert "rgt_" not in answer.text
    rita.post("/regulator/person", basis="warrant", reference="W-1", customer=CUSTOMER)
    assert not world.leaves("regulator.disclosure")


def test_a_regulator_changes_nothing(shared: World) -> None:
    """Every form and call of the node but sign-in and disclosure refuses a regulator."""
    fill(shared)
    rita = shared.browser()
    posts = sorted({path for path, methods in _routes(shared.app.routes) if "POST" in methods})
    assert len(posts) > 30
    before = len(shared.leaves())
    for path in posts:
        if path.startswith((*MAY_POST, "/oauth/")):  # a client's, which shows its own key
            continue
        address = re.sub(r"\{[a-z_:]+\}", "x", path)
        answer = rita.post(address, text="x", subject=REF, reason="x")
        sent_away = answer.status_code == 303 and "/sign-in" in answer.headers["location"]
        assert sent_away or answer.status_code in {401, 403, 404, 415}, (path, answer.status_code)
    assert len(shared.leaves()) == before


def test_who_may_open_it(shared: World) -> None:
    """A passkey, the role regulator, and no other role."""
    assert shared.browser().get("").status_code == 200
    assert shared.browser("mei", "desk").get("").status_code == 403
    assert shared.browser("both", "desk regulator").get("").status_code == 403
    assert shared.browser("typed", "regulator", "password_totp").get("").status_code == 403
    nobody = shared.browser()
    nobody.client.cookies.clear()
    assert nobody.get("log").headers["location"] == "/desk/sign-in?next=%2Fregulator%2Flog"
    with pytest.raises(Exception, match="no other role"):
        shared.node.people.staff.add("ruth", "Ruth", ["regulator", "desk"])


def test_a_form_of_another_site_discloses_nothing(shared: World) -> None:
    """The token of the session is needed."""
    rita = shared.browser()
    fields = {"basis": "warrant", "reference": "W-1", "customer": CUSTOMER, "csrf": "x"}
    before = len(shared.leaves("regulator.disclosure"))
    assert rita.client.post("/regulator/person", data=fields).status_code == 403
    assert len(shared.leaves("regulator.disclosure")) == before


@pytest.mark.parametrize(
    ("count", "seen"), [(0, 0), (1, None), (9, None), (10, 10), (14, 10), (15, 15), (1003, 1000)]
)
def test_small_counts_are_not_shown_and_others_rounded(count: int, seen: int | None) -> None:
    """No difference of two shown counts tells of one person."""
    assert shown(count) == seen


def test_consents_stand_in_counts_that_tell_of_nobody(world: World) -> None:
    """Nine are fewer than ten, thirteen are ten; in the page and in the register."""
    world.consents(9, purposes="train")
    world.consents(13, purposes="score")
    rita = world.browser()
    text = rita.get("").text
    assert "fewer than 10" in text
    table = rita.get("consents.csv").text.splitlines()
    assert "active,train,<10" in table
    assert "active,score,10" in table
    assert "paused,score,0" in table


def test_the_morning_page_counts_deadlines_and_incidents(world: World) -> None:
    """Overdue, soon, open: what a supervisor looks for first."""
    world.dispute(-1)
    world.dispute(2)
    late = world.dispute(19)
    with world.node.database.write() as connection:
        open_incident(
            connection, world.node.audit, kind="breach_notice", about="portal", actor="operator",
            at_ms=world.at_ms, text="Notice sent.",
        )  # fmt: skip
    rita = world.browser()
    text = rita.get("").text
    assert "3 wait; 1 overdue, 1 due within five days" in text
    assert "Breach notice" in text
    assert "not witnessed" in text
    assert late in rita.get("requests").text


def test_search_finds_by_time_kind_and_institution(world: World) -> None:
    """Each narrows; what does not read is refused, not guessed."""
    world.log("score.issued", {"n": 1}, ANNA)
    rita = world.browser()
    seen = re.compile(r'href="/regulator/log/(\d+)"')
    assert len(seen.findall(rita.get("log?kind=score.issued").text)) == 1
    assert seen.findall(rita.get("log?institution=bank-a").text)
    assert not seen.findall(rita.get("log?kind=score.&until=1999-01-01").text)
    assert not seen.findall(rita.get("log?institution=bank-z").text)
    for bad in ("kind=%27x", "since=yesterday", "before=-1", "until=2024-02-30"):
        assert rita.get(f"log?{bad}").status_code == 400, bad


def test_a_person_s_leaves_open_with_a_recorded_basis_only(shared: World) -> None:
    """Leaf first, then the list, then each payload with a leaf of its own; the person reads it."""
    seq = fill(shared)
    rita = shared.browser()
    sent = {"basis": "warrant", "reference": "(2026) 117", "customer": CUSTOMER}
    listed = rita.post("/regulator/person", **sent)
    assert listed.status_code == 200
    made = shared.leaves("regulator.disclosure")[-1]
    assert made["payload"]["reference"] == "(2026) 117"
    found = {"disclosure": made["correlation"], "subject": REF, "seq": str(seq)}
    opened = rita.post("/regulator/person/payload", **found)
    assert opened.status_code == 200
    assert CANARY in opened.text
    first, second = shared.leaves("regulator.disclosure")[-2:]
    assert first == made
    assert second["payload"]["seq"] == seq
    assert shared.node.audit.is_about(made["seq"], ANNA)
    assert shared.node.audit.is_about(second["seq"], ANNA)


def test_a_disclosure_opens_nobody_else_s_leaves(shared: World) -> None:
    """Not another person's, not for another regulator, not after eight hours, not a made-up one."""
    seq = fill(shared)
    other = shared.log("score.issued", {"who": "b"}, BERT)
    rita, ruth = shared.browser(), shared.browser("ruth")
    sent = {"basis": "person_request", "reference": "R-1", "customer": CUSTOMER}
    rita.post("/regulator/person", **sent)
    made = shared.leaves("regulator.disclosure")[-1]
    found = {"disclosure": made["correlation"], "subject": REF}
    path = "/regulator/person/payload"
    assert rita.post(path, **found, seq=str(other)).status_code == 403
    assert ruth.post(path, **found, seq=str(seq)).status_code == 403
    assert rita.post(path, **{**found, "disclosure": "dsc_x"}, seq=str(seq)).status_code == 403
    assert (
        rita.post(path, **{**found, "subject": "sub_" + "b" * 26}, seq=str(seq)).status_code == 403
    )
    assert rita.post(f"/regulator/log/{seq}/disclose", reference="I-1").status_code == 403
    assert shared.leaves("regulator.disclosure")[-1] == made


def test_whether_somebody_is_a_customer_is_not_found_out_unrecorded(shared: World) -> None:
    """A search that finds nobody leaves its leaf too."""
    rita = shared.browser()
    answer = rita.post("/regulator/person", basis="warrant", reference="W", customer="C-0")
    assert answer.status_code == 404
    *_, made = shared.leaves("regulator.disclosure")
    assert made["payload"]["found"] == 0
    bad = {"basis": "inspection", "reference": "W", "customer": CUSTOMER}
    assert rita.post("/regulator/person", **bad).status_code == 400


def test_an_erased_person_is_said_to_be_erased(world: World) -> None:
    """After erasure nothing opens, and no leaf is anybody's any more."""
    seq = fill(world)
    rita = world.browser()
    sent = {"basis": "warrant", "reference": "W", "customer": CUSTOMER}
    rita.post("/regulator/person", **sent)
    with world.node.database.write() as connection:
        world.node.audit.erase(connection, ANNA, actor="operator", at_ms=world.at_ms)
    again = rita.post("/regulator/person", **sent)
    assert again.status_code == 200
    assert f'/regulator/log/{seq}"' not in again.text
    answer = rita.post(f"/regulator/log/{seq}/disclose", reference="I-1")
    assert answer.status_code in {403, 404, 410, 409}
    assert CANARY not in answer.text


def test_a_leaf_about_nobody_opens_with_the_inspection_recorded(shared: World) -> None:
    """Content and salt are there, and match the leaf's commitment."""
    import html
    import json

    from audit.leaf import commitment

    seq = shared.log("ingest", {"rows": 3})
    rita = shared.browser()
    assert rita.post(f"/regulator/log/{seq}/disclose", reference=" ").status_code == 400
    text = rita.post(f"/regulator/log/{seq}/disclose", reference="I-7").text
    found = re.search(r'id="opened">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    opened = json.loads(html.unescape(found[1]))
    pc = commitment(bytes.fromhex(opened["salt"]), opened["payload"].encode())
    assert json.loads(opened["leaf"])["pc"] == pc.hex()
    *_, made = shared.leaves("regulator.disclosure")
    assert made["payload"] == {"basis": "inspection", "reference": "I-7", "seq": seq}


def _routes(routes):
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is not None:
            yield from _routes(included.routes)
        elif getattr(route, "methods", None):
            yield route.path, route.methods
