"""Where the rooms of a node are put together; each room's own parts are, in its `wiring.py`."""

import time

from audit.witness_home import directory_file
from audit.witness_state import Gate, Operation
from node.access.wiring import make_access
from node.consents.wiring import make_consents, make_statuses
from node.enrolment.pseudonym_keys import PseudonymKeys
from node.enrolment.pseudonyms import PseudonymService
from node.enrolment.trustees import GrpcEvaluator
from node.exchange.client import ExchangeClient
from node.exchange.wiring import make_exchange
from node.home import RECORDS_DIRECTORY
from node.monitoring.wiring import Monitoring, make_monitoring
from node.network.pinned import directory_key, pinned_key
from node.network.wiring import Network, make_network
from node.opening import Opened
from node.outcomes.service import OutcomeService
from node.parts import Node
from node.people.wiring import make_people
from node.rights.holdings import NodeHoldings
from node.rights.wiring import make_rights
from node.scoring.wiring import Scoring, make_scoring
from node.telemetry.telemetry import Telemetry
from node.telemetry.tracing import make_tracer
from node.trustees.wiring import make_trustee
from node.webhooks.service import Webhooks, make_webhooks
from node.witnessing.wiring import Witnessing, make_gate, make_witnessing


def put_together(opened: Opened) -> Node:
    """A node of what lies in its home. Nothing is started, and nobody is asked anything.

    Raises:
        SettingsInvalid: settings do not fit together.
    """
    settings, keys = opened.settings, opened.keys
    database, audit = opened.database, opened.audit
    network = make_network(opened, _clock)
    gate = make_gate(settings, database, _clock)
    telemetry = Telemetry(tracer=make_tracer(settings.otlp_endpoint, settings.member_id))
    exchange = make_exchange(opened, network, gate, telemetry)
    pseudonym_keys = _pseudonym_keys(opened, network)
    consents = make_consents(opened, network, _clock)
    people = make_people(
        settings, home=opened.home, kek=keys.kek, database=database, audit=audit, clock=_clock
    )
    holdings = NodeHoldings(people.accounts, opened.home / RECORDS_DIRECTORY)
    webhooks = make_webhooks(
        settings, home=opened.home, database=database, audit=audit, kek=keys.kek, clock=_clock
    )
    scoring = _scoring(opened, network, exchange.fetcher, gate, telemetry)
    return Node(
        home=opened.home,
        settings=settings,
        keys=keys,
        database=database,
        data_keys_database=opened.data_keys_database,
        audit=audit,
        documents=network.documents,
        identity=network.identity,
        key_care=network.key_care,
        channels=network.channels,
        routes=network.routes,
        pair_keys=network.pair_keys,
        pseudonym_keys=pseudonym_keys,
        pseudonyms=_pseudonyms(opened, network, pseudonym_keys),
        trustee=make_trustee(opened, network, pseudonym_keys, _clock),
        exchange=exchange.service,
        fetcher=exchange.fetcher,
        consents=consents,
        statuses=make_statuses(opened, network, consents.receive, _clock),
        rights=make_rights(opened, network, holdings, _clock),
        people=people,
        scoring=scoring.service,
        around_scores=scoring.around,
        batch_scoring=scoring.batch,
        releases=scoring.releases,
        shadow=scoring.shadow,
        access=make_access(settings, database=database, audit=audit, clock=_clock),
        webhooks=webhooks,
        monitoring=_monitoring(opened, network, exchange.fetcher, webhooks, gate),
        outcomes=OutcomeService(database=database, audit=audit, now_ms=_clock),
        witnessing=_witnessing(opened, network, gate),
        telemetry=telemetry,
        transport_limits=network.limits,
    )


def _pseudonym_keys(opened: Opened, network: Network) -> PseudonymKeys:
    documents = network.documents
    return PseudonymKeys(
        opened.database,
        directory_key(opened.settings),
        documents.directory,
        network.membership.document,
        documents.look_again,
    )


def _pseudonyms(opened: Opened, network: Network, keys: PseudonymKeys) -> PseudonymService:
    return PseudonymService(
        database=opened.database,
        keys=keys,
        evaluator=GrpcEvaluator(network.routes.to_member),
        local_key=opened.keys.local_key,
        processes=opened.settings.enrolment_processes,
    )


def _scoring(
    opened: Opened,
    network: Network,
    fetcher: ExchangeClient,
    gate: Gate,
    telemetry: Telemetry,
) -> Scoring:
    settings, keys = opened.settings, opened.keys
    return make_scoring(
        settings,
        database=opened.database,
        audit=opened.audit,
        data_keys=opened.data_keys,
        documents=network.documents,
        signing_key=lambda: keys.signing,
        directory_key=lambda: pinned_key(settings),
        membership=network.membership,
        fetcher=fetcher,
        clock=_clock,
        admit=lambda: gate.require(Operation.SCORE),
        telemetry=telemetry,
    )


def _monitoring(
    opened: Opened, network: Network, fetcher: ExchangeClient, webhooks: Webhooks, gate: Gate
) -> Monitoring:
    settings = opened.settings
    return make_monitoring(
        settings,
        database=opened.database,
        audit=opened.audit,
        documents=network.documents,
        directory_key=lambda: pinned_key(settings),
        fetcher=fetcher,
        webhooks=webhooks,
        clock=_clock,
        admit=lambda: gate.require(Operation.SCORE),
    )


def _witnessing(opened: Opened, network: Network, gate: Gate) -> Witnessing:
    documents = network.documents
    return make_witnessing(
        opened.settings,
        gate=gate,
        database=opened.database,
        audit=opened.audit,
        keys=opened.keys,
        directory=documents.directory,
        document=lambda: directory_file(documents.document("directory")),
        to_member=network.routes.to_member,
        to_coordinator=network.to_coordinator,
        now_ms=_clock,
    )


def _clock() -> int:
    return int(time.time() * 1000)
