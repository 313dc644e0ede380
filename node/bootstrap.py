"""The one place where a node is made and where its parts are put together.

Nothing here imports torch or flwr: a node serves without them, and trains in a process of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.database import Database
from audit.shredding import DataKeys
from audit.store import AuditLog
from node import joining
from node.documents import Documents, NotJoined
from node.exchange.client import ExchangeClient
from node.exchange.inbox import Inbox
from node.exchange.service import ExchangeService
from node.home import DATA_KEYS_FILE, DATABASE_FILE, RECORDS_DIRECTORY, new_home
from node.joining import CA_FILE, CERTIFICATE_FILE, Joined
from node.keystore import KEY_BYTES, NodeKeys, create_keys, open_keystore
from node.membership import MembershipClient
from node.pairwise import PairKeys
from node.pseudonyms import PseudonymService
from node.settings import SETTINGS_FILE, NodeSettings, load_settings, make_settings, settings_text
from node.storage.schema import ensure_schema
from node.transport import Channels, TlsIdentity, TransportLimits
from protocols.certificates import member_dns
from protocols.envelope import DEFAULT_LIMITS
from protocols.errors import HomeUnusable, InvalidInput
from protocols.keys import VerifyKey

if TYPE_CHECKING:
    from node.ingest import IngestService


@dataclass(frozen=True)
class Node:
    """The parts of one node; whoever opened it closes it.

    Attributes:
        home: its directory.
        settings: as read when it was opened.
        keys: its secrets.
        database: subjects, signals, consents, releases and the audit log.
        data_keys_database: the keys of audit payloads, one a subject and purpose.
        audit: its tamper-evident log.
        documents: the directory and the catalogue in force.
        channels: connections to other members and to the coordinator.
        pair_keys: pairwise secrets with other members.
        pseudonyms: identifiers to pseudonyms to local references.
        exchange: the holder's side, answers other members.
        fetcher: the recipient's side, asks other members.
        transport_limits: sizes and concurrency of the wire.
    """

    home: Path
    settings: NodeSettings
    keys: NodeKeys
    database: Database
    data_keys_database: Database
    audit: AuditLog
    documents: Documents
    channels: Channels
    pair_keys: PairKeys
    pseudonyms: PseudonymService
    exchange: ExchangeService
    fetcher: ExchangeClient
    transport_limits: TransportLimits

    @property
    def member_id(self) -> str:
        """This member's id."""
        return self.settings.member_id

    def identity(self) -> TlsIdentity:
        """What this node shows of itself in TLS.

        Raises:
            NotJoined: it has no certificate yet.
        """
        return read_identity(self.home, self.keys)

    def ingestion(self) -> "IngestService":
        """The service that makes subjects and signals of records.

        Raises:
            NotJoined: there is no catalogue yet.
        """
        # Ibis and DuckDB take a moment to load; only an ingest needs them.
        from node.ingest import IngestService
        from node.records.store import RecordStore

        return IngestService(
            member_id=self.member_id,
            database=self.database,
            audit=self.audit,
            pseudonyms=self.pseudonyms,
            catalogue=self.documents.catalogue(),
            store=RecordStore(self.home / RECORDS_DIRECTORY),
        )

    def close(self) -> None:
        """Close threads, connections and databases."""
        self.fetcher.close()
        self.channels.close()
        self.database.close()
        self.data_keys_database.close()


def init_node(
    home: Path,
    *,
    member_id: str,
    name: str,
    role: str,
    holds: Sequence[str] = (),
    listen: str | None = None,
    http: str | None = None,
    network_key: bytes | None = None,
    **options: Any,
) -> NodeSettings:
    """Make a new node in `home`: its settings, its keys, its empty database.

    Args:
        home: a new or empty directory.
        member_id: id in the network.
        name: legal name.
        role: one of `protocols.identifiers.ROLES`.
        holds: source classes whose records it keeps.
        listen: host:port for other members.
        http: host:port of the HTTP API.
        network_key: the 32 bytes that all members share; None: a new network's first member.
        options: any other field of `NodeSettings`; None means its default.

    Raises:
        HomeExists: `home` is there and not empty.
        HomeUnusable: it cannot be written; nothing is left behind.
        SettingsInvalid: an argument is out of its range.
    """
    settings = make_settings(
        member_id=member_id,
        name=name,
        role=role,
        holds=tuple(sorted(set(holds))),
        listen=listen,
        http=http,
        **options,
    )
    if network_key is not None and len(network_key) != KEY_BYTES:
        raise InvalidInput(f"a network key has {KEY_BYTES} bytes")
    with new_home(home) as staging:
        create_keys(staging, network_key)
        (staging / SETTINGS_FILE).write_text(settings_text(settings), encoding="utf-8")
        open_node(staging).close()
    return settings


def join(home: Path, invitation: str, now_ms: int) -> Joined:
    """Join the network of an invitation; see `node.joining`.

    Raises:
        CredenceError: a check of `node.joining.join` fails; nothing was stored.
    """
    node = open_node(home)
    try:
        return joining.join(home, node.settings, node.keys, node.database, invitation, now_ms)
    finally:
        node.close()


def open_node(home: Path) -> Node:
    """Open the node in `home`, its schema brought up to date; it need not have joined yet.

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
    audit = AuditLog(
        origin=member_dns(settings.member_id),
        database=database,
        data_keys=DataKeys(data_keys_database, keys.kek),
        index_key=keys.audit_index,
    )
    return _assemble(home, settings, keys, database, data_keys_database, audit)


def read_identity(home: Path, keys: NodeKeys) -> TlsIdentity:
    """The node's certificate and the network's CA, as `join` stored them.

    Raises:
        NotJoined: there is no certificate yet.
        HomeUnusable: a file cannot be read.
    """
    try:
        ca = (home / CA_FILE).read_bytes()
        certificate = (home / CERTIFICATE_FILE).read_bytes()
    except FileNotFoundError as error:
        raise NotJoined("this node has no certificate yet") from error
    except OSError as error:
        raise HomeUnusable(f"the certificates in {home} cannot be read") from error
    return TlsIdentity(ca, certificate, keys.tls)


def _assemble(
    home: Path,
    settings: NodeSettings,
    keys: NodeKeys,
    database: Database,
    data_keys_database: Database,
    audit: AuditLog,
) -> Node:
    limits = TransportLimits()
    trusted = settings.directory_key
    # Documents come over channels, and channels dial what the directory names.
    channels = Channels(lambda: read_identity(home, keys), lambda: documents.directory(), limits)
    documents = Documents(
        database,
        VerifyKey(bytes.fromhex(trusted)) if trusted else None,
        MembershipClient(channels, lambda: _coordinator(settings)).document,
    )
    pair_keys = PairKeys(settings.member_id, keys.sealing, documents.directory)
    exchange = ExchangeService(
        member_id=settings.member_id,
        holds=settings.holds,
        signing_key=keys.signing,
        database=database,
        audit=audit,
        directory=documents.directory,
        catalogue=documents.catalogue,
        pair_keys=pair_keys,
        limits=DEFAULT_LIMITS,
    )
    inbox = Inbox(
        member_id=settings.member_id,
        database=database,
        audit=audit,
        catalogue=documents.catalogue,
    )
    fetcher = ExchangeClient(
        member_id=settings.member_id,
        signing_key=keys.signing,
        directory=documents.directory,
        channels=channels,
        pair_keys=pair_keys,
        inbox=inbox,
        limits=DEFAULT_LIMITS,
    )
    return Node(
        home=home,
        settings=settings,
        keys=keys,
        database=database,
        data_keys_database=data_keys_database,
        audit=audit,
        documents=documents,
        channels=channels,
        pair_keys=pair_keys,
        pseudonyms=PseudonymService(keys.network_key, keys.local_key),
        exchange=exchange,
        fetcher=fetcher,
        transport_limits=limits,
    )


def _coordinator(settings: NodeSettings) -> str:
    if settings.coordinator_endpoint is None:
        raise NotJoined("this node knows no coordinator yet")
    return settings.coordinator_endpoint
