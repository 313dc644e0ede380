"""A person passes through a whole network and is found nowhere that others read.

Catalogue item 27. Enrolled, consented, exchanged, scored, refused, disputed, trained on, withdrawn
and erased: none of what tells who they are or what is known of them stands in any leaf, tile,
receipt for strangers, statement, export, log line, trace, output or error.
"""

import io
import json
import traceback
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import httpx
import pytest
import structlog

from api.http.app import create_app
from api.http.server import HttpServer
from audit.export import Signer, export_log
from audit.leaf import Entry
from audit.sorted_set import SortedSet
from node.exchange.statement import write_statement
from node.scoring.service import ScoreRequest
from node.storage import subjects, training
from node.storage.subjects import Subject
from protocols.errors import CredenceError
from tests.network import now_ms, person
from tests.node.scoring_world import BANK, World, open_world
from tests.relay.test_canary import found

ONE = person(990_017)
REF = "sub_canary4f1d9c77e2b05a8"
IDENTIFIER = "canary-id-310199020202"
WORDS = "canary words: I never missed a payment at Harbour"
AMOUNT, RATIO = 7_654_321.25, 0.918273645
HOLDER = "payments"


def pass_through(world: World, url: str, folder: Path) -> dict[str, bytes]:
    """Everything that happens to one person; what others could read of it, by place."""
    node, network = world.node, world.network
    for name in (BANK, HOLDER):
        member = network.node(name)
        with member.database.write() as connection:
            known = subjects.all_subjects(connection)
            one = Subject(ONE, REF, IDENTIFIER, now_ms())
            subjects.replace_all(connection, [*known, one])
        network.enrol(name, ONE, {"statement_balance": (1, AMOUNT), "paid_ratio_1m": (1, RATIO)})
    terms = world.consent(ONE)
    errors: list[bytes] = []
    token = node.clients.add("platform", now_ms())[1]
    with httpx.Client(base_url=url, timeout=20) as client:
        client.headers["Authorization"] = f"Bearer {token}"
        body = {"subject": REF, "consent_id": terms.consent_id, "purpose": "score"}
        scored = client.post("/v1/scores", json=body)
        assert scored.status_code == 201, scored.text
        wrongs = (
            {"consent_id": "con_unknown"},
            {"purpose": WORDS[:30]},
            {"subject": IDENTIFIER},
            {REF: WORDS},
        )
        errors += [client.post("/v1/scores", json=body | one).content for one in wrongs]
        errors.append(client.get(f"/v1/scores/{REF}").content)
        errors.append(client.get(f"/v1/log/leaves/{IDENTIFIER}").content)
        errors.append(client.post("/v1/scores", content=WORDS.encode()).content)
        client.headers["Authorization"] = f"Bearer {REF}.{IDENTIFIER}"
        errors.append(client.post("/v1/scores", json=body).content)
    node.rights.dispute(ONE, HOLDER, "paid_ratio_1m", WORDS)
    node.rights.person.take_report(ONE)
    cohort = SortedSet([terms.consent_hash])
    with node.database.write() as connection:
        training.keep_cohort(connection, cohort.root, terms.consent_hash, 1)
        facts = {"cohort_root": cohort.root.hex(), "cohort_size": 1}
        entry = Entry("training.round", BANK, "train", "cmp_1", facts, None, now_ms())
        node.audit.append(connection, entry)
    for name in (HOLDER, BANK):
        network.withdraw(name, terms)
    request = ScoreRequest(REF, terms.consent_id, "score", "cli_test")
    with pytest.raises(CredenceError) as refused:
        world.scoring.score(request)
    errors.append("".join(traceback.format_exception(refused.value)).encode())
    with node.database.write() as connection:
        node.audit.erase(connection, ONE, actor=BANK, at_ms=now_ms())
    return {"errors": b"\0".join(errors)} | handed_out(world, folder)


def handed_out(world: World, folder: Path) -> dict[str, bytes]:
    """What is given to strangers: leaves, tiles, receipts, exports, statements."""
    places: dict[str, bytes] = {}
    for name in (BANK, HOLDER):
        node = world.network.node(name)
        reader, size = node.log_reader, node.audit.head().size
        with node.database.read() as connection:
            leaves = list(node.audit.leaves(connection, 0, size))
        places[f"{name} leaves"] = b"\0".join(one.leaf for one in leaves)
        width = min(size, 256)
        places[f"{name} tiles"] = reader.tile(0, 0, width) + reader.bundle(0, width)
        receipts = [reader.receipt(seq, opened=False).to_json() for seq in range(size)]
        places[f"{name} receipts"] = json.dumps(receipts).encode()
        export_log(node.home, folder / name, signer=Signer(node.audit.origin, node.keys.signing))
        places[f"{name} export"] = (folder / name).read_bytes()
        peer = HOLDER if name == BANK else BANK
        write_statement(reader, name, peer, 0, now_ms() + 1, folder / f"{name}.statement")
        places[f"{name} statement"] = (folder / f"{name}.statement").read_bytes()
    return places


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("canary")
    out = io.StringIO()
    with (
        redirect_stdout(out),
        redirect_stderr(out),
        structlog.testing.capture_logs() as events,
        open_world(folder / "network") as world,
    ):
        server = HttpServer(create_app(world.node), "127.0.0.1:0")
        server.start()
        try:
            places = pass_through(world, f"http://127.0.0.1:{server.port}", folder)
        finally:
            server.stop()
        canaries = {
            "pseudonym": ONE,
            "reference": REF,
            "identifier": IDENTIFIER,
            "words": WORDS,
            "balance": AMOUNT,
            "ratio": RATIO,
            "pair key": world.node.pair_keys.with_member(HOLDER),
        }
    places["output and log lines"] = (out.getvalue() + repr(events)).encode()
    return {place: repr(found(canaries, data)).encode() for place, data in places.items()} | {
        "log": places["output and log lines"]
    }


@pytest.mark.parametrize(
    "place",
    [
        "errors",
        "output and log lines",
        *(
            f"{name} {what}"
            for name in (BANK, HOLDER)
            for what in ("leaves", "tiles", "receipts", "export", "statement")
        ),
    ],
)
def test_nothing_of_a_person_is_found(seen: dict[str, bytes], place: str) -> None:
    assert seen[place] == b"[]"


def test_what_happened_was_logged_all_the_same(seen: dict[str, bytes]) -> None:
    """The search above looked at something: the process told of the calls it answered."""
    assert b"/v1/scores" in seen["log"]
