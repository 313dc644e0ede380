"""Counts of people as they may be shown: small ones not at all, others rounded.

A count from 1 to 9 is shown as "fewer than 10". Any other is rounded down to a multiple of five,
so that no difference of two shown counts tells of one person. None is none: that nobody did a
thing says nothing of anybody.
"""

SMALLEST = 10
STEP = 5


def shown(count: int) -> int | None:
    """A count as it may be shown; None: fewer than `SMALLEST`, but some."""
    if 0 < count < SMALLEST:
        return None
    return count - count % STEP


def as_text(count: int | None) -> str:
    """A shown count as it stands in a table to download."""
    return f"<{SMALLEST}" if count is None else str(count)
