"""`/v1/log` as a regulator, a partner and a platform meet it."""

import hashlib
import json

import httpx
import pytest

from api.http.log import parse_tile
from audit.proofs import TileNotFound
from audit.verifier.consistency import check_path
from audit.verifier.note import Checkpoint, Note, NoteKey
from audit.verifier.promise import check_promise
from audit.verifier.receipt import check_receipt, root_of
from node.access.presented import Presented, TokenRefused
from node.access.refusals import EVERY_MS
from node.access.wiring import make_access
from protocols.errors import CredenceError
from tests.audit import naive
from tests.network import now_ms
from tests.node.scoring_world import World, ref


@pytest.fixture(scope="module")
def reader_token(world: World) -> str:
    return world.clients.add("regulator", now_ms(), ["log:read"])[1]


@pytest.fixture
def reader(http: httpx.Client, reader_token: str) -> httpx.Client:
    http.headers["Authorization"] = f"Bearer {reader_token}"
    return http


def key(world: World) -> NoteKey:
    return world.node.log_reader.key


def scored(world: World, url: str, token: str) -> dict[str, object]:
    person = world.enrol(len(world.node.clients.every()) + 4711)[0]
    terms = world.consent(person)
    answer = httpx.post(
        f"{url}/v1/scores",
        json={"subject": ref(person), "consent_id": terms.consent_id, "purpose": "score"},
        headers={"Authorization": f"Bearer {token}"},
        timeout=20,
    )
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_reader_checks_the_log_from_its_answers_alone(world: World, reader: httpx.Client) -> None:
    """Checkpoint, leaves and proofs agree with RFC 9162 written down word for word."""
    answer = reader.get("/v1/log/checkpoint")
    note = Note.parse(answer.content)
    note.verify([key(world)])
    head = Checkpoint.parse(note.text)
    leaves: list[bytes] = []
    while len(leaves) < head.size:
        page = reader.get("/v1/log/leaves", params={"start": len(leaves), "count": 256}).json()
        leaves += [one["leaf"].encode() for one in page["leaves"]]
    leaves = leaves[: head.size]
    assert naive.mth(leaves) == head.root
    seq, old = head.size // 2, max(1, head.size // 3)
    path = reader.get(f"/v1/log/proof/inclusion?seq={seq}&size={head.size}").json()["path"]
    found = root_of(seq, head.size, leaves[seq], [bytes.fromhex(one) for one in path])
    assert found == head.root
    path = reader.get(f"/v1/log/proof/consistency?from={old}&to={head.size}").json()["path"]
    proof = [bytes.fromhex(one) for one in path]
    check_path(old, head.size, naive.mth(leaves[:old]), head.root, proof)
    one = reader.get(f"/v1/log/leaves/{seq}").json()
    assert one["leaf_hash"] == hashlib.sha256(b"\x00" + leaves[seq]).hexdigest()


def test_tiles_are_those_of_c2sp(world: World, reader: httpx.Client) -> None:
    """A foreign monitor reads hashes and entries by the names of tlog-tiles."""
    size = world.node.audit.head().size
    width = min(size, 255)
    hashes = reader.get(f"/v1/log/tile/0/000.p/{width}").content
    entries = reader.get(f"/v1/log/tile/entries/000.p/{width}").content
    leaves, at = [], 0
    while at < len(entries):
        length = int.from_bytes(entries[at : at + 2], "big")
        leaves.append(entries[at + 2 : at + 2 + length])
        at += 2 + length
    assert len(leaves) == width
    assert hashes == b"".join(hashlib.sha256(b"\x00" + leaf).digest() for leaf in leaves)
    assert reader.get("/v1/log/tile/0/x099/000").status_code == 404


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("0/000", (0, 0, 256)),
        ("entries/000.p/1", (None, 0, 1)),
        ("7/x001/x234/067.p/255", (7, 1234067, 255)),
    ],
)
def test_a_tile_has_one_name(name: str, parsed: tuple[int | None, int, int]) -> None:
    assert parse_tile(name) == parsed


@pytest.mark.parametrize(
    "name",
    ["", "0", "0/0", "8/000", "0/000.p/0", "0/000.p/256", "0/x000/000", "0/000/x001", "0/-01",
     "../000", "0/000.p/01", "0/\u0660\u0660\u0660", "0/" + "x999/" * 12 + "999", "entries/x1/000"],
)  # fmt: skip
def test_other_names_are_of_no_tile(name: str) -> None:
    with pytest.raises(TileNotFound):
        parse_tile(name)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("proof/inclusion?seq=5&size=5", 400),
        ("proof/inclusion?seq=0&size=99999999", 400),
        ("proof/inclusion?seq=-1&size=5", 422),
        ("proof/inclusion?seq=0&size=18446744073709551616", 422),
        ("proof/inclusion?seq=0", 422),
        ("proof/consistency?from=9&to=5", 400),
        ("proof/consistency?from=1&to=99999999", 400),
        ("leaves/99999999", 404),
        ("leaves?start=0&count=257", 422),
        ("receipts/99999999", 404),
    ],
)
def test_what_is_not_there_is_a_problem(reader: httpx.Client, path: str, status: int) -> None:
    answer = reader.get(f"/v1/log/{path}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path",
    ["checkpoint", "proof/inclusion?seq=0&size=1", "proof/consistency?from=1&to=1", "leaves/0",
     "leaves?start=0", "tile/0/000.p/1", "receipts/0"],
)  # fmt: skip
def test_only_who_may_read_the_log_does(http: httpx.Client, token: str, path: str) -> None:
    """A platform's token, without the scope, opens nothing but its own scores' entries."""
    assert http.get(f"/v1/log/{path}").status_code == 401
    http.headers["Authorization"] = f"Bearer {token}"
    assert http.get(f"/v1/log/{path}").json()["code"] == "scope_missing"


def test_a_score_is_proved_to_the_client_it_was_given_to(
    world: World, url: str, http: httpx.Client, token: str, reader_token: str
) -> None:
    """The client reads its own content; a reader of the log is shown none; another neither."""
    answer = scored(world, url, token)
    seq = answer["receipt"]["seq"]  # type: ignore[index]
    http.headers["Authorization"] = f"Bearer {token}"
    own = http.get(f"/v1/log/receipts/{seq}")
    entry = check_receipt(own.content, [key(world)])
    assert entry.content == "shown"
    assert entry.payload is not None
    assert entry.payload["score"] == answer["score"]
    assert entry.leaf_hash.hex() == answer["receipt"]["leaf_hash"]  # type: ignore[index]
    http.headers["Authorization"] = f"Bearer {reader_token}"
    blind = http.get(f"/v1/log/receipts/{seq}")
    assert check_receipt(blind.content, [key(world)]).content == "withheld"
    assert str(answer["subject"]) not in json.dumps(blind.json())
    other = world.clients.add("other platform", now_ms())[1]
    http.headers["Authorization"] = f"Bearer {other}"
    assert http.get(f"/v1/log/receipts/{seq}").json()["code"] == "scope_missing"


def test_the_answer_to_a_score_is_a_promise_that_the_receipt_keeps(
    world: World, url: str, http: httpx.Client, token: str
) -> None:
    """Who was given a score can hold the log to the place it named at once."""
    answer = scored(world, url, token)
    http.headers["Authorization"] = f"Bearer {token}"
    receipt = http.get(f"/v1/log/receipts/{answer['receipt']['seq']}")  # type: ignore[index]
    entry = check_receipt(receipt.content, [key(world)])
    check_promise(json.dumps(answer).encode(), entry)
    answer["receipt"]["leaf_hash"] = "00" * 32  # type: ignore[index]
    with pytest.raises(CredenceError):
        check_promise(json.dumps(answer).encode(), entry)


def test_refused_calls_are_logged_and_cannot_fill_the_log(world: World) -> None:
    """Catalogue item 28: at once, then counted; a token's parts stand nowhere."""
    node, now = world.node, [1_000_000]
    access = make_access(
        node.settings, database=node.database, audit=node.audit, clock=lambda: now[0]
    )
    clients = access.clients
    row, token = clients.add("revoked platform", 1)
    clients.revoke("revoked platform", 2)
    before = node.audit.head().size
    for _ in range(5):
        with pytest.raises(TokenRefused):
            clients.recognise(Presented.bearer(token))
    for guess in ("cli_nobody.canary-secret", "canary-secret"):
        with pytest.raises(TokenRefused):
            clients.recognise(Presented.bearer(guess))
    assert node.audit.head().size == before + 2
    now[0] += EVERY_MS
    with pytest.raises(TokenRefused):
        clients.recognise(Presented.bearer(token))
    payloads = node.audit.payloads(range(before, before + 3))
    assert [payloads[before + at]["more_before"] for at in range(3)] == [0, 0, 4]
    leaves = [json.loads(one.leaf) for one in node.log_reader.leaves(before, before + 3)]
    assert [leaf["actor"] for leaf in leaves] == [row.client_id, "unknown", row.client_id]
    assert {leaf["kind"] for leaf in leaves} == {"client.refused"}
    assert "canary" not in str(payloads) + str(leaves)
