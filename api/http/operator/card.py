"""A model card as the console draws it."""

from typing import Any

from fastapi import Request

from api.http.operator.room import Room
from api.http.web.plots import ranges
from models.card import BandPart, Figure, GroupPart, ModelCard


def card_drawings(room: Room, request: Request, card: ModelCard | None) -> dict[str, Any]:
    """The card's charts, each None where it has nothing to show."""
    if card is None:
        return {"bands_plot": None, "shares_plot": None, "groups_plot": None}
    level = [(one.name, _level(one)) for one in card.bands if one.default_rate is not None]
    shares = [(one.name, _shares(one)) for one in card.bands if one.share is not None]
    groups = [
        (f"{room.coded(request, 'group', one.group)} {cell_words(room, request, one)}",
         [_range(one.approved, "a")])
        for one in card.groups if one.approved is not None
    ]  # fmt: skip
    return {
        "bands_plot": ranges(level) if level else None,
        "shares_plot": ranges(shares) if shares else None,
        "groups_plot": ranges(groups) if groups else None,
    }


def cell_words(room: Room, request: Request, part: GroupPart) -> str:
    """What a cell of a group is called."""
    return room.coded(request, "cell", part.cell)


def _level(band: BandPart) -> list[tuple[float, float, float, str]]:
    found = [(band.pd, band.pd, band.pd, "b")]
    return [_range(band.default_rate, "a"), *found] if band.default_rate is not None else found


def _shares(band: BandPart) -> list[tuple[float, float, float, str]]:
    parts = ((band.share, "a"), (band.previous_share, "b"))
    return [_range(figure, tone) for figure, tone in parts if figure is not None]


def _range(figure: Figure, tone: str) -> tuple[float, float, float, str]:
    return figure.low, figure.value, figure.high, tone
