"""Times, days and numbers as a reader of one language writes them.

The server does not know a reader's time zone, so it writes UTC and says so; `time.js` rewrites
every `<time>` in the reader's own. The exact time stands in the title either way.
"""

from datetime import UTC, datetime

from markupsafe import Markup

_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September",
           "October", "November", "December")  # fmt: skip


def day_text(at_ms: int, language: str) -> str:
    """The day (UTC) of a moment."""
    at = _utc(at_ms)
    if language == "en":
        return f"{at.day} {_MONTHS[at.month - 1]} {at.year}"
    return f"{at.year}年{at.month}月{at.day}日"


def moment_text(at_ms: int, language: str) -> str:
    """Day and time to the second (UTC)."""
    gap = ", " if language == "en" else " "
    return f"{day_text(at_ms, language)}{gap}{_utc(at_ms):%H:%M:%S} UTC"


def day_mark(at_ms: int, language: str) -> Markup:
    """A `<time>` that shows the day."""
    return _time(at_ms, day_text(at_ms, language), "day")


def moment_mark(at_ms: int, language: str) -> Markup:
    """A `<time>` that shows day and time."""
    return _time(at_ms, moment_text(at_ms, language), "moment")


def clock_mark(at_ms: int) -> Markup:
    """A `<time>` that shows the time of day alone."""
    return _time(at_ms, f"{_utc(at_ms):%H:%M:%S} UTC", "clock")


def number_text(value: float, digits: int = 0) -> str:
    """A number with thousands apart; the same in all our languages."""
    return f"{value:,.{digits}f}".replace("-", "\u2212")


def percent_text(share: float, digits: int = 0) -> str:
    """A share of one as a percentage."""
    return f"{share * 100:.{digits}f}%"


def _utc(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def _time(at_ms: int, text: str, kind: str) -> Markup:
    at = _utc(at_ms)
    return Markup('<time datetime="{}" title="{}" data-show="{}">{}</time>').format(
        f"{at:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z", f"{at:%Y-%m-%d %H:%M:%S} UTC", kind, text
    )
