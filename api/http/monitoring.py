"""`/v1/monitors`: watch over people who agreed to it."""

from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from api.http.access import Credentials, caller
from api.http.paging import Cursor, Limit, before, next_cursor
from api.http.refusals import refused_with_body
from node.access.clients import Clients
from node.monitoring.rules import DEFAULTS
from node.monitoring.service import Monitors
from node.storage.monitors import EventRow, MonitorRow

SCOPE = "monitor:write"
_SUBJECT = "sub_7x3k2m4p6q8r9s1t5v7w2x4y6z"
_CONSENT = "con_2b4d6f8h1j3l5n7p9r2t4v6x8z"
_MONITOR = "mon_4f6h8j2l4n6p8r2t4v6x8z2b4d"
MonitorId = Annotated[str, Path(max_length=40, examples=[_MONITOR])]
EventName = Literal["score_drop", "new_debt", "delinquency", "multi_lender_growth"]
_REFUSALS = {
    400: "The request is not what it must be.",
    401: "No token, or not one of a valid client.",
    403: "The consent does not grant `monitor`, or not any more; or the token lacks the scope.",
    404: "No such subject, consent or monitor here.",
    409: "There is such a monitor already, or the client has enough of them.",
    422: "A field of the body is wrong.",
    503: "The database refuses, or the consent cannot be proven now; try again.",
}
_refused = partial(refused_with_body, _REFUSALS)


class Thresholds(BaseModel):
    """From when on something is told."""

    model_config = ConfigDict(extra="forbid")

    score_drop_points: int = Field(default=int(DEFAULTS["score_drop_points"]), ge=1, le=1000)
    new_debt_amount: float = Field(
        default=DEFAULTS["new_debt_amount"],
        gt=0,
        lt=1e12,
        description="Rise of a balance or a credit limit, in the catalogue's currency units.",
    )
    new_lenders: int = Field(default=int(DEFAULTS["new_lenders"]), ge=1, le=100)


class MonitorBody(BaseModel):
    """Whom to watch over, under which consent, for what."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"subject": _SUBJECT, "consent_id": _CONSENT, "events": ["score_drop"]}]
        },
    )

    subject: str = Field(min_length=1, max_length=40)
    consent_id: str = Field(
        min_length=1, max_length=40, description="A consent that grants the purpose `monitor`."
    )
    events: list[EventName] = Field(default_factory=list, max_length=4, description="Empty: all.")
    thresholds: Thresholds = Field(default_factory=Thresholds)


class MonitorAnswer(BaseModel):
    """A monitor."""

    monitor_id: str = Field(examples=[_MONITOR])
    subject: str = Field(examples=[_SUBJECT])
    consent_id: str = Field(examples=[_CONSENT])
    events: list[str]
    thresholds: Thresholds
    state: Literal["active", "ended"]
    ended_for: str = Field(
        description="`by_client`, or the code of what ended it, such as `consent_withdrawn`; "
        "empty: it is active."
    )
    looked_at_ms: int | None = Field(description="When it last saw something.")
    hindered_by: str = Field(description="Code of what stood against the last look; else empty.")
    created_at_ms: int
    changed_at_ms: int

    @classmethod
    def of(cls, row: MonitorRow) -> "MonitorAnswer":
        """A monitor as it is shown."""
        return cls(
            monitor_id=row.monitor_id,
            subject=row.subject_ref,
            consent_id=row.consent_id,
            events=list(row.events),
            thresholds=Thresholds.model_validate(row.thresholds),
            state="active" if row.state == "active" else "ended",
            ended_for=row.ended_for,
            looked_at_ms=row.looked_at_ms,
            hindered_by=row.hindered_by,
            created_at_ms=row.created_at_ms,
            changed_at_ms=row.changed_at_ms,
        )


class EventAnswer(BaseModel):
    """What was noticed."""

    event_id: str = Field(examples=["mev_6h8j2l4n6p8r2t4v6x8z2b4d6f"])
    event: str = Field(examples=["score_drop"])
    detail: dict[str, Any] = Field(examples=[{"from": 712, "to": 655, "model": "2026-11-01"}])
    at_ms: int
    at: str = Field(description="The same, RFC 3339.")
    log_seq: int = Field(description="Its entry in the node's audit log.")

    @classmethod
    def of(cls, row: EventRow) -> "EventAnswer":
        """An event as it is shown."""
        at = datetime.fromtimestamp(row.at_ms / 1000, UTC).isoformat(timespec="milliseconds")
        return cls(
            event_id=row.event_id,
            event=row.type,
            detail=dict(row.detail),
            at_ms=row.at_ms,
            at=at,
            log_seq=row.leaf_seq,
        )


class EventPage(BaseModel):
    """Events, the newest first."""

    data: list[EventAnswer]
    next_cursor: str | None


def monitor_routes(monitors: Monitors, clients: Clients) -> APIRouter:
    """The routes, over a node's monitors and its clients."""
    router = APIRouter(prefix="/v1/monitors", tags=["monitoring"])

    @router.post(
        "",
        operation_id="createMonitor",
        summary="Watch over a subject",
        status_code=201,
        responses=_refused(400, 401, 403, 404, 409, 422, 503),
    )
    def create(body: MonitorBody, credentials: Credentials) -> MonitorAnswer:
        """Watch from now on; what changes is told by webhook, `monitor.<event>`.

        The consent is checked now and before every look. When it ends, so does the monitor, and
        `monitor.ended` says so.
        """
        client = caller(clients, credentials, SCOPE)
        begun = monitors.begin(
            client.client_id,
            body.subject,
            body.consent_id,
            body.events,
            body.thresholds.model_dump(),
        )
        return MonitorAnswer.of(begun)

    @router.get(
        "/{monitor_id}",
        operation_id="getMonitor",
        summary="Read a monitor",
        responses=_refused(401, 403, 404, 422, 503),
    )
    def read(monitor_id: MonitorId, credentials: Credentials) -> MonitorAnswer:
        """Whether it is active, why not, and when it last saw something."""
        client = caller(clients, credentials, SCOPE)
        return MonitorAnswer.of(monitors.get(client.client_id, monitor_id))

    @router.delete(
        "/{monitor_id}",
        operation_id="endMonitor",
        summary="Watch no longer",
        status_code=204,
        responses=_refused(401, 403, 404, 422, 503),
    )
    def end(monitor_id: MonitorId, credentials: Credentials) -> Response:
        """End it; what it noticed can still be read while the consent allows it."""
        client = caller(clients, credentials, SCOPE)
        monitors.stop(client.client_id, monitor_id)
        return Response(status_code=204)

    @router.get(
        "/{monitor_id}/events",
        operation_id="listMonitorEvents",
        summary="Read what was noticed",
        responses=_refused(400, 401, 403, 404, 422, 503),
    )
    def events(
        monitor_id: MonitorId, credentials: Credentials, cursor: Cursor = None, limit: Limit = 50
    ) -> EventPage:
        """What moved, from what to what, the newest first; while the consent allows it."""
        client = caller(clients, credentials, SCOPE)
        found = monitors.events(client.client_id, monitor_id, before=before(cursor), limit=limit)
        return EventPage(
            data=[EventAnswer.of(one) for one in found], next_cursor=next_cursor(found, limit)
        )

    return router
