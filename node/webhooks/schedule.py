"""When a failed delivery is tried again: later each time, at no fixed moment, for about a day."""

from collections.abc import Callable

FIRST_S = 5.0
FACTOR = 3.0
LONGEST_S = 9 * 3600.0
ATTEMPTS = 11
"""Delays of 5 s, 15 s, 45 s ... 9 h, 9 h: about 24 hours in all."""
JITTER = 0.2
KEPT_MS = 30 * 86_400_000
"""How long messages and the log of deliveries are kept."""


def delay_s(failed: int, draw: Callable[[], float]) -> float | None:
    """Seconds to wait after `failed` attempts; None: it is given up.

    Args:
        failed: attempts so far, from 1.
        draw: uniform in [0, 1): spreads deliveries that failed together.
    """
    if failed >= ATTEMPTS:
        return None
    base = min(FIRST_S * FACTOR ** (failed - 1), LONGEST_S)
    return base * (1 - JITTER + 2 * JITTER * draw())
