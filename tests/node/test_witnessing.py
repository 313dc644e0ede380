"""Nodes and a coordinator as each other's witnesses, over mutual TLS."""

import json
import shutil
from dataclasses import replace

import httpx
import pytest
from typer.testing import CliRunner

from api.cli.main import app
from api.http.witness import witness_app
from audit import witness_store as store
from audit.checkpoint import sign_checkpoint
from audit.verifier.cosignature import CosignatureKey
from audit.verifier.evidence import EvidenceOutcome
from audit.verifier.note import NoteKey
from audit.witness import Witness
from audit.witness_home import WitnessHome, WitnessSettings, directory_file, init_witness
from audit.witness_http import HttpWitness, WitnessUnreachable
from audit.witness_peers import COORDINATOR, ExternalWitness
from audit.witness_state import LogContinued, LogQuarantined, Operation
from node.bootstrap import init_node, join, open_node
from node.scoring.service import ScoreRequest
from node.settings import SettingsInvalid, make_settings
from node.storage.subjects import UnknownSubject
from protocols.documents import sign_document
from protocols.errors import InvalidInput, SignatureInvalid
from protocols.keys import SigningKey
from protocols.v1.exchange_pb2 import SealedRequest
from tests.audit.test_witness import HONEST, KEYS, ORIGIN, REWRITTEN, request
from tests.audit.world import by_hand
from tests.network import MEMBERS, open_network
from tests.node.coordinated import free_port, invite, now_ms, serving_coordinator
from tests.support.asgi import InProcess, client_of

ROLES = {"bank-a": "bank", "payments": "data_provider"}


def test_members_cosign_each_other_when_the_coordinator_is_away(tmp_path):
    """A log of four members is witnessed by the other three; a suspended one does not count."""
    with open_network(tmp_path, MEMBERS) as network:
        node = network.node("bank-a")
        node.witnessing.rounds.start()
        beat = node.witnessing.rounds.beat()
        assert beat.witnessed
        assert set(beat.cosigned) == {"bank-b", "payments", "public-records"}
        assert set(beat.refused) == {COORDINATOR}
        with node.database.read() as connection:
            witnessed = store.latest_witnessed(connection)
        assert node.witnessing.keeper.policy().check(witnessed).met
        for name in ("bank-b", "payments"):
            network.change(name, status="suspended")
        assert not node.witnessing.rounds.beat().witnessed


def test_the_coordinators_log_is_cosigned_by_members_who_come_for_it(tmp_path):
    """Members and a coordinator that dials nobody witness each other; each sees the other's log."""
    with serving_coordinator(tmp_path / "coordinator") as coordinator:
        nodes = []
        try:
            for name, role in ROLES.items():
                home = tmp_path / name
                init_node(
                    home, member_id=name, name=name, role=role, listen=f"127.0.0.1:{free_port()}"
                )
                join(home, invite(coordinator, name, role), now_ms())
                nodes.append(open_node(home))
            keeper = coordinator.witnessing.keeper
            for node in nodes:
                node.documents.refresh_if_older_than(0)
                node.witnessing.desk.visit()  # is heard
            coordinator.witnessing.rounds.beat()
            for node in nodes:
                assert node.witnessing.desk.visit()
            with coordinator.database.read() as connection:
                found = keeper.policy().check(store.latest_witnessed(connection))
            assert found.organisations == ("bank-a", "payments")
            for node in nodes:
                node.witnessing.rounds.start()
                assert COORDINATOR in _asked(node)
        finally:
            for node in nodes:
                node.close()


def _asked(node) -> set[str]:
    """Who answered what the node's log is, whether or not it may sign already."""
    return node.witnessing.keeper._heard


def test_the_gates_of_a_node_stop_scores_and_releases_and_nothing_else(tmp_path):
    """A node whose log is quarantined answers nothing that harms, says so, and can be confirmed."""
    runner = CliRunner()
    home = tmp_path / "bank-a"
    with open_network(tmp_path, MEMBERS[:3]) as network:
        node = network.node("bank-a")
        node.witnessing.rounds.start()
        longer = replace(node.audit.checkpoint(), size=node.audit.head().size + 5, root=bytes(32))
        shown = sign_checkpoint(longer, node.keys.signing)
        assert not node.witnessing.keeper.hear("payments", [shown])
    reopened = open_node(home)
    with pytest.raises(LogQuarantined):
        reopened.scoring.score(ScoreRequest("sub_1", "c_1", "score", "cli_1"))
    with pytest.raises(LogQuarantined):
        reopened.batch_scoring.score_batch([])
    with pytest.raises(LogQuarantined):
        reopened.exchange.answer(SealedRequest(), "bank-b", now_ms())
    reopened.witnessing.gate.require(Operation.CONSENT)
    reopened.close()
    told = json.loads(runner.invoke(app, ["node", "status", str(home), "--json"]).stdout)
    assert (told["witnesses"]["quarantined"], told["witnesses"]["state"]) == (True, "stopped")
    assert told["audit"]["origin"].endswith("/2")
    done = runner.invoke(app, ["audit", "continue", str(home), "--reason", "a test"])
    assert done.exit_code == 0, done.output
    reopened = open_node(home)
    with pytest.raises(UnknownSubject):  # past the gate
        reopened.scoring.score(ScoreRequest("sub_1", "c_1", "score", "cli_1"))
    with pytest.raises(LogContinued):
        reopened.witnessing.gate.require(Operation.TRAINING)
    reopened.close()
    assert "quorum organisations" in runner.invoke(app, ["audit", "policy", str(home)]).stdout


def test_damage_that_the_verifier_finds_in_a_home_is_on_record_there_once(tmp_path):
    """A failed verification is an incident with a leaf; a sound log and a copy have none."""
    home, runner = tmp_path / "bank-a", CliRunner()
    init_node(home, member_id="bank-a", name="A", role="bank")
    opening = ["node", "incident", "open", str(home), "--kind", "breach_notice", "--about"]
    for about in ("portal", "desk"):
        assert runner.invoke(app, [*opening, about]).exit_code == 0
    assert runner.invoke(app, ["audit", "verify", "log", str(home)]).exit_code == 0
    with by_hand(home) as connection:
        connection.execute("UPDATE audit_leaf SET leaf = replace(leaf, 'operator', 'somebody')")
    shutil.copy(home / "node.db", tmp_path / "copy.db")
    for path in (tmp_path / "copy.db", home, home):
        assert runner.invoke(app, ["audit", "verify", "log", str(path)]).exit_code == 3
    told = json.loads(runner.invoke(app, ["node", "incident", "list", str(home), "--json"]).stdout)
    (found,) = [one for one in told if one["kind"] == "failed_verification"]
    assert found["about"] == "bank-a.members.credence"
    assert found["text"].startswith("leaf ")
    assert len(told) == 3


# -- a witness outside the network


def test_a_supervisors_witness_learns_the_logs_from_the_signed_directory(tmp_path):
    """A log brings the directory to a witness that does not know it, and is cosigned over HTTP."""
    with open_network(tmp_path, MEMBERS[:3]) as network:
        settings = WitnessSettings(
            "regulator.example/w1",
            "regulator",
            "127.0.0.1:7600",
            network.directory_key.verify_key.bytes.hex(),
        )
        init_witness(tmp_path / "regulator", settings)
        home = WitnessHome(tmp_path / "regulator", now_ms)
        node = network.node("bank-a")
        node.witnessing.rounds.start()
        head = node.witnessing.keeper.sign()
        body = node.witnessing.keeper.request(head, 0)
        outside = ExternalWitness.parse(home.line)
        transport = InProcess(witness_app(home))

        def document() -> bytes:
            return directory_file(node.documents.document("directory"))

        without = HttpWitness(outside, None, transport)
        assert without.add_checkpoint(body, 5).status == 404
        peer = HttpWitness(outside, document, transport)
        answer = peer.add_checkpoint(body, 5)
        assert answer.status == 200
        assert answer.body.decode().startswith("\N{EM DASH} regulator.example/w1 ")
        assert peer.latest(node.audit.origin, 5) == [head.note]
        assert peer.add_checkpoint(body, 5).body == f"{head.checkpoint.size}\n".encode()
        home.close()

        again = WitnessHome(tmp_path / "regulator", now_ms)  # it remembers
        assert again.latest(node.audit.origin) == [head.note]
        stranger = sign_document("directory", network.directory().to_body(), SigningKey.generate())
        with pytest.raises(SignatureInvalid):
            again.take_directory(directory_file(stranger))
        again.close()


def test_the_http_face_answers_as_c2sp_says(tmp_path):
    """Statuses, the size with a conflict and its content type, a body cap, no body at all."""
    settings = WitnessSettings("w.example", "regulator", "127.0.0.1:1", bytes(32).hex())
    init_witness(tmp_path / "w", settings)
    home = WitnessHome(tmp_path / "w", now_ms)

    def watched(_connection: object, origin: str) -> tuple[NoteKey, ...]:
        return KEYS if origin == ORIGIN else ()

    # It watches the test's log instead of a directory's.
    home._witness = Witness("w.example", lambda: SigningKey(bytes(32)), watched)
    client = client_of(witness_app(home), "http://127.0.0.1")
    answers = [
        (request(HONEST, 0, 9), 200),
        (request(HONEST, 0, 9), 409),
        (request(REWRITTEN, 9, 20), 422),
        (b"nonsense", 400),
        (b"", 400),
        (b"x" * (64 * 1024 + 1), 413),
        (b"x" * (5 * 1024 * 1024), 413),
    ]
    for body, status in answers:
        answer = client.post("/add-checkpoint", content=body)
        assert answer.status_code == status
        if status == 409:
            assert answer.text == "9\n"
            assert answer.headers["content-type"].startswith("text/x.tlog.size")
    assert client.post("/directory", content=b"{}").status_code == 400
    assert client.get("/latest", params={"origin": "x" * 200}).status_code == 422
    home.close()
    out = tmp_path / "evidence"
    done = CliRunner().invoke(app, ["witness", "evidence", str(tmp_path / "w"), "--out", str(out)])
    assert done.exit_code == 0, done.output
    (file,) = out.iterdir()
    arguments = ["audit", "verify", "evidence", str(file), "--key", KEYS[0].encode(), "--json"]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == EvidenceOutcome.FORKED == 8
    assert json.loads(shown.stdout)["outcome"] == "forked"


@pytest.mark.parametrize("status", [500, 200])
def test_a_witness_that_is_none_is_unreachable(status):
    """An answer of another kind is no answer; one that does not end is cut off."""
    endless = httpx.MockTransport(lambda _: httpx.Response(status, content=b"x" * 300_000))
    key = KEYS_OF_A_WITNESS
    peer = HttpWitness(ExternalWitness.parse(f"r {key} https://w.example"), None, endless)
    with pytest.raises(WitnessUnreachable):
        peer.latest("log", 1)


KEYS_OF_A_WITNESS = CosignatureKey("w.example", SigningKey(bytes(32)).verify_key).encode()


@pytest.mark.parametrize(
    "line",
    ["", "a b", f"r {KEYS_OF_A_WITNESS} http://elsewhere.example", f"r {KEYS[0].encode()} https://w",
     f"r+x {KEYS_OF_A_WITNESS} https://w", f"r {KEYS_OF_A_WITNESS} https://w more"],
)  # fmt: skip
def test_a_line_that_names_no_witness_is_refused(line):
    """Settings with such a line do not load."""
    with pytest.raises(InvalidInput):
        ExternalWitness.parse(line)
    with pytest.raises(SettingsInvalid):
        make_settings(member_id="bank-a", name="A", role="bank", witnesses=(line,))
