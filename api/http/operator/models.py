"""Model versions: what part each plays and where, what its card says, how quality has moved."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from api.http.operator.card import card_drawings
from api.http.operator.room import Room
from api.http.web.csv_files import csv_answer
from api.http.web.plots import Series, curves
from coordinator.console.views import ModelLine

_FIRST = ("auc", "ks", "loss")


def model_routes(room: Room) -> APIRouter:
    """`/operator/models` and what is below it."""
    router = room.router()

    @router.get("/models")
    def every(request: Request) -> Response:
        """All versions."""
        stamp = room.begin(request)
        models = room.console.models()
        return room.page(
            request,
            "models.html",
            stamp=stamp,
            models=models,
            shown=[name for name in _FIRST if any(name in one.figures for one in models)],
            **_quality(room, request, models),
        )

    @router.get("/models/{version}")
    def one(request: Request, version: str) -> Response:
        """One with its card."""
        stamp = room.begin(request)
        model = room.console.model(version)
        drawings = card_drawings(room, request, model.sheet)
        return room.page(request, "model.html", stamp=stamp, model=model, **drawings)

    @router.get("/models.csv")
    def numbers(request: Request) -> Response:
        """The versions' figures as a table to download."""
        room.sessions.require(request)
        models = room.console.models()
        names = sorted({name for one in models for name in one.figures})
        about = ("version", "standing", "answered_by", "published_at_ms", "epsilon", "delta")
        rows = [
            [
                one.version,
                one.standing,
                " ".join(one.answered_by),
                one.created_at_ms,
                one.epsilon,
                one.delta,
                *(one.figures.get(name) for name in names),
            ]
            for one in models
        ]
        return csv_answer("models.csv", (*about, *names), rows)

    return router


def _quality(room: Room, request: Request, models: Sequence[ModelLine]) -> dict[str, Any]:
    """AUC and KS over the versions that have them; no plot with fewer than two."""
    series, words = [], []
    for name, tone in (("auc", "a"), ("ks", "b")):
        points = [
            (float(place), one.figures[name])
            for place, one in enumerate(reversed(models), 1)
            if name in one.figures
        ]
        if len(points) >= 2:
            label = f"{room.coded(request, 'figure', name)} {points[-1][1]:.3f}"
            series.append(Series(label, points, tone))
            words.append(label)
    if not series:
        return {"quality": None, "quality_message": ""}
    message = room.say(request, "quality.message", figures=", ".join(words))
    return {"quality": curves(series), "quality_message": message}
