"""Campaigns: the list, one with its curves, and the overview that shows the newest."""

from statistics import median
from typing import Any

from fastapi import APIRouter, Request, Response

from api.http.operator.room import Room
from api.http.web.csv_files import csv_answer
from api.http.web.plots import Plot, Series, curves
from coordinator.console.views import CampaignPage

_ROUND_HEADER = ("round", "loss", "epsilon", "seconds", "participants", "at_ms")
_MOVING = ("running", "accepted")


def campaign_routes(room: Room) -> APIRouter:
    """`/operator/campaigns` and what is below it."""
    router = room.router()

    @router.get("/campaigns")
    def every(request: Request) -> Response:
        """All, the newest first."""
        stamp = room.begin(request)
        campaigns = room.console.campaigns()
        return room.page(request, "campaigns.html", stamp=stamp, campaigns=campaigns)

    @router.get("/campaigns/{campaign_id}")
    def one(request: Request, campaign_id: str) -> Response:
        """One with its curves."""
        stamp = room.begin(request)
        page = room.console.campaign(campaign_id)
        return room.page(
            request,
            "campaign.html",
            stamp=stamp,
            page=page,
            answers={answer.member_id: answer for answer in page.answers},
            left=time_left(page),
            **loss_plot(room, request, page),
            **_epsilon_plot(room, request, page),
        )

    @router.get("/campaigns/{campaign_id}/rounds.csv")
    def numbers(request: Request, campaign_id: str) -> Response:
        """The figures behind the curves."""
        room.sessions.require(request)
        rounds = room.console.campaign(campaign_id).rounds
        rows = [[getattr(one, name) for name in _ROUND_HEADER] for one in rounds]
        return csv_answer(f"{campaign_id}-rounds.csv", _ROUND_HEADER, rows)

    return router


def loss_plot(room: Room, request: Request, page: CampaignPage | None) -> dict[str, Any]:
    """The loss by round as a plot, and its message; no plot before the first round."""
    rounds = () if page is None else page.rounds
    points = [(float(one.round), one.loss) for one in rounds if one.loss is not None]
    if not points or page is None:
        return {"loss": None, "loss_message": ""}
    message = room.say(
        request,
        "loss.message",
        first=f"{points[0][1]:.3f}",
        last=f"{points[-1][1]:.3f}",
        round=int(points[-1][0]),
    )
    series = [Series(f"{points[-1][1]:.3f}", points)]
    plot = curves(series, x_range=(1.0, float(page.line.plan.rounds)))
    return {"loss": plot, "loss_message": message}


def time_left(page: CampaignPage) -> str | None:
    """About how long the rounds that are left take; None when nothing moves."""
    left = page.line.plan.rounds - len(page.rounds)
    if page.line.state not in _MOVING or not page.rounds or left <= 0:
        return None
    seconds = left * median(one.seconds for one in page.rounds[-20:])
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _epsilon_plot(room: Room, request: Request, page: CampaignPage) -> dict[str, Any]:
    points = [(float(one.round), one.epsilon) for one in page.rounds]
    if not points:
        return {"epsilon": None, "epsilon_message": ""}
    ceiling = page.line.plan.privacy.epsilon
    ceiling_text, last = f"{ceiling:.2f}", f"{points[-1][1]:.2f}"
    name = room.say(request, "ceiling.line", epsilon=ceiling_text)
    plot: Plot = curves(
        [Series(last, points)],
        reference=(ceiling, name),
        from_zero=True,
        x_range=(1.0, float(page.line.plan.rounds)),
    )
    message = room.say(request, "epsilon.message", last=last, ceiling=ceiling_text)
    return {"epsilon": plot, "epsilon_message": message}
