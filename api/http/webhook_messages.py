"""What a node sends to its clients' endpoints, as OpenAPI 3.1 shows it (`webhooks`).

A table says what each type of message tells; the document is made of it. Every example is signed by
the key that the RFCs use for theirs (RFC 8037, appendix A), the one that the examples of endpoints
show: it verifies.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel, Field

from api.http.examples import AT_MS, example_of
from node.webhooks.outbox import iso
from protocols.canonical import b64url_decode, canonical_json
from protocols.keys import SigningKey
from protocols.standard_webhooks import (
    ID_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    signed_headers,
)
from protocols.webhook_types import MessageType

TAG: Final = "messages"
_KEY: Final = SigningKey(b64url_decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"))
_MESSAGE: Final = "msg_5g7j2m4p6r3t5v7x2z4b6d2f4h"
_MONITOR = Field(examples=["mon_4e6g2i4k6m2o4q6s3u5w7y2a4c"])
_SUBJECT = Field(examples=["sub_7x3k2m4p6q7r2s5t5v7w2x4y6z"])
_CONSENT = Field(examples=["con_2b4d6f2h7j3l5n7p2r2t4v6x4z"])


class ScoreRequestEnded(BaseModel):
    """A score request that ended."""

    request_id: str = Field(examples=["srq_5c7e2g2i4k6m4o7q3s5u7w2y2a"])
    state: Literal["completed", "expired"]
    score_id: str | None = Field(
        description="What to read; null: there is none.",
        examples=["scr_019a3f5b2c4e8d17f0a6b3c5e2d49f81"],
    )
    code: str | None = Field(description="Why there is none.", examples=[None])


class BatchEnded(BaseModel):
    """A batch that ended."""

    batch_id: str = Field(examples=["bat_5c7e2g2i4k6m4o7q3s5u7w2y2a"])
    state: Literal["completed", "expired"]
    total: int = Field(description="Lines.", examples=[500])
    scored: int = Field(description="Lines with an answer.", examples=[498])
    refused: int = Field(description="Lines without one.", examples=[2])


class MonitorNoticed(BaseModel):
    """What a monitor noticed: ids alone. The figures are read from its events."""

    monitor_id: str = _MONITOR
    event_id: str = Field(examples=["mev_2c4e6g3i5k7m2o4q6s3u5w7y2a"])
    subject: str = _SUBJECT
    consent_id: str = _CONSENT


class MonitorStopped(BaseModel):
    """A monitor that ended with its consent."""

    monitor_id: str = _MONITOR
    subject: str = _SUBJECT
    consent_id: str = _CONSENT
    cause: str = Field(description="Stable code of what ended it.", examples=["consent_withdrawn"])


class EndpointTested(BaseModel):
    """A test message."""

    endpoint_id: str = Field(examples=["whe_3d5f7h2j4k6m4n2p5q7r3s5t7u"])


@dataclass(frozen=True, slots=True)
class Described:
    """One type of message.

    Attributes:
        name: of its schema, and of its operation after `on`.
        summary: when it is sent.
        data: what it says.
    """

    name: str
    summary: str
    data: type[BaseModel]


MESSAGES: Final[Mapping[MessageType, Described]] = {
    "score_request.completed": Described(
        "ScoreRequestCompleted", "A score request ended", ScoreRequestEnded
    ),
    "batch.completed": Described("BatchCompleted", "A batch ended", BatchEnded),
    "monitor.score_drop": Described("MonitorScoreDrop", "Points fell", MonitorNoticed),
    "monitor.new_debt": Described("MonitorNewDebt", "A debt figure rose", MonitorNoticed),
    "monitor.delinquency": Described(
        "MonitorDelinquency", "A figure of late or unpaid debts rose", MonitorNoticed
    ),
    "monitor.multi_lender_growth": Described(
        "MonitorMultiLenderGrowth", "More lenders than before", MonitorNoticed
    ),
    "monitor.ended": Described(
        "MonitorEnded", "A consent ended, and the monitor with it", MonitorStopped
    ),
    "endpoint.test": Described("EndpointTest", "You asked for a test message", EndpointTested),
}

_DESCRIPTION = """\
Sent to every endpoint that takes this type, signed as Standard Webhooks says (`v1a`, Ed25519) over
`<webhook-id>.<webhook-timestamp>.<body>`.

Believe it when a signature is of a key of the endpoint and the timestamp is within five minutes of
your clock. The same `webhook-id` is the same message: it may come more than once.
"""
_RESPONSES: Final = {
    "2XX": {"description": "It is taken. Answer within 10 seconds, and do the work after."},
    "410": {"description": "Nothing more is wanted: the endpoint is disabled."},
    "default": {
        "description": "It is not taken, and sent again: ten times in about a day, each later than "
        "the one before. `Retry-After` is heeded up to an hour; a redirect is not followed."
    },
}
_HEADERS: Final = {
    ID_HEADER: ("Id of the message, the same in every attempt.", "^[A-Za-z0-9_-]{1,64}$"),
    TIMESTAMP_HEADER: ("When this attempt is made, UTC seconds.", "^[0-9]{1,12}$"),
    SIGNATURE_HEADER: (
        "`v1a,` and base64; several, parted by blanks, while a key is being replaced.",
        "^v1a,[A-Za-z0-9+/=]{88}( v1a,[A-Za-z0-9+/=]{88})*$",
    ),
}


def add_webhooks(document: dict[str, Any]) -> None:
    """Write `webhooks` and their schemas into an OpenAPI document, in place."""
    parts = document.setdefault("components", {}).setdefault("schemas", {})
    for described in MESSAGES.values():
        parts.setdefault(described.data.__name__, described.data.model_json_schema())
    webhooks = document["webhooks"] = {}
    for kind, described in MESSAGES.items():
        schema = _schema(kind, described)
        parts[f"{described.name}Message"] = schema
        example = example_of(schema, parts)
        webhooks[kind] = {"post": _operation(described, example)}


def _schema(kind: str, described: Described) -> dict[str, Any]:
    return {
        "title": f"{described.name}Message",
        "description": described.summary,
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {"const": kind},
            "timestamp": {
                "type": "string",
                "format": "date-time",
                "description": "When it happened.",
                "examples": [iso(AT_MS)],
            },
            "data": {"$ref": f"#/components/schemas/{described.data.__name__}"},
        },
    }


def _operation(described: Described, example: Mapping[str, Any]) -> dict[str, Any]:
    headers = signed_headers([_KEY], _MESSAGE, AT_MS // 1000, canonical_json(example))
    return {
        "operationId": f"on{described.name}",
        "summary": described.summary,
        "description": _DESCRIPTION,
        "tags": [TAG],
        "security": [],
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": True,
                "description": description,
                "schema": {"type": "string", "pattern": pattern},
                "example": headers[name],
            }
            for name, (description, pattern) in _HEADERS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": f"#/components/schemas/{described.name}Message"},
                    "example": example,
                }
            },
        },
        "responses": _RESPONSES,
    }
