"""`credence coordinator models` and `credence node models`: what they say and what they change."""

import json
from contextlib import closing
from typing import Any

import pytest
from typer.testing import CliRunner

from api.cli.main import app
from node.bootstrap import open_node
from node.settings import ENV_PREFIX
from node.storage import models as rules
from node.storage.models import Comparison
from protocols.releases import Release
from tests.registry.world import Registry


def invoke(*words: object) -> Any:
    return CliRunner().invoke(app, [str(one) for one in words], catch_exceptions=True)


@pytest.fixture
def models(registry: Registry):
    """Runs one of the coordinator's commands and gives what it printed."""

    def run(command: str, *words: object) -> str:
        found = invoke("coordinator", "models", command, registry.coordinator.home, *words)
        assert found.exit_code == 0, found.output
        return " ".join(found.output.split())

    return run


def test_versions_their_parts_and_who_answers_with_them_are_listed(registry, models):
    assert "no model is published yet" in models("list")
    for version in ("m1", "m2", "m3"):
        registry.publish(version)
    registry.coordinator.running.said("bank-a", "m1", 3, 1)
    registry.coordinator.running.said("bank-b", "", 0, 1)
    assert "m2 is challenger" in models("challenge", "m2", "--by", "ann", "--why", "KS is better")
    assert "m3 is staged at bank-a, bank-b (release 5" in models(
        "stage", "m3", "--member", "bank-b", "--member", "bank-a"
    )
    text = models("list")
    assert "m1 champion answered with by bank-a" in text
    assert "not at this release yet: bank-a (release 3), bank-b (release none)" in text
    shown = models("show", "m2")
    assert "m2, a neural_scorecard, is challenger" in shown
    assert "published -> challenger by ann: KS is better" in shown
    listed = json.loads(models("list", "--json"))
    assert listed["release"]["staged"] == {"version": "m3", "members": ["bank-a", "bank-b"]}
    assert listed["members"]["bank-b"]["version"] == ""


def test_promote_rollback_drop_and_withdraw_say_what_follows(registry, models):
    registry.publish("m1")
    registry.publish("m2")
    assert "m2 is champion" in models("promote", "m2")
    assert "m1 is champion again" in models("rollback", "--why", "too strict")
    assert "m2 is challenger" in models("challenge", "m2")
    assert "m2 plays no part" in models("drop", "m2")
    assert "m1 is withdrawn; there is no champion" in models("withdraw", "m1", "--why", "bad data")
    assert Release.from_body(registry.document().body).withdrawn == ("m1",)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("promote", "m9"), "unknown_bundle"),
        (("promote", "m1"), "model_transition_invalid"),
        (("rollback",), "nothing_to_roll_back_to"),
        (("show", "m9"), "unknown_bundle"),
        (("stage", "m2", "--member", "bank-z"), "unknown_member"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_code(registry, words, code):
    registry.publish("m1")
    registry.publish("m2")
    command, *rest = words
    found = invoke("coordinator", "models", command, registry.coordinator.home, *rest)
    assert found.exit_code != 0
    assert getattr(found.exception, "code", "") == code


def test_a_withdrawal_needs_a_reason(registry):
    registry.publish("m1")
    assert (
        invoke("coordinator", "models", "withdraw", registry.coordinator.home, "m1").exit_code == 2
    )


def test_a_node_shows_and_sets_its_own_rules(registry, monkeypatch):
    """What is pinned or refused here is visible, with what the network names and compares."""
    registry.publish("m1")
    registry.publish("m2")
    registry.coordinator.releases.challenge("m2", registry.order())
    bank = registry.follower("bank-a")
    home = bank.node.home
    monkeypatch.setenv(f"{ENV_PREFIX}DIRECTORY_KEY", registry.key.verify_key.bytes.hex())
    with closing(open_node(home)) as node:
        kinds = ("directory", "catalogue")
        node.documents.install(*map(registry.coordinator.membership.document, kinds))
    assert "released no model" in invoke("node", "models", "list", home).output
    bank.follow()
    few = Comparison("m1", "m2", 3, 0, 0.1, 5.0, 9.0, 1, 0, 1, 2)
    with bank.node.database.write() as connection:
        rules.add_comparison(connection, few)
    assert "figures are shown from 20 on" in invoke("node", "models", "list", home).output
    with bank.node.database.write() as connection:
        rules.add_comparison(connection, Comparison("m1", "m2", 17, 1, 0.1, 15.0, 31.0, 2, 4, 2, 9))
    listed = " ".join(invoke("node", "models", "list", home).output.split())
    assert "answers with m1" in listed
    assert "m2 challenger, kept here" in listed
    assert "20 scores, 1 that it could not make; PD +0.0100, +1.0 points" in listed
    assert "better band 3, worse band 4" in listed
    found = json.loads(invoke("node", "models", "list", home, "--json").output)
    assert found["comparisons"][0]["mean_points_distance"] == 2.0
    assert "answers with m2" in invoke("node", "models", "pin", home, "m2").output
    listed = " ".join(invoke("node", "models", "list", home).output.split())
    assert "answers with m2 the network names m1 for this node" in listed
    assert "m2 challenger, kept here, pinned by this node" in listed
    assert "answers with m1" in invoke("node", "models", "unpin", home).output
    refused = invoke("node", "models", "refuse", home, "m2", "--why", "not validated")
    assert "answers with m1" in refused.output
    assert "refused by this node: not validated" in invoke("node", "models", "list", home).output
    assert invoke("node", "models", "pin", home, "m9").exception.code == "model_not_released"
