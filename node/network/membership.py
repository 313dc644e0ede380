"""What a member asks of the coordinator: the network's signed documents and model bundles."""

from collections.abc import Callable, Iterator

from node.network.rpc_errors import remote_errors
from node.network.transport import Channels
from protocols.documents import Document, from_proto
from protocols.releases import KIND
from protocols.v1.membership_pb2 import (
    BundlePiece,
    GetBundleRequest,
    GetDocumentRequest,
    RenewRequest,
    RenewResponse,
    RotateRequest,
)
from protocols.v1.membership_pb2_grpc import MembershipStub

COORDINATOR = "the coordinator"
TIMEOUT_S = 5.0
BUNDLE_TIMEOUT_S = 60.0


class MembershipClient:
    """Calls the coordinator's member port."""

    def __init__(self, channels: Channels, endpoint: Callable[[], str]) -> None:
        """Call over `channels` the endpoint that `endpoint` gives (it may raise `NotJoined`)."""
        self._channels = channels
        self._endpoint = endpoint

    def document(self, kind: str) -> Document:
        """The newest document of a kind, not verified yet.

        Raises:
            NotJoined: no coordinator is known yet.
            PeerUnreachable, PeerTooSlow: it does not answer.
            Malformed: what it answers is not a document of the kind asked for.
        """
        stub = MembershipStub(self._channels.to_coordinator(self._endpoint()))
        with remote_errors(COORDINATOR):
            answer = stub.GetDocument(GetDocumentRequest(kind=kind), timeout=TIMEOUT_S)
        return from_proto(answer)

    def release(self, scores_with: str, held: int) -> Document:
        """The newest model release, not verified yet.

        Args:
            scores_with: the version that is answered with here (empty: none), for the operator.
            held: serial of the release held here, 0 when there is none.

        Raises:
            NotJoined: no coordinator is known yet.
            NotFound: nothing is released yet.
            PeerUnreachable, PeerTooSlow: it does not answer.
            Malformed: what it answers is not a document of a known kind.
        """
        stub = MembershipStub(self._channels.to_coordinator(self._endpoint()))
        request = GetDocumentRequest(kind=KIND, scores_with=scores_with, release_held=held)
        with remote_errors(COORDINATOR):
            answer = stub.GetDocument(request, timeout=TIMEOUT_S)
        return from_proto(answer)

    def renew(self, request: RenewRequest) -> RenewResponse:
        """The answer to a renewal, not verified yet.

        Raises:
            NotJoined: no coordinator is known yet.
            PeerUnreachable, PeerTooSlow: it does not answer.
            CredenceError: it refuses, with its code.
        """
        stub = MembershipStub(self._channels.to_coordinator(self._endpoint()))
        with remote_errors(COORDINATOR):
            return stub.Renew(request, timeout=TIMEOUT_S)

    def rotate(self, request: RotateRequest) -> RenewResponse:
        """The answer to a rotation, not verified yet.

        Raises:
            NotJoined: no coordinator is known yet.
            PeerUnreachable, PeerTooSlow: it does not answer.
            CredenceError: it refuses, with its code.
        """
        stub = MembershipStub(self._channels.to_coordinator(self._endpoint()))
        with remote_errors(COORDINATOR):
            return stub.Rotate(request, timeout=TIMEOUT_S)

    def bundle(self, version: str) -> Iterator[BundlePiece]:
        """The pieces of a bundle, nothing of them verified yet.

        Raises:
            NotJoined: no coordinator is known yet.
            PeerUnreachable, PeerTooSlow: it does not answer.
            PeerFailed: it has no such bundle.
        """
        stub = MembershipStub(self._channels.to_coordinator(self._endpoint()))
        with remote_errors(COORDINATOR):
            request = GetBundleRequest(version=version)
            yield from stub.GetBundle(request, timeout=BUNDLE_TIMEOUT_S)
