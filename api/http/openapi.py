"""The OpenAPI 3.1 document of a node: what the framework derives from the routes, made whole.

Every operation under `/v1` and `/oauth` says how it may be refused, each refusal as a problem
document; every parameter, body and answer has an example. Routes that say these things themselves
are left as they are.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.http.examples import example_of
from api.http.problems import MEDIA_TYPE, Problem

Document = dict[str, Any]
Operation = dict[str, Any]
METHODS = ("get", "put", "post", "delete", "patch")
TAGS = {
    "access": "Tokens for clients: OAuth 2.0 client credentials with signed assertions, bound to "
    "the client's key (RFC 7523, RFC 9449).",
    "scores": "One subject, one score: calibrated, with reasons, coverage and proof.",
    "score requests": "Scores that are made while you do something else.",
    "batches": "Many scores at once, JSON lines in and out.",
    "monitoring": "Subscriptions: told when something about a subject changes.",
    "outcomes": "What became of a credit: tomorrow's labels.",
    "webhooks": "Where a node tells you what happened.",
    "messages": "What a node sends to your endpoints; the document's `webhooks`.",
    "log": "Checkpoints, proofs and public leaves of the node's log.",
    "health": "Whether the node lives and can score.",
}
_REFUSALS: Mapping[str, tuple[str, str, str, str]] = {
    "400": ("The request is not what it must be.", "invalid_input",
            "a language is one of en, zh-Hans, zh-Hant", "Correct the request and send it again."),
    "401": ("No token, or not one of a valid client.", "token_refused",
            "the token is not one of a valid client", "Obtain a new token."),
    "403": ("The consent does not allow it, or the token lacks the scope.", "consent_withdrawn",
            "the subject withdrew this consent", "Ask the subject for a new consent."),
    "404": ("There is no such thing, or not for this client.", "not_found",
            "nothing by that name here", "Check the identifier."),
    "408": ("The body did not come in time.", "request_timeout",
            "the body did not come within 10 s", "Send the whole body at once."),
    "409": ("The state of things does not allow it.", "state_conflict",
            "this is not in a state that allows that", "Read the current state, then decide."),
    "413": ("The body is larger than this call reads.", "body_too_large",
            "the body is over 65536 bytes", "Send less."),
    "415": ("The body is of another content type.", "content_type_unknown",
            "bodies of this content type are not read here",
            "Send JSON with `Content-Type: application/json`."),
    "422": ("A field or parameter is wrong.", "invalid_input",
            "body.subject: String should have at most 40 characters",
            "Correct the request and send it again."),
    "429": ("Too many calls; `Retry-After` says when to go on.", "rate_limited",
            "this client calls too often", "Wait as long as `Retry-After` says."),
    "503": ("The node cannot answer now; try again.", "database_unavailable",
            "the database does not answer", "Try again shortly."),
}  # fmt: skip
_RETRYABLE = {"408", "429", "503"}


def install(app: FastAPI) -> None:
    """Let `app.openapi()` give the whole document; it is made once, when it is first asked for."""
    app.openapi = partial(_document, app)  # type: ignore[method-assign]


def operations(document: Document) -> Iterator[tuple[str, str, Operation]]:
    """(path, method, operation) of everything that may be called, in the document's order."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def messages(document: Document) -> Iterator[tuple[str, str, Operation]]:
    """(type, method, operation) of everything that is sent to clients."""
    for kind, item in document.get("webhooks", {}).items():
        for method in METHODS:
            if method in item:
                yield kind, method, item[method]


def _document(app: FastAPI) -> Document:
    if app.openapi_schema is None:
        from api.http.webhook_messages import add_webhooks  # of use to readers alone

        made = get_openapi(
            title=app.title,
            version=app.version,
            openapi_version="3.1.0",
            description=app.description,
            routes=app.routes,
        )
        add_webhooks(made)
        app.openapi_schema = complete(made)
    return app.openapi_schema


def complete(document: Document) -> Document:
    """Add what is missing, in place; see the module."""
    parts = document.setdefault("components", {}).setdefault("schemas", {})
    parts.setdefault("Problem", Problem.model_json_schema())
    used = set()
    for path, _, operation in operations(document):
        used.update(operation.get("tags", ()))
        for parameter in operation.get("parameters", ()):
            _with_example(parameter, parts, parameter["name"])
        for medium in operation.get("requestBody", {}).get("content", {}).values():
            _with_example(medium, parts)
        ours = path.startswith(("/v1", "/oauth"))
        if ours:
            _refusals(path, operation)
        for status, response in operation.get("responses", {}).items():
            if response.get("description") == "Successful Response":  # the framework's word
                response["description"] = "What was asked for."
            _response(response, parts, status if ours and status in _REFUSALS else None)
    for _, _, message in messages(document):
        used.update(message["tags"])
    for unused in ("HTTPValidationError", "ValidationError"):
        parts.pop(unused, None)
    known = [tag for tag in TAGS if tag in used] + sorted(used - set(TAGS))
    document["tags"] = [{"name": tag, "description": TAGS.get(tag, "")} for tag in known]
    return document


def _refusals(path: str, operation: Operation) -> None:
    """The refusals that every operation of its kind shares."""
    responses = operation["responses"]
    framework = responses.get("422", {}).get("content", {}).get("application/json", {})
    if "HTTPValidationError" in framework.get("schema", {}).get("$ref", ""):
        del responses["422"]
    shared = ["429", "503"]
    if operation.get("security"):
        shared += ["401", "403"]
    if operation.get("parameters") or operation.get("requestBody"):
        shared += ["422"] if path.startswith("/v1") else ["400"]
    if operation.get("requestBody"):
        shared += ["413", "415"]
    for status in shared:
        responses.setdefault(status, {"description": _REFUSALS[status][0]})
    operation["responses"] = dict(sorted(responses.items()))


def _response(response: dict[str, Any], parts: Document, refused: str | None) -> None:
    """Complete one answer; `refused`: the status of a problem document, None: it is none."""
    content = response.setdefault("content", {})
    if refused and not (set(content) - {"application/json", MEDIA_TYPE}):
        named = content.get(MEDIA_TYPE, {})
        schema = named.get("schema", {"$ref": "#/components/schemas/Problem"})
        plain = content.get("application/json", {}).get("schema", schema)
        if plain == schema:  # a problem, which the framework also lists as plain JSON
            content.pop("application/json", None)
        if not content or MEDIA_TYPE in content:
            content[MEDIA_TYPE] = {"schema": schema, **named}
            if not {"example", "examples"} & set(content[MEDIA_TYPE]):
                content[MEDIA_TYPE]["example"] = _problem(refused)
    for medium in content.values():
        _with_example(medium, parts)
    if not content:
        del response["content"]


def _problem(status: str) -> dict[str, Any]:
    _, code, detail, next_step = _REFUSALS[status]
    return {
        "type": f"urn:credence:problem:{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": int(status),
        "detail": detail,
        "code": code,
        "request_id": "req_0123456789abcdef",
        "retryable": status in _RETRYABLE,
        "next_step": next_step,
    }


def _with_example(medium: dict[str, Any], parts: Document, name: str = "") -> None:
    if {"example", "examples"} & set(medium):
        return
    schema = medium.get("schema")
    if schema:
        medium["example"] = example_of(schema, parts, name)
