"""Where both sides of the exchange are put together: the holder's and the recipient's."""

from dataclasses import dataclass

from audit.witness_state import Gate, Operation
from node.consents.freshness import Freshness
from node.exchange.client import ExchangeClient
from node.exchange.decisions import Decider
from node.exchange.inbox import Inbox
from node.exchange.records import ReleaseRecorder
from node.exchange.service import ExchangeService
from node.network.rates import PeerRates
from node.network.wiring import Network
from node.opening import Opened
from node.telemetry.telemetry import Telemetry
from protocols.envelope import DEFAULT_LIMITS


@dataclass(frozen=True)
class Exchange:
    """Sealed signals at one node.

    Attributes:
        service: the holder's side, answers other members.
        fetcher: the recipient's side, asks other members.
    """

    service: ExchangeService
    fetcher: ExchangeClient


def make_exchange(opened: Opened, network: Network, gate: Gate, telemetry: Telemetry) -> Exchange:
    """Both sides at one node.

    Args:
        opened: its home.
        network: its way to the others.
        gate: whether it may release anything now.
        telemetry: where it is counted what was asked.
    """
    recorder = ReleaseRecorder(opened.settings.member_id, opened.audit)
    return Exchange(
        service=_holder(opened, network, recorder, gate),
        fetcher=_recipient(opened, network, recorder, telemetry),
    )


def _holder(
    opened: Opened, network: Network, recorder: ReleaseRecorder, gate: Gate
) -> ExchangeService:
    member_id, keys = opened.settings.member_id, opened.keys
    decider = Decider(
        member_id=member_id,
        holds=opened.settings.holds,
        catalogue=network.documents.catalogue,
        pair_keys=network.pair_keys,
        freshness=Freshness(member_id),
    )
    return ExchangeService(
        member_id=member_id,
        signing_key=lambda: keys.signing,
        database=opened.database,
        directory=network.documents.fresh_directory,
        decider=decider,
        recorder=recorder,
        limits=DEFAULT_LIMITS,
        rates=PeerRates(network.limits),
        admit=lambda: gate.require(Operation.RELEASE),
    )


def _recipient(
    opened: Opened, network: Network, recorder: ReleaseRecorder, telemetry: Telemetry
) -> ExchangeClient:
    member_id, keys, documents = opened.settings.member_id, opened.keys, network.documents
    inbox = Inbox(
        member_id=member_id,
        database=opened.database,
        catalogue=documents.catalogue,
        recorder=recorder,
        freshness=Freshness(member_id),
    )
    return ExchangeClient(
        member_id=member_id,
        signing_key=lambda: keys.signing,
        directory=documents.directory,
        channels=network.routes,
        pair_keys=network.pair_keys,
        inbox=inbox,
        limits=DEFAULT_LIMITS,
        telemetry=telemetry,
    )
