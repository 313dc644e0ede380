"""How a node joins a network with a one-time invitation.

The invitation pins two things: the SHA-256 of the network's CA certificate and the key that signs
its documents. The steps, in this order; nothing is stored before all have passed:

  1. the invitation is whole, of this node, not expired, and not of another network than the one
     joined before;
  2. the CA certificate is read from the chain that the enrolment port shows, over a connection on
     which nothing is believed and nothing is sent; it is used only if its hash is the pinned one;
  3. over a second connection that trusts that CA alone, under the name `coordinator.credence`,
     the node sends the token, a CSR and its signed declaration;
  4. the answer's CA is the pinned one, and the certificate is for this node's key and id;
  5. the directory verifies under the pinned key and lists this node with this certificate;
  6. the catalogue verifies under the pinned key (both when they are stored, by `Documents`);
  7. documents, certificates and last the settings are stored: settings that name a coordinator
     mean that all the rest is there.

The private keys never leave the home directory. The token is sent only after step 2, so that an
impostor on the path learns nothing.
"""

import hmac
import os
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from audit.database import Database
from node.keystore import NodeKeys
from node.network.documents import Documents
from node.network.membership_log import MembershipLog
from node.network.rpc_errors import remote_errors
from node.network.transport import TransportLimits, open_channel
from node.settings import SETTINGS_FILE, NodeSettings
from protocols.canonical import sha256
from protocols.certificates import (
    COORDINATOR_DNS,
    CertificateRefused,
    fingerprint,
    make_csr,
    to_pem,
    verify_ca,
    verify_member_certificate,
)
from protocols.directory import Directory, accept
from protocols.documents import from_proto
from protocols.errors import CredenceError, HomeUnusable, StateConflict
from protocols.invitations import Invitation, InvitationExpired
from protocols.joining import Declaration, sign_join
from protocols.keys import VerifyKey
from protocols.suites import SUPPORTED
from protocols.v1.membership_pb2 import JoinRequest, JoinResponse
from protocols.v1.membership_pb2_grpc import EnrolmentStub

CA_FILE = "ca.pem"
CERTIFICATE_FILE = "certificate.pem"
CONNECT_TIMEOUT_S = 10.0
JOIN_TIMEOUT_S = 30.0


class InvitationForOther(CredenceError):
    """The invitation admits another member than this node."""

    code = "invitation_for_other"
    category = "invalid"
    next_step = "Use the invitation of this node's member id, or make the home of the other member."


class OtherNetwork(StateConflict):
    """This node is a member of another network already."""

    code = "other_network"
    next_step = "A home belongs to one network; make a new home for this invitation."


class EnrolmentUnreachable(CredenceError):
    """The enrolment port does not answer, or does not speak TLS."""

    code = "enrolment_unreachable"
    category = "unavailable"
    retryable = True
    next_step = "Check that the coordinator runs and that its enrolment port is reachable."


class JoinAnswerInvalid(CredenceError):
    """What the coordinator answered is not what a member must get."""

    code = "join_answer_invalid"
    category = "unauthenticated"
    next_step = "Nothing was stored. Tell the operator; the invitation may be used up."


@dataclass(frozen=True)
class Joined:
    """The outcome of joining: directory version and how many members it lists."""

    member_id: str
    directory_version: int
    members: int


def join(
    home: Path,
    settings: NodeSettings,
    keys: NodeKeys,
    database: Database,
    journal: MembershipLog,
    text: str,
    now_ms: int,
) -> Joined:
    """Join with an invitation; see the module's steps.

    Args:
        home: the node's home directory.
        settings: as read from it.
        keys: as read from it.
        database: the node's, its schema in place.
        journal: logs the new membership.
        text: the invitation's line.
        now_ms: UTC milliseconds.

    Raises:
        InvitationInvalid, InvitationExpired, InvitationForOther, OtherNetwork: step 1.
        EnrolmentUnreachable, CertificateRefused: step 2.
        CredenceError: step 3, with the coordinator's code.
        CertificateRefused, JoinAnswerInvalid, SignatureInvalid: steps 4 to 6.
        HomeUnusable, DatabaseUnavailable: step 7.
    """
    invitation = _checked_invitation(text, settings, now_ms)  # 1
    ca_pem = fetch_ca(invitation.enrolment_endpoint, invitation.ca_sha256, now_ms)  # 2
    answer = _ask(invitation, ca_pem, settings, keys)  # 3
    certificate = _checked_certificate(answer, invitation, ca_pem, keys, now_ms)  # 4
    directory = _checked_directory(answer, invitation, certificate, keys)  # 5
    key = VerifyKey(invitation.directory_key)
    documents = Documents(database, key, _no_refresh, changed=journal.changed)
    documents.install(from_proto(answer.directory), from_proto(answer.catalogue))  # 6, 7
    store_membership(
        home,
        ca_pem,
        certificate,
        invitation.coordinator_endpoint,
        invitation.directory_key,
    )  # 7
    return Joined(settings.member_id, directory.version, len(directory.members))


def fetch_ca(endpoint: str, pin: bytes, now_ms: int) -> bytes:
    """The CA certificate that `endpoint` shows in its chain, PEM, if it is the pinned one.

    Raises:
        EnrolmentUnreachable: nobody answers there with TLS.
        CertificateRefused: no certificate of the chain has the pinned hash.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # nothing on this connection is believed but a hash
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    host, _, port = endpoint.rpartition(":")
    try:
        with (
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=COORDINATOR_DNS) as tls,
        ):
            chain = _presented_chain(tls)
    except OSError as error:
        raise EnrolmentUnreachable(f"{endpoint} does not answer: {error.strerror}") from error
    for certificate in chain:
        if hmac.compare_digest(sha256(certificate), pin):
            return verify_ca(certificate, pin, now_ms=now_ms)
    raise CertificateRefused(
        "the enrolment port does not show the CA certificate that the invitation names",
        next_step="Do not go on: another server answers there, or the invitation is not its.",
    )


def _presented_chain(tls: ssl.SSLSocket) -> list[bytes]:
    """The certificates that the server sent, DER."""
    public = getattr(tls, "get_unverified_chain", None)
    if public is not None:  # Python 3.13
        return list(public())
    # The same method of the layer below, there since 3.10.
    certificates = tls._sslobj.get_unverified_chain()  # type: ignore[attr-defined]  # noqa: SLF001
    return [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in certificates]


def _checked_invitation(text: str, settings: NodeSettings, now_ms: int) -> Invitation:
    invitation = Invitation.from_text(text)
    if invitation.member_id != settings.member_id:
        raise InvitationForOther(
            f"the invitation admits {invitation.member_id}, this node is {settings.member_id}"
        )
    if invitation.expires_at_ms <= now_ms:
        raise InvitationExpired("the invitation has expired")
    known = settings.directory_key
    if known is not None and known != invitation.directory_key.hex():
        raise OtherNetwork("this node is a member of another network already")
    return invitation


def _ask(
    invitation: Invitation, ca_pem: bytes, settings: NodeSettings, keys: NodeKeys
) -> JoinResponse:
    declaration = Declaration(
        member_id=settings.member_id,
        name=settings.name,
        role=settings.role,
        licence=settings.licence,
        contact=settings.contact,
        holds=tuple(sorted(settings.holds)),
        signing_key=keys.signing.verify_key.bytes,
        sealing_key=keys.sealing.public,
        endpoint=settings.dialled,
        suites=SUPPORTED,
        licence_until_ms=settings.licence_until_ms,
    ).to_body()
    csr = make_csr(keys.tls, settings.member_id)
    request = JoinRequest(
        invitation_id=invitation.invitation_id,
        token=invitation.token,
        csr_der=csr,
        declaration=declaration,
        signature=sign_join(declaration, csr, keys.signing),
    )
    endpoint = invitation.enrolment_endpoint
    with (
        open_channel(endpoint, COORDINATOR_DNS, ca_pem, None, TransportLimits()) as channel,
        remote_errors("the coordinator"),
    ):
        return EnrolmentStub(channel).Join(request, timeout=JOIN_TIMEOUT_S)


def _checked_certificate(
    answer: JoinResponse, invitation: Invitation, ca_pem: bytes, keys: NodeKeys, now_ms: int
) -> bytes:
    if not hmac.compare_digest(fingerprint(answer.ca_certificate_der), invitation.ca_sha256):
        raise JoinAnswerInvalid("the answer names another CA than the invitation")
    certificate = answer.certificate_der
    named = verify_member_certificate(certificate, ca_pem, now_ms=now_ms, key_pem=keys.tls)
    if named != invitation.member_id:
        raise JoinAnswerInvalid("the certificate names another member than this node")
    return certificate


def _checked_directory(
    answer: JoinResponse, invitation: Invitation, certificate: bytes, keys: NodeKeys
) -> Directory:
    directory = accept(None, from_proto(answer.directory), VerifyKey(invitation.directory_key))
    entry = directory.active_member(invitation.member_id)
    listed = (entry.certificate_sha256, entry.signing_key, entry.sealing_key)
    own = (fingerprint(certificate), keys.signing.verify_key.bytes, keys.sealing.public)
    if listed != own:
        raise JoinAnswerInvalid("the directory lists this node with other keys than its own")
    return directory


def store_membership(
    home: Path, ca_pem: bytes, certificate: bytes, coordinator: str, directory_key: bytes
) -> None:
    """Store what makes a home a member's, the settings last.

    Args:
        home: the node's home directory.
        ca_pem: the network's CA certificate.
        certificate: the node's own, DER or PEM.
        coordinator: host:port of its member port.
        directory_key: the 32-byte key that signs the network's documents.

    Raises:
        HomeUnusable: a file cannot be written.
    """
    settings_file = home / SETTINGS_FILE
    try:
        kept = [
            line
            for line in settings_file.read_text(encoding="utf-8").splitlines()
            if not line.startswith(("coordinator_endpoint", "directory_key"))
        ]
        joined = [
            f'coordinator_endpoint = "{coordinator}"',
            f'directory_key = "{directory_key.hex()}"',
        ]
        replace_file(home / CA_FILE, ca_pem)
        replace_file(home / CERTIFICATE_FILE, to_pem(certificate))
        replace_file(settings_file, "\n".join([*kept, *joined, ""]).encode())
    except OSError as error:
        raise HomeUnusable(f"cannot write in {home}: {error.strerror}") from error


def replace_file(path: Path, content: bytes) -> None:
    """Write `path` whole or not at all: a new file takes its place in one step."""
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _no_refresh(kind: str) -> NoReturn:
    raise JoinAnswerInvalid(f"no {kind} is fetched while joining")
