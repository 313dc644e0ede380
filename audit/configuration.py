"""Changes of a process's configuration, in its log.

What the settings were when a process last ran stands in a table as keyed hashes of the single
fields, so that a start under other settings is noticed and the fields are named, and no value,
which may hold a password, stands anywhere. Rows and leaf are one transaction.
"""

import hmac
import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, String, Table, delete, insert, select

from audit.bulk import Blob
from audit.database import Database
from audit.leaf import Entry
from audit.store import AuditLog
from audit.tables import metadata

CHANGED = "configuration.changed"

audit_configuration = Table(
    "audit_configuration",
    metadata,
    Column("field", String(64), primary_key=True),
    Column("digest", Blob(32), nullable=False),
)


def note_configuration(
    log: AuditLog,
    database: Database,
    key: bytes,
    settings: Mapping[str, Any],
    *,
    actor: str,
    now_ms: int,
) -> list[str]:
    """Compare the settings with those of the last start, and log what changed.

    Args:
        log: the process's.
        database: where it is.
        key: 32 bytes that stay in the home; hashes without it could be guessed.
        settings: JSON values by field.
        actor: whose process it is.
        now_ms: UTC milliseconds.

    Returns:
        The names of the fields that changed; all of them at the first start.
    """
    now = {name: _digest(key, name, value) for name, value in settings.items()}
    with database.write() as connection:
        query = select(audit_configuration.c.field, audit_configuration.c.digest)
        held = {row.field: row.digest for row in connection.execute(query)}
        changed = sorted(
            name for name in now.keys() | held.keys() if now.get(name) != held.get(name)
        )
        if not changed:
            return []
        entry = Entry(
            kind=CHANGED,
            actor=actor,
            purpose="configuration",
            correlation="",
            payload={"fields": changed, "first": not held},
            subject=None,
            at_ms=now_ms,
        )
        log.append(connection, entry)
        connection.execute(delete(audit_configuration))
        rows = [{"field": name, "digest": digest} for name, digest in now.items()]
        connection.execute(insert(audit_configuration), rows)
    return changed


def _digest(key: bytes, name: str, value: Any) -> bytes:
    said = json.dumps([name, value], sort_keys=True).encode()
    return hmac.digest(key, b"credence/1|configuration|" + said, "sha256")
