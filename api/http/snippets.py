"""How to make one call, as curl and with the SDK, with the arguments of the document's examples."""

import inspect
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from api.sdk.operations import OPERATIONS

VERIFYING = """\
from api.sdk.webhooks import verify_webhook

event = verify_webhook(headers, body, endpoint.public_keys)  # before anything parses the body
"""
_INDENT = " \\\n     "


def curl(base_url: str, path: str, method: str, operation: Mapping[str, Any]) -> str:
    """The call as curl makes it; `$TOKEN` and `$PROOF` are the client's."""
    parameters = operation.get("parameters", ())
    for one in parameters:
        if one["in"] == "path":
            place = quote(str(one.get("example", one["name"])), safe="")
            path = path.replace("{" + one["name"] + "}", place)
    query = [(one["name"], _text(one.get("example", ""))) for one in parameters
             if one["in"] == "query" and one.get("required")]  # fmt: skip
    address = base_url + path + (f"?{urlencode(query)}" if query else "")
    lines = [f"curl -X {method.upper()} {_quoted(address)}"]
    if operation.get("security"):
        lines += ['-H "Authorization: DPoP $TOKEN"', '-H "DPoP: $PROOF"']
    lines += [
        "-H " + _quoted(f"{_title(one['name'])}: {_text(one.get('example'))}")
        for one in parameters
        if one["in"] == "header" and one["name"].lower() != "dpop"
    ]
    for media_type, medium in operation.get("requestBody", {}).get("content", {}).items():
        lines.append("-H " + _quoted(f"Content-Type: {media_type}"))
        lines.append("--data-binary " + _quoted(_body(media_type, medium)))
        break
    return _INDENT.join(lines)


def python(base_url: str, operation: Mapping[str, Any]) -> str:
    """The call with the SDK; empty: the SDK has no call of its own for it."""
    made = call_text(operation)
    if not made:
        return ""
    return (
        "from api.sdk import Client, ClientKey, Identity, calls\n\n"
        f'who = Identity("cli_...", ClientKey.read("client.jwk"))\n'
        f'with Client("{base_url}", who) as node:\n'
        f"    result = node.make({made})\n"
    )


def call_text(operation: Mapping[str, Any]) -> str:
    """The call as an expression, such as `calls.get_score("scr_...")`; empty: there is none."""
    function = OPERATIONS.get(operation.get("operationId", ""))
    if function is None:
        return ""
    known = _known(operation)
    needed = [one for one in inspect.signature(function).parameters.values()
              if one.default is one.empty and one.kind is not one.VAR_KEYWORD]  # fmt: skip
    given = []
    for one in needed:
        value = json_as_python(known.get(one.name))
        given.append(f"{one.name}={value}" if one.kind is one.KEYWORD_ONLY else value)
    return f"calls.{function.__name__}({', '.join(given)})"


def json_as_python(value: Any) -> str:
    """A JSON value as Python writes it, strings with double quotes."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"[{', '.join(map(json_as_python, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(json_as_python, value))})"
    if isinstance(value, dict):
        pairs = (f"{json_as_python(name)}: {json_as_python(one)}" for name, one in value.items())
        return f"{{{', '.join(pairs)}}}"
    return repr(value)


def _known(operation: Mapping[str, Any]) -> dict[str, Any]:
    """Values by the names that functions of the SDK give them."""
    known: dict[str, Any] = {}
    for media_type, medium in operation.get("requestBody", {}).get("content", {}).items():
        example = _example(medium)
        if isinstance(example, str) and media_type.endswith("jsonl"):
            known["lines"] = [tuple(json.loads(line).values()) for line in example.splitlines()]
        if isinstance(example, dict):
            known.update(example)
    for one in operation.get("parameters", ()):
        known[one["name"]] = one.get("example")
    return known | {"old": known.get("from"), "new": known.get("to")}


def _example(medium: Mapping[str, Any]) -> Any:
    if "example" in medium:
        return medium["example"]
    first: Any = next(iter(medium.get("examples", {}).values()), {})
    return first.get("value") if isinstance(first, dict) else None


def _body(media_type: str, medium: Mapping[str, Any]) -> str:
    value = _example(medium)
    if isinstance(value, dict) and media_type == "application/x-www-form-urlencoded":
        return urlencode({name: one for name, one in value.items() if one is not None})
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _title(name: str) -> str:
    return "-".join(word.capitalize() for word in name.split("-"))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
