"""The regulator's console of the network: who gets in, what it shows, what the log keeps of it."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from audit import merkle
from audit.incidents import every
from audit.leaf import parse_leaf
from audit.verifier.note import Checkpoint, Note, NoteKey
from tests.console.world import ConsoleWorld, open_console
from tests.postgresql import on_each_database
from tests.support.authenticator import Authenticator

PAGES = (
    "", "members", "models", "epsilon", "log", "log/0", "log/0/proof.json", "incidents", "exports",
    "export.jsonl", "members.csv", "models.csv", "campaigns.csv", "epsilon.csv", "incidents.csv",
)  # fmt: skip


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[ConsoleWorld]:
    with open_console(tmp_path, database_url=database_url) as opened:
        yield opened


class Visitor:
    """A browser at the console, with an authenticator of its own."""

    def __init__(self, world: ConsoleWorld) -> None:
        self.origin = f"http://localhost:{world.face.port}"
        self.client = world.browser()
        self.client.base_url = httpx.URL(self.origin)
        self.client.headers.update({"Origin": self.origin, "Sec-Fetch-Site": "same-origin"})
        self.key = Authenticator("localhost", self.origin)

    def enrol(self, token: str) -> httpx.Response:
        options = self.client.post(f"/regulator/enrol/passkey/options?token={token}", json={})
        if options.status_code != 200:
            return options
        credential = json.loads(self.key.register(options.json()))
        call = {"label": "office", "credential": credential}
        return self.client.post(f"/regulator/enrol/passkey?token={token}", json=call)

    def sign_in(self) -> httpx.Response:
        page = self.client.get("/regulator/sign-in").text
        csrf = page.partition('data-csrf="')[2].partition('"')[0]
        headers = {"X-CSRF-Token": csrf, "Content-Type": "application/json"}
        options = self.client.post(
            "/regulator/sign-in/passkey/options", json={}, headers=headers
        ).json()
        self.answer = self.key.sign(options)
        self.headers = headers
        return self.send()

    def send(self) -> httpx.Response:
        return self.client.post(
            "/regulator/sign-in/passkey", content=self.answer, headers=self.headers
        )

    def get(self, path: str) -> httpx.Response:
        return self.client.get(f"/regulator/{path}", follow_redirects=False)


@on_each_database
def test_a_link_makes_one_passkey_which_opens_the_console(world: ConsoleWorld) -> None:
    """Once; then the passkey alone, whose answer works once; a closed account opens nothing."""
    regulators = world.face.regulators
    issued = regulators.add("rita", "Rita Ho")
    rita = Visitor(world)
    assert "Rita Ho" in rita.client.get(f"/regulator/enrol?token={issued.token}").text
    assert rita.enrol(issued.token).status_code == 200
    assert rita.get("").status_code == 200
    assert Visitor(world).enrol(issued.token).status_code == 401
    rita.client.cookies.clear()
    assert rita.get("members").headers["location"].startswith("/regulator/sign-in?next=")
    assert rita.sign_in().status_code == 200
    assert rita.get("members").status_code == 200
    assert rita.send().status_code in {401, 403}  # the same answer again
    regulators.close("rita")
    assert rita.get("members").status_code == 303
    assert rita.sign_in().status_code == 401
    kinds = world.kinds()
    for kind in ("added", "link_issued", "enrolled", "signed_in", "refused", "closed"):
        assert f"regulator.{kind}" in kinds


@on_each_database
def test_a_lost_passkey_opens_nothing_once_there_is_a_new_link(world: ConsoleWorld) -> None:
    """The link of a day ago does not either."""
    regulators = world.face.regulators
    rita = Visitor(world)
    rita.enrol(regulators.add("rita", "Rita Ho").token)
    again = regulators.link("rita")
    assert rita.get("").status_code == 303
    assert rita.sign_in().status_code == 401
    world.clock.at_ms += 25 * 3_600_000
    assert rita.enrol(again.token).status_code == 401


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleWorld]:
    """One for all tests that do not mind what others left in it."""
    with open_console(tmp_path_factory.mktemp("shared")) as opened:
        yield opened


@pytest.fixture(scope="module")
def rita(shared: ConsoleWorld) -> Visitor:
    visitor = Visitor(shared)
    visitor.enrol(shared.face.regulators.add("rita", "Rita Ho").token)
    return visitor


def test_every_page_is_read_with_a_leaf_and_changes_nothing(
    shared: ConsoleWorld, rita: Visitor
) -> None:
    """One leaf a page; the operator's console stays shut."""
    shared.propose()
    before = len(shared.kinds())
    for path in PAGES:
        assert rita.get(path).status_code == 200, path
    assert shared.kinds()[before:] == ["regulator.read"] * len(PAGES)
    assert rita.client.get("/operator/", follow_redirects=False).status_code == 303
    assert rita.client.post("/operator/sign-out", data={"csrf": "x"}).status_code == 403
    assert rita.client.post("/regulator/members").status_code in {404, 405}
    assert shared.operator().get("/regulator/", follow_redirects=False).status_code == 303


def test_a_suspension_is_an_incident_until_it_ends(shared: ConsoleWorld, rita: Visitor) -> None:
    """Opened and closed with the act, each with its leaf; the register keeps it."""
    membership = shared.coordinator.membership
    membership.set_status("bank-b", "suspended", shared.clock())
    text = rita.get("").text
    assert "Suspension" in text
    assert "Meadow" in text
    membership.set_status("bank-b", "active", shared.clock())
    assert "No incident is open" in rita.get("").text
    assert "bank-b" in rita.get("incidents.csv").text
    with shared.coordinator.database.read() as connection:
        (row,) = every(connection)
    assert (row.kind, row.is_open) == ("suspension", False)
    assert {"incident.opened", "incident.closed"} <= set(shared.kinds())


def test_a_proof_holds_against_the_root_it_names(rita: Visitor) -> None:
    """Inclusion, the signature, and consistency with a head that was seen before."""
    first = json.loads(rita.get("log/1/proof.json").text)
    old = Checkpoint.parse(Note.parse(first["checkpoint"].encode()).text)
    rita.get("")
    proof = json.loads(rita.get(f"log/1/proof.json?seen={old.size}").text)
    note = Note.parse(proof["checkpoint"].encode())
    note.verify([NoteKey.parse(proof["key"])])
    now = Checkpoint.parse(note.text)
    path = [bytes.fromhex(one) for one in proof["path"]]
    leaf = merkle.leaf_hash(proof["leaf"].encode())
    merkle.verify_inclusion(1, now.size, leaf, path, now.root)
    steps = [bytes.fromhex(one) for one in proof["from_seen"]]
    merkle.verify_consistency(old.size, now.size, old.root, now.root, steps)
    assert proof["witnessed"] is None
    assert parse_leaf(proof["leaf"].encode())["kind"] == "member.invited"
    assert base64.b64encode(now.root).decode() in proof["checkpoint"]
    assert rita.get("log/99999/proof.json").status_code == 404
    assert rita.get("log/1/proof.json?seen=x").status_code == 400
