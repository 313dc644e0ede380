"""The one place where a node is made and where its parts are put together.

Nothing here imports torch or flwr: a node serves without them, and trains in a process of its own.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audit.database import Database
from audit.shredding import DataKeys
from audit.store import AuditLog
from audit.witness_home import directory_file
from audit.witness_keeper import origin_in_force
from audit.witness_state import Gate, Operation
from consent.templates import Templates
from node.access.wiring import make_access
from node.consents.client import GrpcCourier
from node.consents.freshness import Freshness
from node.consents.service import ConsentService
from node.consents.wiring import make_statuses
from node.enrolment.pseudonym_keys import PseudonymKeys
from node.enrolment.pseudonyms import PseudonymService
from node.enrolment.trustees import GrpcEvaluator
from node.exchange.client import ExchangeClient
from node.exchange.decisions import Decider
from node.exchange.inbox import Inbox
from node.exchange.records import ReleaseRecorder
from node.exchange.service import ExchangeService
from node.home import DATA_KEYS_FILE, DATABASE_FILE, RECORDS_DIRECTORY, new_home
from node.keystore import NodeKeys, create_keys, open_keystore
from node.monitoring.wiring import make_monitoring
from node.network import joining
from node.network.documents import Documents, NotJoined
from node.network.gossip import GossipPeers
from node.network.identity import OwnIdentity
from node.network.joining import Joined
from node.network.key_care import KeyCare
from node.network.membership import MembershipClient
from node.network.membership_log import MembershipLog
from node.network.pairwise import PairKeys
from node.network.rates import PeerRates
from node.network.transport import Channels, MemberChannels, TransportLimits
from node.outcomes.service import OutcomeService
from node.parts import Node
from node.people.wiring import make_people
from node.relay.channel import RelayDialler
from node.relay.routes import Routes
from node.rights.holdings import NodeHoldings
from node.rights.wiring import rights_service
from node.scoring.wiring import make_scoring
from node.settings import SETTINGS_FILE, NodeSettings, load_settings, make_settings, settings_text
from node.storage.schema import ensure_schema
from node.telemetry.telemetry import Telemetry
from node.telemetry.tracing import make_tracer
from node.trustees import Trustee
from node.trustees.board_client import GrpcKeyBoard
from node.trustees.evaluation import EvaluationService
from node.trustees.participation import Participation
from node.trustees.shares import Shares
from node.webhooks.service import make_webhooks
from node.witnessing.wiring import make_gate, make_witnessing
from protocols.certificates import member_dns
from protocols.directory import MemberEntry, UnknownMember
from protocols.envelope import DEFAULT_LIMITS
from protocols.keys import VerifyKey

__all__ = ["Node", "init_node", "join", "open_node"]


def init_node(
    home: Path,
    *,
    member_id: str,
    name: str,
    role: str,
    holds: Sequence[str] = (),
    listen: str | None = None,
    http: str | None = None,
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
    with new_home(home) as staging:
        create_keys(staging)
        (staging / SETTINGS_FILE).write_text(settings_text(settings), encoding="utf-8")
        open_node(staging).close()
    return settings


def join(home: Path, invitation: str, now_ms: int) -> Joined:
    """Join the network of an invitation; see `node.network.joining`.

    Raises:
        CredenceError: a check of `node.network.joining.join` fails; nothing was stored.
    """
    node = open_node(home)
    try:
        journal = MembershipLog(node.audit, node.member_id)
        return joining.join(
            home, node.settings, node.keys, node.database, journal, invitation, now_ms
        )
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
    data_keys = DataKeys(data_keys_database, keys.kek)
    audit = AuditLog(
        origin=origin_in_force(database, member_dns(settings.member_id)),
        database=database,
        data_keys=data_keys,
        index_key=keys.audit_index,
    )
    return _assemble(home, settings, keys, database, data_keys_database, data_keys, audit)


def _assemble(
    home: Path,
    settings: NodeSettings,
    keys: NodeKeys,
    database: Database,
    data_keys_database: Database,
    data_keys: DataKeys,
    audit: AuditLog,
) -> Node:
    limits = TransportLimits()
    # Documents come over channels, and channels dial what the directory names.
    identity = OwnIdentity(home, keys, lambda: documents.adopt_stored())
    channels = Channels(identity, lambda: documents.directory(), limits)
    membership = MembershipClient(channels, lambda: _coordinator(settings))
    journal = MembershipLog(audit, settings.member_id)
    documents = Documents(
        database,
        _directory_key(settings),
        journal.watching(membership.document, database, _clock),
        peers=GossipPeers(settings.member_id, channels),
        changed=journal.changed,
        max_age_s=settings.directory_max_age_s,
    )
    keys.follow(lambda: _own_entry(documents, settings.member_id))
    pair_keys = PairKeys(settings.member_id, keys.sealing_keys, documents.directory)
    relay = RelayDialler(
        member_id=settings.member_id,
        signing=lambda: keys.signing,
        source=documents,
        coordinator=lambda: channels.to_coordinator(_coordinator(settings)),
        answer_bytes=limits.answer_bytes,
    )
    routes = Routes(channels, documents.directory, relay, look_again=documents.look_again)
    pseudonym_keys = PseudonymKeys(
        database,
        _directory_key(settings),
        documents.directory,
        membership.document,
        documents.look_again,
    )
    recorder = ReleaseRecorder(settings.member_id, audit)
    telemetry = Telemetry(tracer=make_tracer(settings.otlp_endpoint, settings.member_id))
    fetcher = _fetcher(settings, keys, database, documents, routes, pair_keys, recorder, telemetry)
    gate = make_gate(settings, database, _clock)
    webhooks = make_webhooks(settings, database=database, audit=audit, kek=keys.kek, clock=_clock)
    scoring = make_scoring(
        settings,
        database=database,
        audit=audit,
        data_keys=data_keys,
        documents=documents,
        signing_key=lambda: keys.signing,
        directory_key=lambda: _pinned_key(settings),
        membership=membership,
        fetcher=fetcher,
        clock=_clock,
        admit=lambda: gate.require(Operation.SCORE),
        telemetry=telemetry,
    )
    people = make_people(
        settings, home=home, kek=keys.kek, database=database, audit=audit, clock=_clock
    )
    node = Node(
        home=home,
        settings=settings,
        keys=keys,
        database=database,
        data_keys_database=data_keys_database,
        audit=audit,
        documents=documents,
        identity=identity,
        key_care=KeyCare(
            home=home,
            member_id=settings.member_id,
            keys=keys,
            identity=identity,
            documents=documents,
            membership=membership,
            database=database,
            journal=journal,
        ),
        channels=channels,
        routes=routes,
        pair_keys=pair_keys,
        pseudonym_keys=pseudonym_keys,
        pseudonyms=PseudonymService(
            database=database,
            keys=pseudonym_keys,
            evaluator=GrpcEvaluator(routes.to_member),
            local_key=keys.local_key,
            processes=settings.enrolment_processes,
        ),
        trustee=_trustee(settings, keys, database, audit, documents, channels, pseudonym_keys),
        exchange=_exchange(settings, keys, database, documents, pair_keys, recorder, gate),
        fetcher=fetcher,
        consents=ConsentService(
            database,
            audit,
            member_id=settings.member_id,
            signing_key=lambda: keys.signing,
            directory=documents.directory,
            pair_keys=pair_keys,
            courier=GrpcCourier(routes.to_member),
            templates=Templates.load_default(),
            clock=_clock,
        ),
        statuses=make_statuses(
            settings,
            database,
            lambda: keys.signing,
            documents.directory,
            routes.to_member,
            lambda peer, deliveries: node.consents.receive(peer, deliveries),
            _clock,
        ),
        rights=rights_service(
            member_id=settings.member_id,
            database=database,
            audit=audit,
            signing_key=lambda: keys.signing,
            documents=documents,
            to_member=routes.to_member,
            holdings=NodeHoldings(people.accounts, home / RECORDS_DIRECTORY),
            clock=_clock,
        ),
        people=people,
        scoring=scoring.service,
        around_scores=scoring.around,
        batch_scoring=scoring.batch,
        releases=scoring.releases,
        shadow=scoring.shadow,
        access=make_access(settings, database=database, audit=audit, clock=_clock),
        webhooks=webhooks,
        monitoring=make_monitoring(
            settings,
            database=database,
            audit=audit,
            documents=documents,
            directory_key=lambda: _pinned_key(settings),
            fetcher=fetcher,
            webhooks=webhooks,
            clock=_clock,
            admit=lambda: gate.require(Operation.SCORE),
        ),
        outcomes=OutcomeService(database=database, audit=audit, now_ms=_clock),
        witnessing=make_witnessing(
            settings,
            gate=gate,
            database=database,
            audit=audit,
            keys=keys,
            directory=documents.directory,
            document=lambda: directory_file(documents.document("directory")),
            to_member=routes.to_member,
            to_coordinator=lambda: channels.to_coordinator(_coordinator(settings)),
            now_ms=_clock,
        ),
        telemetry=telemetry,
        transport_limits=limits,
    )
    return node


def _trustee(
    settings: NodeSettings,
    keys: NodeKeys,
    database: Database,
    audit: AuditLog,
    documents: Documents,
    channels: Channels,
    pseudonym_keys: PseudonymKeys,
) -> Trustee:
    shares = Shares(database, settings.member_id, keys.kek, audit)
    participation = Participation(
        member_id=settings.member_id,
        # What the directory names, at once: the ceremony's other parties read it there.
        signing=lambda: keys.current().signing,
        sealing=lambda: keys.current().sealing,
        directory_key=_directory_key(settings),
        directory=documents.directory,
        board=GrpcKeyBoard(channels, lambda: _coordinator(settings)),
        keys=pseudonym_keys,
        shares=shares,
        now_ms=_clock,
    )
    evaluation = EvaluationService(
        database, audit, pseudonym_keys, shares, settings.evaluation_quota, _clock
    )
    return Trustee(participation, evaluation)


def _exchange(
    settings: NodeSettings,
    keys: NodeKeys,
    database: Database,
    documents: Documents,
    pair_keys: PairKeys,
    recorder: ReleaseRecorder,
    gate: Gate,
) -> ExchangeService:
    decider = Decider(
        member_id=settings.member_id,
        holds=settings.holds,
        catalogue=documents.catalogue,
        pair_keys=pair_keys,
        freshness=Freshness(settings.member_id),
    )
    return ExchangeService(
        member_id=settings.member_id,
        signing_key=lambda: keys.signing,
        database=database,
        directory=documents.fresh_directory,
        decider=decider,
        recorder=recorder,
        limits=DEFAULT_LIMITS,
        rates=PeerRates(TransportLimits()),
        admit=lambda: gate.require(Operation.RELEASE),
    )


def _fetcher(
    settings: NodeSettings,
    keys: NodeKeys,
    database: Database,
    documents: Documents,
    channels: MemberChannels,
    pair_keys: PairKeys,
    recorder: ReleaseRecorder,
    telemetry: Telemetry,
) -> ExchangeClient:
    inbox = Inbox(
        member_id=settings.member_id,
        database=database,
        catalogue=documents.catalogue,
        recorder=recorder,
        freshness=Freshness(settings.member_id),
    )
    return ExchangeClient(
        member_id=settings.member_id,
        signing_key=lambda: keys.signing,
        directory=documents.directory,
        channels=channels,
        pair_keys=pair_keys,
        inbox=inbox,
        limits=DEFAULT_LIMITS,
        telemetry=telemetry,
    )


def _clock() -> int:
    return int(time.time() * 1000)


def _own_entry(documents: Documents, member_id: str) -> MemberEntry | None:
    try:
        return documents.directory().member(member_id)
    except (NotJoined, UnknownMember):
        return None


def _directory_key(settings: NodeSettings) -> VerifyKey | None:
    known = settings.directory_key
    return VerifyKey(bytes.fromhex(known)) if known else None


def _pinned_key(settings: NodeSettings) -> VerifyKey:
    key = _directory_key(settings)
    if key is None:
        raise NotJoined("this node trusts no directory key yet")
    return key


def _coordinator(settings: NodeSettings) -> str:
    if settings.coordinator_endpoint is None:
        raise NotJoined("this node knows no coordinator yet")
    return settings.coordinator_endpoint
