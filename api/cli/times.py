"""Times in commands: now, and how a moment is shown."""

import time


def now_ms() -> int:
    """Now, UTC, in milliseconds."""
    return int(time.time() * 1000)


def utc(at_ms: int) -> str:
    """A moment for people, to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(at_ms / 1000))


def utc_day(at_ms: int) -> str:
    """A day for people."""
    return time.strftime("%Y-%m-%d", time.gmtime(at_ms / 1000))
