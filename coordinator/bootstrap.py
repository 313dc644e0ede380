"""The one place where a coordinator is made and where its parts are put together."""

import time
from dataclasses import dataclass
from pathlib import Path

from audit.database import Database
from audit.shredding import DataKeys
from audit.store import AuditLog
from audit.witness_home import directory_file
from audit.witness_keeper import origin_in_force
from coordinator.home import (
    CA_FILE,
    CERTIFICATE_FILE,
    DATA_KEYS_FILE,
    DATABASE_FILE,
    new_home,
)
from coordinator.keystore import CoordinatorKeys, create_keys, open_keystore
from coordinator.membership import ACTOR, Authority, Endpoints, Membership
from coordinator.own_certificate import SERVER_DAYS, OwnCertificate
from coordinator.presence import Presence
from coordinator.registry import BundleRegistry
from coordinator.releases import Releases
from coordinator.running import Running
from coordinator.settings import CoordinatorSettings, load_settings, save_settings
from coordinator.storage.migrations import upgrade
from coordinator.transport import TlsIdentity
from coordinator.witnessing.wiring import Witnessing, coordinator_origin, make_witnessing
from models.catalogue import load_default
from protocols.certificates import create_ca, issue_server_certificate, to_pem
from protocols.errors import HomeUnusable

CA_DAYS = 3650


@dataclass(frozen=True)
class Coordinator:
    """The parts of one coordinator; whoever opened it closes it.

    Attributes:
        home: its directory.
        settings: as read when it was opened.
        keys: its secrets.
        identity: what it shows in TLS, as read when it was opened.
        own_certificate: gives that as it is now, and renews it.
        database: members, campaigns, bundles and the audit log.
        audit: its tamper-evident log.
        membership: invitations, members, the directory.
        releases: which model version plays which part.
        registry: published bundles.
        running: what members say they score with.
        presence: members seen by this process.
        witnessing: its log before witnesses, and itself as a witness.
    """

    home: Path
    settings: CoordinatorSettings
    keys: CoordinatorKeys
    identity: TlsIdentity
    own_certificate: OwnCertificate
    database: Database
    data_keys_database: Database
    audit: AuditLog
    membership: Membership
    releases: Releases
    registry: BundleRegistry
    running: Running
    presence: Presence
    witnessing: Witnessing

    def close(self) -> None:
        """Close the databases."""
        self.database.close()
        self.data_keys_database.close()


def init_coordinator(home: Path, settings: CoordinatorSettings, now_ms: int | None = None) -> None:
    """Make a new network's coordinator in `home`: CA, keys, database, directory 1, catalogue.

    Raises:
        HomeExists: `home` is there and not empty.
        HomeUnusable: it cannot be written; nothing is left behind.
    """
    at_ms = int(time.time() * 1000) if now_ms is None else now_ms
    with new_home(home) as staging:
        ca_key, ca_certificate = create_ca(f"{settings.name} members", at_ms, CA_DAYS)
        keys = create_keys(staging, ca_key)
        certificate = issue_server_certificate(ca_key, ca_certificate, keys.tls, at_ms, SERVER_DAYS)
        (staging / CA_FILE).write_bytes(ca_certificate)
        (staging / CERTIFICATE_FILE).write_bytes(to_pem(certificate))
        save_settings(staging, settings)
        coordinator = open_coordinator(staging)
        try:
            coordinator.membership.found(load_default().to_body(), at_ms)
        finally:
            coordinator.close()


def open_coordinator(home: Path) -> Coordinator:
    """Open the coordinator in `home`, its schema brought up to date.

    Raises:
        HomeUnusable: `home` is not a coordinator's, or a file of it cannot be read.
        CoordinatorSettingsInvalid: its settings do not hold.
        DatabaseUnavailable: its database cannot be opened.
    """
    settings = load_settings(home)
    keys = open_keystore(home)
    identity = TlsIdentity(_read(home / CA_FILE), _read(home / CERTIFICATE_FILE), keys.tls)
    database = Database(settings.database_url or f"sqlite:///{home / DATABASE_FILE}")
    upgrade(database)
    data_keys_database = Database(f"sqlite:///{home / DATA_KEYS_FILE}")
    audit = AuditLog(
        origin=origin_in_force(database, coordinator_origin(settings)),
        database=database,
        data_keys=DataKeys(data_keys_database, keys.kek),
        index_key=keys.audit_index,
    )
    membership = Membership(
        database,
        audit,
        keys.directory,
        Authority(
            keys.ca,
            identity.ca,
            settings.certificate_days,
            overlap_s=settings.overlap_hours * 3600,
        ),
        Endpoints(settings.dialled_to_enrol, settings.dialled_by_members),
    )
    releases = Releases(database, audit, keys.directory, ACTOR, membership.directory)
    return Coordinator(
        home=home,
        settings=settings,
        keys=keys,
        identity=identity,
        own_certificate=OwnCertificate(home, keys, identity),
        database=database,
        data_keys_database=data_keys_database,
        audit=audit,
        membership=membership,
        releases=releases,
        registry=BundleRegistry(database, releases),
        running=Running(database),
        presence=Presence(),
        witnessing=make_witnessing(
            settings,
            database=database,
            audit=audit,
            keys=keys,
            directory=membership.directory,
            document=lambda: directory_file(membership.document("directory")),
            now_ms=lambda: int(time.time() * 1000),
        ),
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise HomeUnusable(f"{path} cannot be read: {error.strerror}") from error
