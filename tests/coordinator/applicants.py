"""Institutions that want to join, as the coordinator sees them."""

import socket
import time
from dataclasses import dataclass, field

from coordinator.bootstrap import Coordinator
from coordinator.membership import JoinAttempt, Joined
from protocols.certificates import make_csr, make_tls_key
from protocols.invitations import Invitation
from protocols.joining import Declaration, sign_join
from protocols.keys import SealingKey, SigningKey

NOW = int(time.time() * 1000)
HOUR_S = 3600


@dataclass
class Applicant:
    """An institution with the keys it made itself."""

    member_id: str = "bank-a"
    role: str = "bank"
    signing: SigningKey = field(default_factory=SigningKey.generate)
    sealing: SealingKey = field(default_factory=SealingKey.generate)
    tls: bytes = field(default_factory=make_tls_key)

    def declaration(self) -> bytes:
        return Declaration(
            member_id=self.member_id,
            name="Harbour Bank",
            role=self.role,
            licence="L-1",
            contact="credit@example.org",
            holds=("credit_account",),
            signing_key=self.signing.verify_key.bytes,
            sealing_key=self.sealing.public,
            endpoint="127.0.0.1:7500",
        ).to_body()

    def attempt(self, invitation: Invitation, **changes: bytes | str) -> JoinAttempt:
        csr = make_csr(self.tls, self.member_id)
        declaration = self.declaration()
        values = {
            "invitation_id": invitation.invitation_id,
            "token": invitation.token,
            "csr_der": csr,
            "declaration": declaration,
            "signature": sign_join(declaration, csr, self.signing),
        }
        return JoinAttempt(**(values | changes))


def join(coordinator: Coordinator, applicant: Applicant) -> Joined:
    """Invite and admit `applicant`."""
    invitation = coordinator.membership.invite(applicant.member_id, applicant.role, HOUR_S, NOW)
    return coordinator.membership.join(applicant.attempt(invitation), NOW)


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
