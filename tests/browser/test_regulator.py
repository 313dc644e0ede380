"""The regulator's console in a real browser: every page for everybody, a leaf checked in it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.http.server import HttpServer
from audit.checkpoint import sign_checkpoint
from audit.incidents import open_incident
from audit.verifier.cosignature import CosignatureKey
from audit.verifier.note import Checkpoint, Note, NoteKey
from audit.witness import cosign
from node.retention.wiring import retention_of
from protocols.keys import SigningKey
from tests.browser.conftest import screenshots
from tests.browser.test_accessible import check, violations
from tests.regulator.world import ANNA, CUSTOMER, World, open_world

PAGES = {
    "morning": "/regulator/",
    "log": "/regulator/log",
    "leaf": "/regulator/log/{seq}",
    "requests": "/regulator/requests",
    "person": "/regulator/person",
    "epsilon": "/regulator/epsilon",
    "retention": "/regulator/retention",
    "incidents": "/regulator/incidents",
    "exports": "/regulator/exports",
}


ANOTHER = SigningKey.from_seed(b"another".ljust(32))
SIGNING = {name: SigningKey.from_seed(name.encode().ljust(32)) for name in ("auditor", "court")}
OUTSIDE = {name: CosignatureKey(f"{name}.example", key.verify_key) for name, key in SIGNING.items()}


def witness(world: World) -> None:
    """Let two organisations cosign the log's head."""
    keeper = world.node.witnessing.keeper
    keeper.open()
    for name in OUTSIDE:
        keeper.hear(name, [])
    head = keeper.sign()
    assert head is not None
    text = Note.parse(head.note).text
    for name, key in SIGNING.items():
        line = cosign(OUTSIDE[name].name, key, text, world.at_ms)
        witnessed = keeper.take(head, line, [OUTSIDE[name]])
    assert witnessed


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    lines = tuple(f"{name} {key.encode()} https://{name}.example" for name, key in OUTSIDE.items())
    with open_world(tmp_path_factory.mktemp("regulator"), witnesses=lines) as world:
        fill(world)
        yield world


def fill(world: World) -> None:
    """What a morning looks like."""
    world.consents(1240, purposes="score train")
    world.consents(86, "withdrawn", "score")
    world.consents(4, "paused", "train")
    for days in (-1, 3, 9, 14, 19):
        world.dispute(days)
    for number in range(90):
        world.score(world.at_ms - (number % 7) * 86_400_000)
    world.log("score.issued", {"customer": CUSTOMER, "score": 612}, ANNA)
    retention_of(world.node).hold("District Court 2, (2026) 117", customer=CUSTOMER)
    retention_of(world.node).run("schedule")
    with world.node.database.write() as connection:
        open_incident(
            connection, world.node.audit, kind="breach_notice", about="portal", actor="operator",
            at_ms=world.at_ms, text="Notice to the authority and to 12 people sent.",
        )  # fmt: skip


def test_a_regulator_reads_checks_and_discloses(page: Any, filled: World) -> None:
    """No violation on any page, nothing cut off on a phone; the browser checks leaf and payload."""
    server = HttpServer(filled.app, "127.0.0.1:7501")
    server.start()
    try:
        _journey(page, filled, f"http://localhost:{server.port}")
    finally:
        server.stop()


def _journey(page: Any, world: World, origin: str) -> None:
    token = world.browser().token
    page.context.add_cookies([{"name": "credence-desk", "value": token, "url": origin}])
    seq = world.leaves("score.issued")[0]["seq"]
    addresses = {name: origin + path.format(seq=seq) for name, path in PAGES.items()}
    for name, address in addresses.items():
        if name in {"morning", "leaf"}:  # in every size and light
            assert check(page, address) == {}, name
        page.goto(address)
        assert violations(page) == [], name
        _picture(page, address, name)
    # The leaf, and from the second time on that nothing was rewritten since.
    for words in ("now remembers this root", "It continues the root of"):
        page.goto(addresses["leaf"])
        page.get_by_role("button", name="Check in this browser").click()
        page.get_by_text("whose root").wait_for()
        page.get_by_text(words).wait_for()
        page.get_by_text("No witness has cosigned").wait_for()
    # Two organisations cosign; the browser verifies both, and finds out one that did not.
    witness(world)
    for tampered in (False, True):
        if tampered:
            page.route("**/proof.json*", _tamper)
        page.goto(addresses["leaf"])
        page.get_by_role("button", name="Check in this browser").click()
        if tampered:
            page.get_by_text("is not signed by").wait_for()
        else:
            page.get_by_text("2 organisations, 2 are asked for (auditor, court)").wait_for()
            _picture(page, "", "leaf-checked")
    page.unroute("**/proof.json*")
    # The log's key is replaced: said of the head witnessed before, and of what was seen before.
    page.route("**/proof.json*", _under_another_key)
    page.goto(addresses["leaf"])
    page.get_by_role("button", name="Check in this browser").click()
    for words in ("signed with an earlier key", "the log signed with another key"):
        page.get_by_text(words).wait_for()
    page.unroute("**/proof.json*")
    page.goto(addresses["person"])
    page.select_option("#basis", "warrant")
    page.fill("#reference", "(2026) 117")
    page.fill("#customer", CUSTOMER)
    page.get_by_role("button", name="Record and search").click()
    page.get_by_role("button", name=f"Show the content of leaf {seq}").click()
    page.get_by_text("Checked here: with this salt").wait_for()
    page.set_viewport_size({"width": 360, "height": 800})
    for language in ("zh-Hans", "zh-Hant"):
        for name, address in addresses.items():
            page.goto(f"{address}?lang={language}")
            wide = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
            assert not wide, (name, language)


def _under_another_key(route: Any) -> None:
    """What the institution answers once it has another key, before a head under it is witnessed."""
    answer = route.fetch()
    proof = answer.json()
    checkpoint = Checkpoint.parse(Note.parse(proof["checkpoint"].encode()).text)
    proof["checkpoint"] = sign_checkpoint(checkpoint, ANOTHER).decode()
    proof["key"] = NoteKey(checkpoint.origin, ANOTHER.verify_key).encode()
    route.fulfill(response=answer, body=json.dumps(proof))


def _tamper(route: Any) -> None:
    """Change a byte in the last cosignature, past its key id and its time."""
    answer = route.fetch()
    proof = answer.json()
    head, _, encoded = proof["witnessed"].rpartition(" ")
    changed = "A" if encoded[30] != "A" else "B"
    proof["witnessed"] = f"{head} {encoded[:30]}{changed}{encoded[31:]}"
    route.fulfill(response=answer, body=json.dumps(proof))


def _picture(page: Any, address: str, name: str) -> None:
    folder = screenshots()
    if folder is None:
        return
    for scheme, width in (("light", 1280), ("dark", 1280), ("light", 360)):
        page.set_viewport_size({"width": width, "height": 860})
        page.emulate_media(color_scheme=scheme)
        if address:
            page.goto(address)
        path = Path(folder) / f"regulator-{name}-{scheme}-{width}.png"
        page.screenshot(path=path, full_page=True)
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light")
