"""The chart of privacy that is spent, of one institution or of a network's."""

from collections.abc import Sequence
from typing import Any

from fastapi import Request

from api.http.regulator.room import Room
from api.http.web.plots import rows


def spent_chart(
    room: Room, request: Request, of_each: Sequence[tuple[str, float, float]], ceiling: float
) -> dict[str, Any]:
    """Epsilon by ledger, promised and alone, beside its ceiling: what the templates draw.

    Args:
        room: of the page.
        request: whose language the words are in.
        of_each: (member id or population, epsilon promised, epsilon alone); not empty.
        ceiling: of the promised one.
    """
    limit = f"{ceiling:.2f}"
    plot, bars = rows(
        [(room.member_name(name), [(promised, "a"), (alone, "b")])
         for name, promised, alone in of_each],
        (ceiling, room.say(request, "ceiling.line", epsilon=limit)),
    )  # fmt: skip
    largest = max(promised for _, promised, _ in of_each)
    message = room.say(request, "epsilon.message", largest=f"{largest:.2f}", ceiling=limit)
    return {"epsilon": plot, "epsilon_bars": bars, "epsilon_message": message}
