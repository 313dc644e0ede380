"""The proof about training as a person gets it and checks it, from the commands."""

import json

import pytest
from typer.testing import CliRunner

from api.cli.consent import app
from audit.verifier.receipt import ReceiptInvalid
from node.consents.training_proof import NotWithdrawn
from protocols.errors import Malformed
from tests.granting import grant, know, withdraw
from tests.network import MEMBERS, open_network


@pytest.fixture(scope="module")
def withdrawn(tmp_path_factory):
    """A bank's home, a withdrawn consent, and one in force."""
    with open_network(tmp_path_factory.mktemp("net"), [MEMBERS[0], MEMBERS[2]]) as network:
        know(network, ("bank-a", "payments"), [1, 2])
        gone, kept = grant(network, "bank-a", [1, 2], ["payments"])
        withdraw(network, "bank-a", gone)
        yield network.root / "bank-a", gone.consent_id, kept.consent_id


def invoke(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments])


def test_a_proof_is_written_and_checked_without_the_node(withdrawn, tmp_path):
    home, consent_id, _ = withdrawn
    file = tmp_path / "proof.json"
    assert invoke("training-proof", home, consent_id, "--out", file).exit_code == 0
    key = json.loads(file.read_text())["withdrawal"]["key"]
    found = json.loads(invoke("check-training-proof", file, "--key", key, "--json").stdout)
    assert (found["consent_id"], found["rounds"], found["key_given"]) == (consent_id, 0, True)
    told = invoke("check-training-proof", file).stdout
    assert consent_id in told
    assert "compare" in told  # the file's own key says only that the file agrees with itself


def test_without_a_file_the_proof_is_printed(withdrawn):
    home, consent_id, _ = withdrawn
    printed = invoke("training-proof", home, consent_id)
    assert json.loads(printed.stdout)["consent_id"] == consent_id


def test_a_consent_in_force_has_no_such_proof(withdrawn):
    home, _, kept = withdrawn
    assert isinstance(invoke("training-proof", home, kept).exception, NotWithdrawn)


def test_a_changed_file_and_what_is_no_file_are_refused(withdrawn, tmp_path):
    home, consent_id, _ = withdrawn
    file = tmp_path / "proof.json"
    invoke("training-proof", home, consent_id, "--out", file)
    proof = json.loads(file.read_text())
    proof["consent_id"] = "con_" + "a" * 26
    file.write_text(json.dumps(proof))
    assert isinstance(invoke("check-training-proof", file).exception, ReceiptInvalid)
    file.write_text("nothing")
    assert isinstance(invoke("check-training-proof", file).exception, Malformed)
    assert invoke("check-training-proof", tmp_path / "absent.json").exit_code == 2
