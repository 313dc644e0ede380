"""Puts together what keeps and publishes status lists."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit.database import Database
from consent.delivery import Delivery
from node.consents.parties import Parties
from node.consents.status_inbox import StatusInbox
from node.consents.status_keeper import StatusKeeper
from node.consents.status_publisher import StatusPublisher
from node.consents.status_rpc import GrpcStatusSource
from node.settings import NodeSettings
from protocols.directory import Directory
from protocols.keys import SigningKey

if TYPE_CHECKING:
    import grpc


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


def make_statuses(
    settings: NodeSettings,
    database: Database,
    signing_key: Callable[[], SigningKey],
    directory: Callable[[], Directory],
    channel: "Callable[[str], grpc.Channel]",
    receive: Callable[[str, Sequence[Delivery]], object],
    clock: Callable[[], int],
) -> Statuses:
    """The parts of one node.

    Args:
        settings: the node's.
        database: the node's.
        signing_key: gives the key that the directory names.
        directory: gives the member directory in force.
        channel: gives a channel to a member.
        receive: takes in deliveries of a member.
        clock: UTC milliseconds now.
    """
    life_ms = int(settings.status_life_s * 1000)
    inbox = StatusInbox(database, directory, life_ms)
    return Statuses(
        StatusPublisher(database, settings.member_id, signing_key, clock, life_ms),
        inbox,
        StatusKeeper(
            database,
            settings.member_id,
            GrpcStatusSource(channel),
            inbox,
            receive,
            clock,
        ),
        Parties(database, settings.member_id, life_ms),
    )
