"""Where a node's consents, and the status lists that tell of them, are put together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from consent.delivery import Delivery
from consent.templates import Templates
from node.consents.client import GrpcCourier
from node.consents.parties import Parties
from node.consents.service import ConsentService
from node.consents.status_inbox import StatusInbox
from node.consents.status_keeper import StatusKeeper
from node.consents.status_publisher import StatusPublisher
from node.consents.status_rpc import GrpcStatusSource
from node.network.wiring import Network
from node.opening import Opened


@dataclass(frozen=True)
class Statuses:
    """Status lists of a node.

    Attributes:
        publisher: answers for the consents it controls.
        keeper: keeps the lists of others fresh.
        inbox: verifies and keeps lists.
        parties: where each party of a consent stands.
    """

    publisher: StatusPublisher
    inbox: StatusInbox
    keeper: StatusKeeper
    parties: Parties


def make_consents(opened: Opened, network: Network, clock: Callable[[], int]) -> ConsentService:
    """All that one node does with consents.

    Args:
        opened: its home.
        network: its way to the others.
        clock: UTC milliseconds now.
    """
    keys = opened.keys
    return ConsentService(
        opened.database,
        opened.audit,
        member_id=opened.settings.member_id,
        signing_key=lambda: keys.signing,
        directory=network.documents.directory,
        pair_keys=network.pair_keys,
        courier=GrpcCourier(network.routes.to_member),
        templates=Templates.load_default(),
        clock=clock,
    )


def make_statuses(
    opened: Opened,
    network: Network,
    receive: Callable[[str, Sequence[Delivery]], object],
    clock: Callable[[], int],
) -> Statuses:
    """The status lists of one node.

    Args:
        opened: its home.
        network: its way to the others.
        receive: takes in deliveries of a member.
        clock: UTC milliseconds now.
    """
    database, member_id, keys = opened.database, opened.settings.member_id, opened.keys
    life_ms = int(opened.settings.status_life_s * 1000)
    source = GrpcStatusSource(network.routes.to_member)
    inbox = StatusInbox(database, network.documents.directory, life_ms)
    return Statuses(
        StatusPublisher(database, member_id, lambda: keys.signing, clock, life_ms),
        inbox,
        StatusKeeper(database, member_id, source, inbox, receive, clock),
        Parties(database, member_id, life_ms),
    )
