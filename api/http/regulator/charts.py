"""Geometry of the console's charts, out of what was read."""

from collections.abc import Sequence
from datetime import UTC, datetime

from api.http.web.plots import Column, Plot, Row, columns, rows
from node.oversight.reader import Day
from node.storage.oversight import DAY_MS, DeadlineRow

_MOST_BARS = 12
_TICK_DAYS = 7


def by_day(days: Sequence[Day], name: str) -> tuple[Plot, tuple[Column, ...]]:
    """A column a day of one of its counts; a suppressed one is not drawn."""
    values = [float(getattr(day, name) or 0) for day in days]
    labels = [
        f"{datetime.fromtimestamp(day.starts_at_ms / 1000, UTC):%m-%d}"
        if (len(days) - 1 - number) % _TICK_DAYS == 0
        else ""
        for number, day in enumerate(days)
    ]
    return columns(values, labels)


def days_left(
    waiting: Sequence[DeadlineRow], now_ms: int, law: int, name: str
) -> tuple[Plot, tuple[Row, ...]]:
    """A bar of the days left for each request, the first due first; none left has no length.

    Args:
        waiting: open requests, by deadline.
        now_ms: UTC milliseconds.
        law: the days that a dispute has.
        name: of that line.
    """
    bars = [
        (one.request_id, [(float(max(0, (one.due_at_ms - now_ms) // DAY_MS)), "a")])
        for one in waiting[:_MOST_BARS]
    ]
    return rows(bars, (float(law), name), digits=0)
