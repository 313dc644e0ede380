"""The start page of the console: is the network healthy, is training worth it?"""

from fastapi import APIRouter, Request, Response

from api.http.operator.campaigns import loss_plot
from api.http.operator.room import Room


def overview_routes(room: Room) -> APIRouter:
    """`/operator/`."""
    router = room.router()

    @router.get("/")
    def overview(request: Request) -> Response:
        """Everything at a glance."""
        stamp = room.begin(request)
        console = room.console
        members, campaigns, models = console.members(), console.campaigns(), console.models()
        page = console.campaign(campaigns[0].campaign_id) if campaigns else None
        return room.page(
            request,
            "overview.html",
            stamp=stamp,
            members=members,
            online=sum(line.online for line in members),
            alerts=console.alerts(),
            page=page,
            champion=next((one for one in models if one.standing == "champion"), None),
            privacy=console.privacy(),
            traffic=console.traffic(),
            **loss_plot(room, request, page),
        )

    return router
