"""Passing the signed directory on between members, both sides of it."""

import random
from typing import TYPE_CHECKING

from node.network.rpc_errors import remote_errors
from protocols.directory import Directory
from protocols.documents import Document, from_proto, to_proto
from protocols.errors import Malformed
from protocols.v1.membership_pb2 import DirectoryRequest, SignedDocument
from protocols.v1.membership_pb2_grpc import GossipServicer, GossipStub

if TYPE_CHECKING:
    import grpc

    from node.network.documents import Documents
    from node.network.transport import MemberChannels

TIMEOUT_S = 3.0
ASKED = 3  # in a turn: what one member knows reaches all in a few turns


class GossipPeers:
    """Asks other members for their directory."""

    def __init__(self, member_id: str, channels: "MemberChannels") -> None:
        """Ask as `member_id` over `channels`."""
        self._member_id = member_id
        self._channels = channels

    def some(self, directory: Directory) -> list[str]:
        """A few active members to ask, in random order."""
        others = [
            entry.member_id
            for entry in directory.members
            if entry.active and entry.member_id != self._member_id
        ]
        return random.sample(others, min(ASKED, len(others)))

    def directory_of(self, member_id: str) -> Document:
        """The newest directory that a member holds, not verified yet.

        Raises:
            UnknownMember, MemberNotActive: it is not to be asked.
            PeerUnreachable, PeerTooSlow: it does not answer.
            Malformed: what it answers is no directory.
        """
        stub = GossipStub(self._channels.to_member(member_id))
        with remote_errors(member_id):
            answer = stub.Directory(DirectoryRequest(), timeout=TIMEOUT_S)
        document = from_proto(answer)
        if document.kind != "directory":
            raise Malformed(f"{member_id} gave another document than its directory")
        return document


class GossipServer(GossipServicer):
    """Gives members this node's directory; behind a `MemberGate`."""

    def __init__(self, documents: "Documents") -> None:
        self._documents = documents

    def Directory(  # noqa: N802 - the name in the .proto
        self,
        request: DirectoryRequest,  # noqa: ARG002
        context: "grpc.ServicerContext",  # noqa: ARG002
    ) -> SignedDocument:
        """The newest directory here, as the coordinator signed it."""
        return to_proto(self._documents.document("directory"))
