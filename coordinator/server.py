"""The coordinator's own services: joining on one port, documents and bundles on the other."""

import time
from collections.abc import Iterator

import grpc
import structlog

from coordinator.membership import JoinAttempt, Membership, Renewed, RotationAttempt
from coordinator.registry import BundleRegistry
from coordinator.running import Running
from coordinator.transport import peer_certificate, peer_member
from protocols.documents import to_proto
from protocols.errors import CredenceError, InvalidInput
from protocols.releases import KIND, is_version
from protocols.v1.membership_pb2 import (
    BundlePiece,
    GetBundleRequest,
    GetDocumentRequest,
    JoinRequest,
    JoinResponse,
    RenewRequest,
    RenewResponse,
    RotateRequest,
    SignedDocument,
)
from protocols.v1.membership_pb2_grpc import EnrolmentServicer, MembershipServicer

_log = structlog.get_logger(__name__)

SERVED_KINDS = ("directory", "catalogue", "ceremony", KIND)


class EnrolmentService(EnrolmentServicer):
    """Admits an invited node."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership

    def Join(  # noqa: N802 - the name in the .proto
        self,
        request: JoinRequest,
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> JoinResponse:
        """Answer one join request; see `Membership.join` for its checks."""
        attempt = JoinAttempt(
            invitation_id=request.invitation_id,
            token=request.token,
            csr_der=request.csr_der,
            declaration=request.declaration,
            signature=request.signature,
        )
        joined = self._membership.join(attempt, int(time.time() * 1000))
        return JoinResponse(
            certificate_der=joined.certificate_der,
            ca_certificate_der=joined.ca_certificate_der,
            directory=to_proto(joined.directory),
            catalogue=to_proto(joined.catalogue),
        )


class MembershipService(MembershipServicer):
    """Gives members the network's signed documents and model bundles."""

    def __init__(self, membership: Membership, bundles: BundleRegistry, running: Running) -> None:
        self._membership = membership
        self._bundles = bundles
        self._running = running

    def GetDocument(  # noqa: N802 - the name in the .proto
        self,
        request: GetDocumentRequest,
        context: grpc.ServicerContext,
    ) -> SignedDocument:
        """The document of the asked kind in force."""
        if request.kind not in SERVED_KINDS:
            raise InvalidInput(f"a kind is one of {', '.join(SERVED_KINDS)}")
        if request.kind == KIND:
            self._note(peer_member(context), request)
        return to_proto(self._membership.document(request.kind))

    def Renew(  # noqa: N802 - the name in the .proto
        self, request: RenewRequest, context: grpc.ServicerContext
    ) -> RenewResponse:
        """The caller's next certificate; see `Renewal.renew` for its checks."""
        renewed = self._membership.renew(
            peer_member(context),
            peer_certificate(context),
            request.csr_der,
            request.signature,
            int(time.time() * 1000),
        )
        return _renewed(renewed)

    def Rotate(  # noqa: N802 - the name in the .proto
        self, request: RotateRequest, context: grpc.ServicerContext
    ) -> RenewResponse:
        """The caller's next keys; see `Renewal.rotate` for its checks."""
        attempt = RotationAttempt(
            body=request.body,
            csr_der=request.csr_der,
            old_signature=request.old_signature,
            new_signature=request.new_signature,
        )
        renewed = self._membership.rotate(
            peer_member(context), peer_certificate(context), attempt, int(time.time() * 1000)
        )
        return _renewed(renewed)

    def GetBundle(  # noqa: N802 - the name in the .proto
        self,
        request: GetBundleRequest,
        context: grpc.ServicerContext,
    ) -> Iterator[BundlePiece]:
        """A bundle: its manifest, then its tensors in pieces."""
        if request.version and not is_version(request.version):
            raise InvalidInput("a bundle's version has at most 40 letters, digits and .-_")
        yield from self._bundles.pieces(peer_member(context), request.version)

    def _note(self, member_id: str, request: GetDocumentRequest) -> None:
        version = request.scores_with
        if (version and not is_version(version)) or not 0 <= request.release_held < 2**31:
            raise InvalidInput("a version or a serial of the wrong form")
        try:
            self._running.said(member_id, version, request.release_held, int(time.time() * 1000))
        except CredenceError as error:
            # The release is worth more than knowing who has it.
            _log.warning("running.not_noted", code=error.code)


def _renewed(renewed: Renewed) -> RenewResponse:
    return RenewResponse(
        certificate_der=renewed.certificate_der, directory=to_proto(renewed.directory)
    )
