"""schemathesis over the whole OpenAPI document: no input makes a server error.

What it generates, fits the document or breaks it; every answer has to be one that the document
describes. In-process, over ASGI. A few inputs an operation by default; `make thorough` sends many.
"""

import os
import warnings
from datetime import UTC, datetime
from typing import Any

import hypothesis
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the packages that it imports
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

from fastapi import FastAPI

from api.http.app import create_app
from api.sdk import Client, calls
from node.access.presented import SCOPES
from tests.api.test_scores import body_for
from tests.network import now_ms
from tests.node.scoring_world import World
from tests.sdk.conftest import Bridge


@schemathesis.serializer("application/jsonl")
def _lines(_context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
EXAMPLES = 100 if THOROUGH else 3
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)


@pytest.fixture
def known(world: World, monkeypatch: pytest.MonkeyPatch) -> tuple[FastAPI, str, dict[str, Any]]:
    """The application, a token, and things that exist, by the names that calls give them."""
    # Names are looked up nowhere: every host has this address.
    guard = world.node.webhooks.endpoints._guard
    monkeypatch.setattr(guard, "_lookup", lambda _host, _port: ["93.184.215.14"])
    app = create_app(world.node)
    _, token = world.clients.add("schemathesis", now_ms(), SCOPES)
    body = body_for(world, purposes=["score", "monitor"])
    subject, consent = body["subject"], body["consent_id"]
    with Client("http://node", token, transport=Bridge(app)) as node:
        score = node.score(subject, consent)
        endpoint = node.make(calls.create_webhook_endpoint("https://platform.example/hook"))
        request = node.make(calls.create_score_request(subject, consent))
        batch = node.make(calls.create_batch([(subject, consent)]))
        monitor = node.make(calls.create_monitor(subject, consent))
        today = datetime.now(UTC).date().isoformat()
        outcome = node.make(calls.report_outcome(score.score_id, "performing", today))
    return app, token, {
        "subject": subject,
        "consent_id": consent,
        "score_id": score.score_id,
        "seq": score.receipt.seq,
        "endpoint_id": endpoint.endpoint_id,
        "request_id": request.request_id,
        "batch_id": batch.batch_id,
        "monitor_id": monitor.monitor_id,
        "outcome_id": outcome.outcome_id,
    }  # fmt: skip


def test_no_input_makes_a_server_error(known: tuple[FastAPI, str, dict[str, Any]]) -> None:
    """Whatever is sent to any operation, the answer is one that the document describes."""
    app, token, things = known
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    tried = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path.startswith(("/v1/", "/oauth/", "/.well-known/", "/healthz")):
            tried += _try(operation, token, things)
    assert tried > 20


def _try(operation: Any, token: str, things: dict[str, Any]) -> int:
    modes = hypothesis.strategies.one_of(
        operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
        operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
    )

    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=not THOROUGH,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    )
    @hypothesis.given(case=modes, real=hypothesis.strategies.booleans())
    def send(case: Any, real: bool) -> None:
        if real:
            case.path_parameters = _real(case.path_parameters, things)
            case.body = _real(case.body, things)
        case.call_and_validate(headers={"Authorization": f"Bearer {token}"}, checks=CHECKS)

    send()
    return 1


def _real(given: Any, things: dict[str, Any]) -> Any:
    """With the names of things that exist in place of made-up ones."""
    if not isinstance(given, dict):
        return given
    return {name: things.get(name, value) for name, value in given.items()}
