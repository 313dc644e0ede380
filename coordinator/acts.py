"""What the coordinator's process does of itself, in its log."""

import time

from audit.configuration import note_configuration
from audit.leaf import Entry
from coordinator.bootstrap import Coordinator
from coordinator.membership import ACTOR
from protocols.canonical import sha256

CERTIFICATE_RENEWED = "coordinator.certificate_renewed"


def note_settings(coordinator: Coordinator) -> None:
    """Log which settings changed since the process last started."""
    note_configuration(
        coordinator.audit,
        coordinator.database,
        coordinator.keys.audit_index,
        coordinator.settings.model_dump(mode="json"),
        actor=ACTOR,
        now_ms=_now_ms(),
    )


def note_certificate(coordinator: Coordinator, certificate: bytes) -> None:
    """Log the certificate (PEM) that the coordinator is about to show members."""
    entry = Entry(
        kind=CERTIFICATE_RENEWED,
        actor=ACTOR,
        purpose="membership",
        correlation="",
        payload={"certificate_sha256": sha256(certificate).hex()},
        subject=None,
        at_ms=_now_ms(),
    )
    with coordinator.database.write() as connection:
        coordinator.audit.append(connection, entry)


def _now_ms() -> int:
    return int(time.time() * 1000)
