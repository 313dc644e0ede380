"""What certificates are issued with, and where members dial."""

from dataclasses import dataclass

from protocols.certificates import issue_certificate
from protocols.errors import InvalidInput

MAX_CERTIFICATE_DAYS = 90
MAX_CSR_BYTES = 8 * 1024
ACTOR = "coordinator"


@dataclass(frozen=True)
class Authority:
    """The members' certificate authority.

    Attributes:
        ca_key: its private key, PEM.
        ca_certificate: its certificate, PEM.
        certificate_days: life of a certificate, at most 90 days.
        overlap_s: how long a replaced certificate is honoured beside its successor, seconds.
    """

    ca_key: bytes
    ca_certificate: bytes
    certificate_days: int = MAX_CERTIFICATE_DAYS
    overlap_s: int = 72 * 3600

    def __post_init__(self) -> None:
        if not 1 <= self.certificate_days <= MAX_CERTIFICATE_DAYS:
            raise InvalidInput(f"a certificate lives 1 to {MAX_CERTIFICATE_DAYS} days")

    def issue(self, csr_der: bytes, member_id: str, role: str, now_ms: int) -> bytes:
        """A member's certificate, DER; for its checks see `protocols.certificates`.

        Raises:
            CertificateRefused: the CSR does not say exactly what it must.
        """
        return issue_certificate(
            self.ca_key,
            self.ca_certificate,
            csr_der,
            member_id,
            role,
            now_ms,
            self.certificate_days,
        )


@dataclass(frozen=True)
class Endpoints:
    """Where invited nodes and members dial, `host:port` each."""

    enrolment: str
    members: str
