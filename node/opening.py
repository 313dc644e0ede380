"""What lies in a node's home, opened: everything else of a node is made of it."""

from dataclasses import dataclass
from pathlib import Path

from audit.database import Database
from audit.shredding import DataKeys
from audit.store import AuditLog
from audit.witness_keeper import origin_in_force
from node.home import DATA_KEYS_FILE, DATABASE_FILE
from node.keystore import NodeKeys, open_keystore
from node.settings import NodeSettings, load_settings
from node.storage.schema import ensure_schema
from protocols.certificates import member_dns


@dataclass(frozen=True)
class Opened:
    """An opened home.

    Attributes:
        home: its directory.
        settings: as read now.
        keys: the node's secrets.
        database: subjects, signals, consents, releases and the audit log.
        data_keys_database: the keys of audit payloads, one a subject and purpose.
        data_keys: the same keys, to seal with and to destroy.
        audit: the tamper-evident log.
    """

    home: Path
    settings: NodeSettings
    keys: NodeKeys
    database: Database
    data_keys_database: Database
    data_keys: DataKeys
    audit: AuditLog


def open_home(home: Path) -> Opened:
    """Open what lies in `home`, its schema brought up to date.

    Raises:
        HomeUnusable: `home` is not a node's, or a file of it cannot be read.
        SettingsInvalid: its settings do not hold.
        DatabaseUnavailable: its database cannot be opened.
    """
    settings = load_settings(home)
    keys = open_keystore(home)
    database = Database(settings.database_url or f"sqlite:///{home / DATABASE_FILE}")
    ensure_schema(database)
    data_keys_database = Database(f"sqlite:///{home / DATA_KEYS_FILE}")
    data_keys = DataKeys(data_keys_database, keys.kek)
    return Opened(
        home=home,
        settings=settings,
        keys=keys,
        database=database,
        data_keys_database=data_keys_database,
        data_keys=data_keys,
        audit=AuditLog(
            origin=origin_in_force(database, member_dns(settings.member_id)),
            database=database,
            data_keys=data_keys,
            index_key=keys.audit_index,
        ),
    )
