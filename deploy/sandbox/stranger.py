"""A stranger at the door: speaks TLS, shows no certificate or one of a CA of its own."""

import socket
import ssl
import tempfile
import time
from pathlib import Path

from deploy.sandbox.layout import LOOPBACK
from protocols.certificates import create_ca, issue_certificate, make_csr, make_tls_key, to_pem

TIMEOUT_S = 5.0


def is_turned_away(port: int, member_id: str | None) -> bool:
    """Whether a server refuses to talk.

    Args:
        port: of the server on loopback.
        member_id: the member whose name the stranger's certificate claims; None: no certificate.

    Returns:
        False when the server goes on to speak HTTP/2 with the stranger.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # a stranger cares for nobody's name
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    if member_id is not None:
        _show_forged_certificate(context, member_id)
    try:
        with (
            socket.create_connection((LOOPBACK, port), TIMEOUT_S) as plain,
            context.wrap_socket(plain) as secured,
        ):
            # In TLS 1.3 the refusal of a client's certificate arrives after the handshake; a
            # server that accepts greets with its HTTP/2 settings.
            return secured.recv(1) == b""
    except (ssl.SSLError, ConnectionError):
        return True


def _show_forged_certificate(context: ssl.SSLContext, member_id: str) -> None:
    now_ms = int(time.time() * 1000)
    ca_key, ca = create_ca("stranger", now_ms, 1)
    key = make_tls_key()
    certificate = to_pem(
        issue_certificate(ca_key, ca, make_csr(key, member_id), member_id, "bank", now_ms, 1)
    )
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "stranger.pem"
        path.touch(mode=0o600)
        path.write_bytes(key + certificate)
        context.load_cert_chain(path)
