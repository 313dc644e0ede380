"""Where the parts that reach the network are put together."""

from collections.abc import Callable
from dataclasses import dataclass

import grpc

from node.network.documents import Documents, NotJoined
from node.network.gossip import GossipPeers
from node.network.identity import OwnIdentity
from node.network.key_care import KeyCare
from node.network.membership import MembershipClient
from node.network.membership_log import MembershipLog
from node.network.pairwise import PairKeys
from node.network.pinned import coordinator_endpoint, directory_key
from node.network.transport import Channels, TransportLimits
from node.opening import Opened
from node.relay.channel import RelayDialler
from node.relay.routes import Routes
from protocols.directory import MemberEntry, UnknownMember


@dataclass(frozen=True)
class Network:
    """How a node reaches the network.

    Attributes:
        documents: the directory and the catalogue in force.
        identity: gives what it shows of itself in TLS; raises `NotJoined` before it has joined.
        channels: connections to other members and to the coordinator.
        membership: asks the coordinator about documents, models and the node's own entry.
        pair_keys: pairwise secrets with other members.
        routes: channels to members, directly or through the relay.
        key_care: renews the node's certificate, replaces its keys.
        limits: sizes and concurrency of the wire.
        to_coordinator: a channel to the coordinator; raises `NotJoined` where none is known.
    """

    documents: Documents
    identity: OwnIdentity
    channels: Channels
    membership: MembershipClient
    pair_keys: PairKeys
    routes: Routes
    key_care: KeyCare
    limits: TransportLimits
    to_coordinator: Callable[[], grpc.Channel]


def make_network(opened: Opened, clock: Callable[[], int]) -> Network:
    """The parts of one node, which may not have joined yet; nothing is asked of anybody.

    Args:
        opened: the node's home. Its keys follow the directory from now on.
        clock: UTC milliseconds.
    """
    settings, keys, member_id = opened.settings, opened.keys, opened.settings.member_id
    limits = TransportLimits()
    # Documents come over channels, and channels dial what the directory names.
    identity = OwnIdentity(opened.home, keys, lambda: documents.adopt_stored())
    channels = Channels(identity, lambda: documents.directory(), limits)
    membership = MembershipClient(channels, lambda: coordinator_endpoint(settings))
    journal = MembershipLog(opened.audit, member_id)
    documents = Documents(
        opened.database,
        directory_key(settings),
        journal.watching(membership.document, opened.database, clock),
        peers=GossipPeers(member_id, channels),
        changed=journal.changed,
        max_age_s=settings.directory_max_age_s,
    )
    keys.follow(lambda: _own_entry(documents, member_id))

    def to_coordinator() -> grpc.Channel:
        return channels.to_coordinator(coordinator_endpoint(settings))

    relay = RelayDialler(
        member_id=member_id,
        signing=lambda: keys.signing,
        source=documents,
        coordinator=to_coordinator,
        answer_bytes=limits.answer_bytes,
    )
    return Network(
        documents=documents,
        identity=identity,
        channels=channels,
        membership=membership,
        pair_keys=PairKeys(member_id, keys.sealing_keys, documents.directory),
        routes=Routes(channels, documents.directory, relay, look_again=documents.look_again),
        key_care=KeyCare(
            home=opened.home,
            member_id=member_id,
            keys=keys,
            identity=identity,
            documents=documents,
            membership=membership,
            database=opened.database,
            journal=journal,
        ),
        limits=limits,
        to_coordinator=to_coordinator,
    )


def _own_entry(documents: Documents, member_id: str) -> MemberEntry | None:
    try:
        return documents.directory().member(member_id)
    except (NotJoined, UnknownMember):
        return None
