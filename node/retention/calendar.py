"""Periods in years and months as the Civil Code counts them, in the calendar of UTC+8.

The day on which the event ends is not counted (article 201). A period of years or months ends with
the day of the same number; where that month has none, with its last day (article 202). What the
law says not to keep longer is therefore deleted from the day after on: five years after
29 February 2020 end with 28 February 2025, and on 1 March 2025 it is gone.
"""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone

CHINA = timezone(timedelta(hours=8))


@dataclass(frozen=True, slots=True)
class Period:
    """So many years and months."""

    years: int = 0
    months: int = 0

    def __post_init__(self) -> None:
        """A period is longer than nothing."""
        if min(self.years, self.months) < 0 or self.years + self.months == 0:
            raise ValueError("a period has a number of years or months")


def last_day(start: date, period: Period) -> date:
    """The last day of a period that an event on `start` begins."""
    months = start.year * 12 + start.month - 1 + period.years * 12 + period.months
    year, month = divmod(months, 12)
    return date(year, month + 1, min(start.day, monthrange(year, month + 1)[1]))


def is_over(start: date, period: Period, today: date) -> bool:
    """Whether the period's last day has passed."""
    return last_day(start, period) < today


def newest_over(period: Period, today: date) -> date:
    """The newest start whose period is over: all starts up to it are due, no later one.

    It is looked for day by day, since months differ in length.
    """
    months = today.year * 12 + today.month - 1 - period.years * 12 - period.months
    year, month = divmod(months, 12)
    day = date(year, month + 1, 1) + timedelta(days=31)
    while not is_over(day, period, today):
        day -= timedelta(days=1)
    return day


def day_of(at_ms: int) -> date:
    """The day of a moment in UTC+8."""
    return datetime.fromtimestamp(at_ms / 1000, CHINA).date()


def end_of(day: date) -> int:
    """The moment at which a day in UTC+8 is over, UTC milliseconds."""
    start = datetime(day.year, day.month, day.day, tzinfo=CHINA) + timedelta(days=1)
    return int(start.astimezone(UTC).timestamp() * 1000)
