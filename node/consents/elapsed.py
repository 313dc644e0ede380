"""Time that nobody can set: how long this machine has been up.

A wall clock may jump back, and with it what was true until a moment would become true again. The
time since the machine's start only grows, counts while it sleeps, and is the same for all
processes; the start's id tells a stored value from one of another start, or of another machine.
"""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment since the start `boot_id` of a machine, in milliseconds."""

    boot_id: str
    ms: int


Elapsed = Callable[[], Instant]


def elapsed() -> Instant:
    """Now."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return Instant(_boot_id(), time.clock_gettime_ns(clock) // 1_000_000)


@cache
def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()[:36]
    except OSError:
        # No Linux: nothing that was stored by another process counts as fresh.
        return str(uuid.uuid4())
