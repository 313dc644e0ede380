"""Whether the model in force still fits: drift over time, PD against outcome, alerts, schedules."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from api.http.operator.room import Room
from api.http.web.csv_files import csv_answer
from api.http.web.plots import Series, curves
from coordinator.console.watching import WatchLine
from models.drift import PSI_ALERT


def watch_routes(room: Room) -> APIRouter:
    """`/operator/watch` and its figures."""
    router = room.router()

    @router.get("/watch")
    def watch(request: Request) -> Response:
        """Everything about watching."""
        stamp = room.begin(request)
        found = room.console.watch()
        return room.page(
            request, "watch.html", stamp=stamp, watch=found, **_drawn(room, request, found.lines)
        )

    @router.get("/watch.csv")
    def numbers(request: Request) -> Response:
        """The watches' figures as a table to download."""
        room.sessions.require(request)
        header = ("campaign_id", "model", "at_ms", "people", "epsilon",
                  "psi", "psi_low", "psi_high", "expected_over_observed", "ratio_low",
                  "ratio_high", "auc", "auc_low", "auc_high")  # fmt: skip
        rows = [
            [one.campaign_id, one.bundle_version, one.at_ms, one.people, one.epsilon,
             *(getattr(one.psi, end, None) for end in ("value", "low", "high")),
             one.ratio.value, one.ratio.low, one.ratio.high,
             one.auc.value, one.auc.low, one.auc.high]
            for one in room.console.watch().lines
        ]  # fmt: skip
        return csv_answer("watch.csv", header, rows)

    return router


def _drawn(room: Room, request: Request, lines: Sequence[WatchLine]) -> dict[str, Any]:
    """PSI and expected over observed, watch by watch; no plot with fewer than two."""
    told = [(place, one) for place, one in enumerate(reversed(lines), 1)]
    psi = [(float(place), one.psi.value) for place, one in told if one.psi is not None]
    ratio = [(float(place), one.ratio.value) for place, one in told]
    drawn: dict[str, Any] = {"psi_plot": None, "ratio_plot": None}
    if len(psi) >= 2:
        label = f"PSI {psi[-1][1]:.3f}"
        drawn["psi_plot"] = curves(
            [Series(label, psi)],
            reference=(PSI_ALERT, room.pages.say(request, "watch.act")),
            from_zero=True,
        )
        drawn["psi_message"] = room.pages.say(
            request, "watch.psi.message", value=f"{psi[-1][1]:.3f}"
        )
    if len(ratio) >= 2:
        value = f"{ratio[-1][1]:.2f}"
        drawn["ratio_plot"] = curves(
            [Series(value, ratio, "b")], reference=(1.0, room.pages.say(request, "watch.even"))
        )
        drawn["ratio_message"] = room.pages.say(request, "watch.ratio.message", value=value)
    return drawn
