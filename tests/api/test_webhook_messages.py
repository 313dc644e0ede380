"""The document's `webhooks` say what a node really sends: every type, its fields, its signature."""

import itertools
import json
from dataclasses import replace
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from api.http.app import create_app
from api.http.openapi import Document, messages
from api.sdk.webhooks import verify_webhook
from audit.database import Connection
from consent.lifecycle import State
from node.monitoring.rules import EVENTS, Baseline
from node.scoring.requests import ScoreRequest
from node.storage import consents, monitors
from node.storage.score_jobs import LineRow
from protocols.canonical import canonical_json
from protocols.webhook_types import MESSAGE_TYPES
from tests.node.scoring_world import ACCOUNT, BANK, PRESENT, World, ref
from tests.node.webhook_bodies import bodies_to

CLIENT = "cli_hears"
_people = itertools.count(8000)


@pytest.fixture(scope="module")
def document(world: World) -> Document:
    return create_app(world.node).openapi()


def shown(document: Document) -> dict[str, dict[str, Any]]:
    return {kind: one for kind, _, one in messages(document)}


def body_of(message: dict[str, Any]) -> dict[str, Any]:
    """Schema and example of a message."""
    found: dict[str, Any] = message["requestBody"]["content"]["application/json"]
    return found


def faults(document: Document, schema: Any, value: Any) -> list[str]:
    rooted = {**schema, "components": document["components"]}
    return [one.message for one in Draft202012Validator(rooted).iter_errors(value)]


def test_the_document_is_one_of_openapi_3_1(document: Document) -> None:
    whole = json.loads(json.dumps(document))
    # Relative addresses are allowed (section 4.6), but the schema of 2022 did not know it here.
    flows = whole["components"]["securitySchemes"]["oauth2"]["flows"]
    flows["clientCredentials"]["tokenUrl"] = "https://bank.example/oauth/token"
    wrong = OPENAPI_31_VALIDATOR.iter_errors(whole)
    assert [(one.message, list(one.instance_path)) for one in wrong] == []


def test_the_types_of_the_document_are_those_that_the_node_emits(document: Document) -> None:
    emitted = {f"monitor.{event}" for event in EVENTS}
    emitted |= {"monitor.ended", "endpoint.test", "score_request.completed", "batch.completed"}
    assert set(shown(document)) == set(MESSAGE_TYPES) == emitted
    names = [one["operationId"] for one in shown(document).values()]
    assert len(set(names)) == len(names)
    assert "messages" in {tag["name"] for tag in document["tags"]}


def test_every_example_is_a_message_that_verifies(document: Document) -> None:
    """Body, headers and the key that the endpoints' examples show belong together."""
    (key,) = document["components"]["schemas"]["EndpointKey"]["properties"]["public"]["examples"]
    for kind, message in shown(document).items():
        medium = body_of(message)
        example = medium["example"]
        assert not faults(document, medium["schema"], example), kind
        headers = {one["name"]: one["example"] for one in message["parameters"]}
        for one in message["parameters"]:
            assert not faults(document, one["schema"], one["example"]), one["name"]
        at_s = float(headers["webhook-timestamp"])
        event = verify_webhook(headers, canonical_json(example), [key], at_s=at_s)
        assert (event.type, event.data) == (kind, example["data"])


def sent(world: World) -> list[dict[str, Any]]:
    return bodies_to(world.node.database, CLIENT)


def watched(world: World) -> tuple[bytes, str]:
    """A person whose monitor saw them once, and their consent."""
    (one,) = world.enrol(next(_people))
    consent = world.consent(one, purposes=["monitor"]).consent_id
    world.node.monitoring.monitors.begin(CLIENT, ref(one), consent, (), {"score_drop_points": 1})
    look(world)
    return one, consent


def better_before(connection: Connection, consent: str) -> None:
    row = monitors.active_of(connection, CLIENT, consent)
    assert row is not None
    before = Baseline.parse(row.baseline)
    points = dict.fromkeys(before.points, 900)
    monitors.change(connection, row.monitor_id, baseline=replace(before, points=points).to_text())


def look(world: World) -> None:
    with world.node.database.write() as connection:
        monitors.wake_all(connection)
    world.node.monitoring.looking.step()


def test_what_is_sent_is_what_the_document_says(world: World, document: Document) -> None:
    """Every field that is sent is described, and every described field is sent."""
    endpoint = world.node.webhooks.endpoints.add(CLIENT, "https://93.184.215.14/hook")
    world.node.webhooks.endpoints.test(CLIENT, endpoint.endpoint.endpoint_id)
    around = world.node.around_scores
    (one,) = world.enrol(next(_people))
    asked = ScoreRequest(ref(one), world.consent(one).consent_id, "score", CLIENT)
    around.jobs.request(asked, 60_000)
    batch = around.jobs.receive(asked, 60_000)
    around.jobs.add_lines([LineRow(batch.job_id, 1, asked.subject_ref, asked.consent_id)])
    around.jobs.received(batch, 1, bytes(32))
    around.runner.step()
    person, consent = watched(world)
    with world.node.database.write() as connection:
        better_before(connection, consent)
    late = {"current_status": (PRESENT, 4.0), "credit_limit": (PRESENT, 90_000.0)}
    world.network.enrol_many(BANK, {person: ACCOUNT | late})
    look(world)
    with world.node.database.write() as connection:
        consents.set_state(connection, [consent], State.WITHDRAWN, [0])
    look(world)
    types = shown(document)
    told = sent(world)
    for message in told:
        schema = body_of(types[message["type"]])["schema"]
        assert not faults(document, schema, message), message
        example = body_of(types[message["type"]])["example"]
        assert set(message["data"]) == set(example["data"])
    # Lenders are counted at other banks, of which this network has none.
    assert {one["type"] for one in told} == set(MESSAGE_TYPES) - {"monitor.multi_lender_growth"}
