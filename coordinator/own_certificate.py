"""The coordinator's own certificate: short-lived like a member's, renewed by itself."""

from collections.abc import Callable
from pathlib import Path

from coordinator.home import CERTIFICATE_FILE
from coordinator.keystore import CoordinatorKeys
from coordinator.transport import TlsIdentity
from protocols.certificate_facts import to_pem, valid_from_ms, valid_until_ms
from protocols.certificates import issue_server_certificate
from protocols.errors import HomeUnusable

SERVER_DAYS = 90


class OwnCertificate:
    """Gives what the coordinator shows in TLS; a server asks at every new connection."""

    def __init__(self, home: Path, keys: CoordinatorKeys, identity: TlsIdentity) -> None:
        """Begin with `identity`, as it was read from `home`."""
        self._home = home
        self._keys = keys
        self._identity = identity

    def __call__(self) -> TlsIdentity:
        """The identity to show now."""
        return self._identity

    def renew_if_due(self, now_ms: int, note: Callable[[bytes], None]) -> bool:
        """Renew when less than a third of its life is left; whether it was.

        Args:
            now_ms: UTC milliseconds.
            note: told the new certificate, PEM, before it is in use; it logs it.

        Raises:
            HomeUnusable: it cannot be written; the one in use stays.
        """
        held = self._identity
        begin, end = valid_from_ms(held.certificate), valid_until_ms(held.certificate)
        if (end - now_ms) * 3 >= end - begin:
            return False
        certificate = to_pem(
            issue_server_certificate(self._keys.ca, held.ca, held.key, now_ms, SERVER_DAYS)
        )
        note(certificate)
        path = self._home / CERTIFICATE_FILE
        beside = path.with_name(path.name + ".new")
        try:
            beside.write_bytes(certificate)
            beside.replace(path)
        except OSError as error:
            raise HomeUnusable(f"cannot write in {self._home}: {error.strerror}") from error
        self._identity = TlsIdentity(held.ca, certificate, held.key)
        return True
