"""What a node is made of. `node.wiring` puts the parts together; others take what they need."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from audit.database import Database
from audit.proofs import LogReader
from audit.store import AuditLog
from node.access.clients import Clients
from node.access.wiring import Access
from node.consents.service import ConsentService
from node.consents.wiring import Statuses
from node.enrolment.pseudonym_keys import PseudonymKeys
from node.enrolment.pseudonyms import PseudonymService
from node.exchange.client import ExchangeClient
from node.exchange.service import ExchangeService
from node.home import RECORDS_DIRECTORY
from node.keystore import NodeKeys
from node.monitoring.wiring import Monitoring
from node.network.documents import Documents
from node.network.identity import OwnIdentity
from node.network.key_care import KeyCare
from node.network.pairwise import PairKeys
from node.network.transport import Channels, TransportLimits
from node.outcomes.service import OutcomeService
from node.people.wiring import People
from node.relay.routes import Routes
from node.releases import Releases
from node.rights.service import RightsService
from node.scoring.batch import BatchScoring
from node.scoring.service import ScoringService
from node.scoring.shadow import Shadow
from node.scoring.wiring import AroundScores
from node.settings import NodeSettings
from node.telemetry.gauges import Gauges
from node.telemetry.telemetry import Telemetry
from node.telemetry.token import read_token
from node.trustees import Trustee
from node.webhooks.service import Webhooks
from node.witnessing.wiring import Witnessing

if TYPE_CHECKING:
    from node.consents.personal import PersonalConsents
    from node.enrolment.rotation import Rotation
    from node.exchange.reconciling import Reconciler
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
        identity: gives what it shows of itself in TLS; raises `NotJoined` before it has joined.
        key_care: renews its certificate, replaces its keys.
        channels: connections to other members and to the coordinator.
        routes: channels to members, directly or through the relay.
        pair_keys: pairwise secrets with other members.
        pseudonym_keys: the keys of pseudonyms that are believed here.
        pseudonyms: identifiers to pseudonyms to local references.
        trustee: takes part in key ceremonies and evaluates for other members.
        exchange: the holder's side, answers other members.
        fetcher: the recipient's side, asks other members.
        consents: grants, withdrawals, deliveries.
        statuses: the own status list, and those of other consent nodes.
        rights: disputes, freezes and what else people ask about their data.
        people: accounts of people and staff, their sessions.
        scoring: scores for API clients.
        around_scores: what else API clients may ask for: jobs, past decisions, notices, products.
        batch_scoring: scores of many subjects, for evaluating a model.
        releases: which model version is scored with.
        shadow: how the challenger compares with what is answered.
        access: the financing platforms that may call this node's API, and how they show it.
        webhooks: tells those clients what happened.
        monitoring: watches over people for them.
        outcomes: what became of loans, as they report it.
        witnessing: its log before witnesses, and itself as a witness.
        telemetry: what is counted and traced; nothing about people.
        transport_limits: sizes and concurrency of the wire.
    """

    home: Path
    settings: NodeSettings
    keys: NodeKeys
    database: Database
    data_keys_database: Database
    audit: AuditLog
    documents: Documents
    identity: OwnIdentity
    key_care: KeyCare
    channels: Channels
    routes: Routes
    pair_keys: PairKeys
    pseudonym_keys: PseudonymKeys
    pseudonyms: PseudonymService
    trustee: Trustee
    exchange: ExchangeService
    fetcher: ExchangeClient
    consents: ConsentService
    statuses: Statuses
    rights: RightsService
    people: People
    scoring: ScoringService
    around_scores: AroundScores
    batch_scoring: BatchScoring
    releases: Releases
    shadow: Shadow
    access: Access
    webhooks: Webhooks
    monitoring: Monitoring
    outcomes: OutcomeService
    witnessing: Witnessing
    telemetry: Telemetry
    transport_limits: TransportLimits

    @property
    def member_id(self) -> str:
        """This member's id."""
        return self.settings.member_id

    @property
    def clients(self) -> Clients:
        """The financing platforms that may call this node's API."""
        return self.access.clients

    @property
    def log_reader(self) -> LogReader:
        """Shows its log to others."""
        return LogReader(
            self.audit, self.database, lambda: self.keys.signing, lambda: int(time.time() * 1000)
        )

    @property
    def metrics_token(self) -> bytes | None:
        """What who reads its metrics has to show; None: they are read from this machine."""
        return read_token(self.home, self.settings.metrics_token_file)

    @property
    def gauges(self) -> Gauges:
        """What is looked at when somebody asks how it is."""
        return Gauges(self.database, self.audit, self.witnessing.gate, self.scoring)

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

    def personal_consents(self) -> "PersonalConsents":
        """Consents as a person handles them at the portal."""
        from node.consents.personal import PersonalConsents

        return PersonalConsents(
            database=self.database,
            service=self.consents,
            member_id=self.member_id,
            signing_key=lambda: self.keys.signing,
            relying_party=self.people.relying_party,
            clock=lambda: int(time.time() * 1000),
        )

    def rotation(self) -> "Rotation":
        """The service that changes this node's pseudonyms to those of another key."""
        from node.enrolment.rotation import Rotation
        from node.records.store import RecordStore

        store = RecordStore(self.home / RECORDS_DIRECTORY)
        return Rotation(
            database=self.database,
            audit=self.audit,
            pseudonyms=self.pseudonyms,
            member_id=self.member_id,
            identifiers=lambda: store.load().customers["identifier"].to_pylist(),
        )

    def reconciler(self) -> "Reconciler":
        """Compares its exchanges with what other members state of them."""
        from audit.witness_peers import ExternalWitness, all_keys, policy_for
        from node.exchange.reconciling import Reconciler

        outside = [ExternalWitness.parse(line) for line in self.settings.witnesses]
        minimum = self.settings.witness_minimum
        return Reconciler(
            member_id=self.member_id,
            reader=self.log_reader,
            to_member=self.routes.to_member,
            keys_of=lambda peer: all_keys(self.documents.directory().active_member(peer)),
            policy_of=lambda member, keys: policy_for(
                self.documents.directory(), outside, member, keys, minimum, int(time.time() * 1000)
            ),
        )

    def close(self) -> None:
        """Close threads, connections and databases."""
        self.webhooks.deliverer.close()
        self.scoring.close()
        self.access.close()
        self.fetcher.close()
        self.statuses.keeper.close()
        self.telemetry.tracer.close()
        self.channels.close()
        self.database.close()
        self.data_keys_database.close()
