"""schemathesis over the whole OpenAPI document: no input makes a server error.

What it generates, fits the document or breaks it; every answer has to be one that the document
describes. In-process, over ASGI. A few inputs an operation by default; `make thorough` sends many.
"""

import os
import warnings
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

from api.http.app import create_app
from node.access.presented import SCOPES
from tests.api.test_scores import body_for
from tests.network import now_ms
from tests.node.scoring_world import World


@schemathesis.serializer("application/jsonl")
def _lines(_context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
EXAMPLES = 100 if THOROUGH else 4
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)


@pytest.fixture(scope="module")
def known(world: World) -> dict[str, Any]:
    """Things that exist, so that not every call ends at a name that nobody has."""
    body = body_for(world)
    return {"subject": body["subject"], "consent_id": body["consent_id"]}


def test_no_input_makes_a_server_error(
    world: World, known: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is sent to any operation, the answer is one that the document describes."""
    app = create_app(world.node)
    # Names are looked up nowhere: every host has this address.
    guard = world.node.webhooks.endpoints._guard
    monkeypatch.setattr(guard, "_lookup", lambda _host, _port: ["93.184.215.14"])
    _, token = world.clients.add("schemathesis", now_ms(), SCOPES)
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    tried = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path.startswith(("/v1/", "/oauth/", "/.well-known/", "/healthz")):
            tried += _try(operation, token, known)
    assert tried > 20


def _try(operation: Any, token: str, known: dict[str, Any]) -> int:
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
        if real and isinstance(case.body, dict):
            case.body = {**case.body, **{name: value for name, value in known.items()
                                         if name in case.body}}  # fmt: skip
        case.call_and_validate(headers={"Authorization": f"Bearer {token}"}, checks=CHECKS)

    send()
    return 1
