"""What the invitation pinned in a node's settings: the network's directory key and coordinator."""

from node.network.documents import NotJoined
from node.settings import NodeSettings
from protocols.keys import VerifyKey


def directory_key(settings: NodeSettings) -> VerifyKey | None:
    """The key that signs the network's documents; None before the node has joined."""
    known = settings.directory_key
    return VerifyKey(bytes.fromhex(known)) if known else None


def pinned_key(settings: NodeSettings) -> VerifyKey:
    """The key that signs the network's documents.

    Raises:
        NotJoined: none is pinned yet.
    """
    key = directory_key(settings)
    if key is None:
        raise NotJoined("this node trusts no directory key yet")
    return key


def coordinator_endpoint(settings: NodeSettings) -> str:
    """The coordinator's member port, host:port.

    Raises:
        NotJoined: none is known yet.
    """
    if settings.coordinator_endpoint is None:
        raise NotJoined("this node knows no coordinator yet")
    return settings.coordinator_endpoint
