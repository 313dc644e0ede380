"""A real coordinator on loopback, serving."""

import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from coordinator.bootstrap import Coordinator, init_coordinator, open_coordinator
from coordinator.process import serving
from coordinator.settings import make_settings

HOUR_S = 3600


def now_ms() -> int:
    return int(time.time() * 1000)


def free_port() -> int:
    """A port to name before it is bound, outside the range from which the system hands them out."""
    while True:
        port = secrets.choice(range(12_000, 32_000))
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextmanager
def serving_coordinator(home: Path) -> Iterator[Coordinator]:
    """A new coordinator in `home`, answering on both of its ports."""
    settings = make_settings(
        name="test",
        listen_members=f"127.0.0.1:{free_port()}",
        listen_enrolment=f"127.0.0.1:{free_port()}",
    )
    init_coordinator(home, settings)
    coordinator = open_coordinator(home)
    try:
        with serving(coordinator):
            yield coordinator
    finally:
        coordinator.close()


def invite(
    coordinator: Coordinator, member_id: str, role: str = "bank", life_s: int = HOUR_S
) -> str:
    """An invitation's line."""
    return coordinator.membership.invite(member_id, role, life_s, now_ms()).to_text()
