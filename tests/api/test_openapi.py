"""The OpenAPI document says everything of every route, and its examples are true."""

import json
import re
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from api.http.app import create_app
from api.http.openapi import Document, operations
from api.http.snippets import call_text
from api.sdk import calls
from api.sdk.core import path_of
from tests.node.scoring_world import World

OURS = ("/v1/", "/oauth/")
PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def document(world: World) -> Document:
    return create_app(world.node).openapi()


def ours(document: Document) -> list[tuple[str, str, dict[str, Any]]]:
    return [one for one in operations(document) if one[0].startswith(OURS)]


def faults(document: Document, schema: Any, value: Any) -> list[str]:
    """What of `value` the schema does not allow."""
    rooted = {**schema, "components": document["components"]}  # where its references lead
    return [one.message for one in Draft202012Validator(rooted).iter_errors(value)]


def test_every_operation_has_a_name_a_summary_a_tag_and_a_description(document: Document) -> None:
    names = [one["operationId"] for _, _, one in operations(document)]
    assert len(set(names)) == len(names)
    assert document["openapi"].startswith("3.1")
    for path, method, one in operations(document):
        assert re.fullmatch(r"[a-z][A-Za-z]+", one["operationId"]), (path, method)
        assert one["summary"], (path, method)
        assert one["description"], (path, method)
        assert len(one["tags"]) == 1, (path, method)
    assert all(tag["description"] for tag in document["tags"])


def test_every_operation_says_how_it_may_be_refused(document: Document) -> None:
    for path, method, one in ours(document):
        wanted = {"429", "503"} | ({"401", "403"} if one.get("security") else set())
        if "requestBody" in one:
            wanted |= {"413", "415"}
        assert wanted <= set(one["responses"]), (path, method)
        for status, response in one["responses"].items():
            if status >= "4" and not path.startswith("/oauth/"):
                assert list(response["content"]) == [PROBLEM], (path, method, status)


def test_what_needs_a_token_says_which(document: Document) -> None:
    schemes = document["components"]["securitySchemes"]
    for path, method, one in ours(document):
        assert path.startswith("/oauth/") or one.get("security"), (path, method)
        assert all(name in schemes for needed in one.get("security", ()) for name in needed)
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_example_is_one(document: Document) -> None:
    """Parameters, bodies and answers are shown by values that their own schema allows."""
    wrong = []
    for path, method, one in operations(document):
        holders = [(f"parameter {p['name']}", p) for p in one.get("parameters", ())]
        holders += [("body", m) for m in one.get("requestBody", {}).get("content", {}).values()]
        holders += [(status, medium) for status, response in one["responses"].items()
                    for medium in response.get("content", {}).values()]  # fmt: skip
        for place, holder in holders:
            values = [holder["example"]] if "example" in holder else [
                given["value"] for given in holder.get("examples", {}).values()]  # fmt: skip
            if not values and holder.get("schema"):
                wrong.append(f"{method} {path} {place}: no example")
            wrong += [f"{method} {path} {place}: {fault}" for value in values
                      for fault in faults(document, holder.get("schema", {}), value)]  # fmt: skip
    assert not wrong


def test_the_sdk_makes_the_operations_that_the_document_describes(document: Document) -> None:
    """Every snippet of the reference is a call of this method and path; none is left without."""
    without = []
    for path, method, one in ours(document):
        text = call_text(one)
        if not text:
            without.append(one["operationId"])
            continue
        call = eval(text, {"calls": calls})
        assert (call.operation, call.method, call.template) == (
            one["operationId"], method.upper(), re.sub(r":path}", "}", path)
        )  # fmt: skip
        assert path_of(call).startswith(path.split("{")[0])
        if call.body is not None and call.content_type == "application/json":
            schema = one["requestBody"]["content"]["application/json"]["schema"]
            assert not faults(document, schema, json.loads(call.body)), text
    # Tokens are obtained by the SDK itself; tiles are for monitors of logs.
    assert set(without) <= {"createToken", "getTokenKeys", "getLogTile"}
