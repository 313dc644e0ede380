"""A person checks in their own browser what the log says of them."""

import json
from typing import Any

import pytest

from audit import merkle
from tests.browser.conftest import Complaints, sign_in
from tests.browser.portal_world import PortalWorld

NUMBER = 201


@pytest.fixture(scope="module")
def looked(world: PortalWorld) -> int:
    """A person whose score was given out."""
    world.enrol(NUMBER)
    consent_id = world.grant(NUMBER)
    world.score(NUMBER, consent_id)
    world.score(NUMBER, consent_id)
    world.node.witnessing.rounds.start()
    assert world.node.witnessing.rounds.beat().witnessed
    return NUMBER


@pytest.fixture
def log_page(page: Any, world: PortalWorld, looked: int) -> Any:
    sign_in(page.context, world, looked)
    return page


def outputs(page: Any) -> list[str]:
    """What "check" said of each entry."""
    page.click("#check-all")
    page.wait_for_function(
        """() => Array.from(document.querySelectorAll("[data-proof] output")).every(
          (one) => one.textContent && !one.textContent.includes("Checking"))"""
    )
    return list(page.locator("[data-proof] output").all_inner_texts())


def test_every_entry_is_checked_in_the_browser(log_page: Any, world: PortalWorld) -> None:
    """Content, place in the log, signature and cosignatures of the root: all by the reader."""
    log_page.goto(f"{world.url}/portal/access?show=all")
    said = outputs(log_page)
    assert len(said) >= 5
    assert all(one.startswith("Checked: entry") and "cannot" not in one for one in said)
    by = "3 other organisations cosigned that root, checked here too: bank-b, payments,"
    assert all(by in one for one in said)


def _content(proof: dict[str, Any]) -> None:
    payload = json.loads(proof["payload"])
    payload["score"] = 850
    proof["payload"] = json.dumps(payload)


def _path(proof: dict[str, Any]) -> None:
    proof["path"][0] = "ab" * 32


def _place(proof: dict[str, Any]) -> None:
    proof["seq"] = 0 if proof["seq"] else 1


def _signature(proof: dict[str, Any]) -> None:
    head, _, encoded = proof["checkpoint"].rpartition(" ")
    changed = "A" if encoded[20] != "A" else "B"
    proof["checkpoint"] = f"{head} {encoded[:20]}{changed}{encoded[21:]}"


def _form(proof: dict[str, Any]) -> None:
    del proof["salt"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_content, "what you were shown is not what the log says"),
        (_path, "does not lead to the signed root"),
        (_place, "does not lead to the signed root"),
        (_signature, "is not signed as it says"),
        (_form, "the proof is not complete"),
    ],
)
def test_a_tampered_proof_is_shown_to_fail(
    log_page: Any, world: PortalWorld, change: Any, words: str
) -> None:
    """A bank that shows one thing and logged another is found out by its customer."""

    def tamper(route: Any) -> None:
        answer = route.fetch()
        proof = answer.json()
        change(proof)
        route.fulfill(response=answer, body=json.dumps(proof))

    log_page.route("**/proof.json", tamper)
    log_page.goto(f"{world.url}/portal/access")
    said = outputs(log_page)
    assert said
    assert all(one.startswith("This does not hold") and words in one for one in said)
    assert log_page.locator("output.up").count() == 0


def test_a_proof_that_cannot_be_fetched_proves_nothing(
    log_page: Any, world: PortalWorld, complaints: Complaints
) -> None:
    complaints.allow("404")
    log_page.route("**/proof.json", lambda route: route.fulfill(status=404, body="{}"))
    log_page.goto(f"{world.url}/portal/access")
    assert all("could not be fetched" in one for one in outputs(log_page))


def test_the_browsers_tree_is_that_of_the_log(log_page: Any, world: PortalWorld) -> None:
    """For trees of every shape up to 40 leaves, and some larger, both compute the same root."""
    log_page.goto(f"{world.url}/portal/access")
    cases = []
    for size in [*range(1, 41), 255, 256, 257, 1000]:
        leaves = [f"leaf {number}".encode() for number in range(size)]
        hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
        root = merkle.Frontier().extend(hashes).root()

        def node(level: int, index: int, hashes: list[bytes] = hashes) -> bytes:
            part = hashes[index << level : (index + 1) << level]
            return merkle.Frontier().extend(part).root()

        for seq in sorted({0, size // 2, size - 1, (size * 7) // 9}):
            path = merkle.inclusion_proof(seq, size, node)
            cases.append([seq, size, leaves[seq].decode(), [one.hex() for one in path], root.hex()])
    wrong = log_page.evaluate(
        """async (cases) => {
          const { rootOf } = await import("/static/merkle.js");
          const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (b) => parseInt(b, 16));
          const hex = (all) => Array.from(all, (b) => b.toString(16).padStart(2, "0")).join("");
          const wrong = [];
          for (const [seq, size, leaf, path, root] of cases) {
            const found = await rootOf(seq, size, new TextEncoder().encode(leaf), path.map(bytes));
            if (hex(found) !== root) wrong.push([seq, size]);
          }
          return wrong;
        }""",
        cases,
    )
    assert wrong == []
    assert len(cases) > 100
