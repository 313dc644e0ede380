"""What a node is made of. `node.bootstrap` puts the parts together; others take what they need."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from audit.database import Database
from audit.store import AuditLog
from node.clients import Clients
from node.consents import ConsentService
from node.documents import Documents, NotJoined
from node.exchange.client import ExchangeClient
from node.exchange.service import ExchangeService
from node.home import RECORDS_DIRECTORY
from node.joining import CA_FILE, CERTIFICATE_FILE
from node.keystore import NodeKeys
from node.pairwise import PairKeys
from node.pseudonym_keys import PseudonymKeys
from node.pseudonyms import PseudonymService
from node.relay.routes import Routes
from node.score_batch import BatchScoring
from node.scoring import ScoringService
from node.settings import NodeSettings
from node.transport import Channels, TlsIdentity, TransportLimits
from node.trustees import Trustee
from protocols.errors import HomeUnusable

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
        routes: channels to members, directly or through the relay.
        pair_keys: pairwise secrets with other members.
        pseudonym_keys: the keys of pseudonyms that are believed here.
        pseudonyms: identifiers to pseudonyms to local references.
        trustee: takes part in key ceremonies and evaluates for other members.
        exchange: the holder's side, answers other members.
        fetcher: the recipient's side, asks other members.
        consents: grants, withdrawals, deliveries.
        scoring: scores for API clients.
        batch_scoring: scores of many subjects, for evaluating a model.
        clients: the financing platforms that may call this node's API.
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
    routes: Routes
    pair_keys: PairKeys
    pseudonym_keys: PseudonymKeys
    pseudonyms: PseudonymService
    trustee: Trustee
    exchange: ExchangeService
    fetcher: ExchangeClient
    consents: ConsentService
    scoring: ScoringService
    batch_scoring: BatchScoring
    clients: Clients
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
