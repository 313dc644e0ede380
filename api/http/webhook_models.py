"""What the webhook routes read and write, as OpenAPI shows it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from node.storage.webhooks import Delivery
from node.webhooks.endpoints import Shown
from protocols.standard_webhooks import public_key_text
from protocols.webhook_types import MessageType

_ENDPOINT = "whe_3d5f7h2j4k6m4n2p5q7r3s5t7u"
_MESSAGE = "msg_5g7j2m4p6r3t5v7x2z4b6d2f4h"
_URL = "https://platform.example/hooks/credence"


class EndpointBody(BaseModel):
    """A new endpoint."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"url": _URL, "types": ["monitor.score_drop"]}]},
    )

    url: str = Field(min_length=1, max_length=500, description="`https://`, a public host.")
    types: list[MessageType] = Field(
        default_factory=list, max_length=32, description="What it wants to hear of; empty: all."
    )


class EndpointChange(BaseModel):
    """What is to change; what is left out stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"state": "active"}]})

    url: str | None = Field(default=None, min_length=1, max_length=500)
    types: list[MessageType] | None = Field(default=None, max_length=32)
    state: Literal["active", "disabled"] | None = None


class ReplayBody(BaseModel):
    """What is to be delivered again: one message, or those made in a span of time."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"message_id": _MESSAGE}]}
    )

    message_id: str | None = Field(default=None, min_length=1, max_length=40)
    from_ms: int | None = Field(default=None, ge=0, le=2**53, description="UTC milliseconds.")
    until_ms: int | None = Field(default=None, ge=0, le=2**53, description="Not itself in it.")


class EndpointKey(BaseModel):
    """A key that messages to this endpoint are signed with."""

    public: str = Field(
        pattern="^whpk_", examples=["whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="]
    )
    until_ms: int | None = Field(description="Until when it signs; null: it is in force.")


class EndpointAnswer(BaseModel):
    """An endpoint."""

    endpoint_id: str = Field(examples=[_ENDPOINT])
    url: str = Field(examples=[_URL])
    types: list[str]
    state: Literal["active", "disabled"]
    disabled_for: str = Field(
        description="`failing`: nothing was taken for most of a day; `gone`: it answered 410; "
        "`by_client`; empty: it is not disabled."
    )
    failing_since_ms: int | None
    keys: list[EndpointKey] = Field(description="The one in force first; at most two.")
    created_at_ms: int
    changed_at_ms: int

    @classmethod
    def of(cls, shown: Shown) -> "EndpointAnswer":
        """An endpoint as it is shown."""
        one = shown.endpoint
        return cls(
            endpoint_id=one.endpoint_id,
            url=one.url,
            types=list(one.types),
            state="active" if one.state == "active" else "disabled",
            disabled_for=one.disabled_for,
            failing_since_ms=one.failing_since_ms,
            keys=[
                EndpointKey(public=public_key_text(key), until_ms=until_ms)
                for key, until_ms in shown.keys
            ],
            created_at_ms=one.created_at_ms,
            changed_at_ms=one.changed_at_ms,
        )


class EndpointList(BaseModel):
    """A client's endpoints."""

    data: list[EndpointAnswer]


class AttemptAnswer(BaseModel):
    """One attempt."""

    at_ms: int
    ms: int = Field(description="How long it took.")
    status: int | None = Field(description="Of HTTP; null: there was no answer.")
    failure: str = Field(
        description="`refused`, `redirected`, `timeout`, `unreachable`, `tls_failed`, "
        "`webhook_url_refused`, `webhook_host_unknown`; empty: it was taken."
    )


class DeliveryAnswer(BaseModel):
    """One message on its way to one endpoint."""

    delivery_id: str = Field(examples=["whd_2c4e6g3i5k7m2o4q6s3u5w7y2a"])
    message_id: str = Field(examples=[_MESSAGE])
    type: str
    state: Literal["pending", "delivered", "failed", "withheld"] = Field(
        description="`withheld`: it rests on a consent that is not in force any more."
    )
    attempts: list[AttemptAnswer]
    next_attempt_at_ms: int | None
    created_at_ms: int

    @classmethod
    def of(cls, one: Delivery) -> "DeliveryAnswer":
        """A delivery as it is shown."""
        return cls.model_validate(
            {
                "delivery_id": one.delivery_id,
                "message_id": one.message_id,
                "type": one.type,
                "state": one.state,
                "attempts": [
                    {"at_ms": a.at_ms, "ms": a.ms, "status": a.status, "failure": a.failure}
                    for a in one.attempts
                ],
                "next_attempt_at_ms": one.due_at_ms if one.state == "pending" else None,
                "created_at_ms": one.created_at_ms,
            }
        )


class DeliveryPage(BaseModel):
    """Deliveries, the newest first."""

    data: list[DeliveryAnswer]
    next_cursor: str | None = Field(description="Of the next page; null: this is the last.")


class Replayed(BaseModel):
    """What a replay began."""

    deliveries: int = Field(ge=0, le=1000)
