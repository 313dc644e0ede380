"""Webhooks over TLS, to a server of a private authority: whom the node believes, and what it says
of the others.
"""

import datetime as dt
import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from node.bootstrap import init_node, open_node
from node.settings import SETTINGS_FILE, settings_text
from node.webhooks.addresses import Guard, UrlRefused
from node.webhooks.schedule import ATTEMPTS, delay_s
from node.webhooks.sender import Sender, trusting
from protocols.errors import HomeUnusable
from protocols.standard_webhooks import parse_public_key, public_key_text, verify
from tests.node.webhook_world import CLIENT, WebhookWorld, open_webhooks

HOST = "hooks.bank.internal"
HOUR_MS = 3_600_000
LOOPBACK = ("127.0.0.0/8",)
DAY = dt.timedelta(days=1)


@dataclass
class Authority:
    """A private certification authority, in files."""

    root: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, root: Path) -> "Authority":
        root.mkdir()
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, root.name)])
        made = _builder(name, name, key).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        certificate = made.sign(key, hashes.SHA256())
        (root / "ca.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        return cls(root, key, certificate)

    @property
    def pem(self) -> Path:
        return self.root / "ca.pem"

    def server(self, host: str = HOST, *, ended: bool = False) -> ssl.SSLContext:
        """What a server of this name speaks TLS with."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        made = _builder(subject, self.certificate.subject, key, ended=ended)
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        issued = made.add_extension(names, critical=False).sign(self.key, hashes.SHA256())
        file = self.root / "server.pem"
        file.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            + issued.public_bytes(Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    *,
    ended: bool = False,
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 3 * DAY)
        .not_valid_after(now - DAY if ended else now + DAY)
    )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.make(tmp_path / "ours")


def guard(networks: tuple[str, ...] = LOOPBACK) -> Guard:
    """The name leads to this machine."""
    return Guard(networks, lambda _host, _port: ["127.0.0.1"])


def sender(trusted: Authority | None) -> Sender:
    return Sender(guard(), tls=trusting(trusted.pem) if trusted else None)


def endpoint(world: WebhookWorld) -> tuple[str, list[str]]:
    shown = world.webhooks.endpoints.add(CLIENT, f"https://{HOST}:{world.receiver.port}/hooks?a=b")
    return shown.endpoint.endpoint_id, [public_key_text(key) for key, _ in shown.keys]


def failures(world: WebhookWorld, endpoint_id: str) -> list[str]:
    return [one.failure for one in world.log(endpoint_id)[0].attempts]


def test_an_endpoint_of_the_institutions_own_authority_is_told(
    tmp_path: Path, authority: Authority
) -> None:
    with open_webhooks(tmp_path, sender(authority), authority.server()) as world:
        endpoint_id, public = endpoint(world)
        message_id = world.emit()
        assert world.work() == 1
        (heard,) = world.receiver.heard
        assert heard.headers["host"] == f"{HOST}:{world.receiver.port}"
        keys = [parse_public_key(one) for one in public]
        assert verify(keys, heard.headers, heard.body, world.clock[0] // 1000) == message_id
        assert world.log(endpoint_id)[0].state == "delivered"


def test_another_authority_is_refused_tried_again_and_given_up_in_sight(
    tmp_path: Path, authority: Authority
) -> None:
    """Without our authority, and with a stranger's: nothing of the message is ever sent."""
    stranger = Authority.make(tmp_path / "stranger")
    with open_webhooks(tmp_path, sender(stranger), authority.server()) as world:
        endpoint_id, _ = endpoint(world)
        world.emit()
        assert world.work() == 1
        for failed in range(1, ATTEMPTS):
            wait_s = delay_s(failed, lambda: 0.5)
            assert wait_s is not None
            assert world.work(int(wait_s * 1000)) == 1
        assert failures(world, endpoint_id) == ["tls_failed"] * ATTEMPTS
        assert world.log(endpoint_id)[0].state == "failed"
        shown = world.webhooks.endpoints.get(CLIENT, endpoint_id).endpoint
        assert (shown.state, shown.disabled_for) == ("disabled", "failing")
        assert world.receiver.heard == []
        by_the_system = sender(None).send(shown.url, {}, b"{}")
        assert (by_the_system.status, by_the_system.failure) == (None, "tls_failed")
        assert world.receiver.heard == []


@pytest.mark.parametrize(
    "certificate", [{"host": "hooks.other.internal"}, {"ended": True}], ids=["name", "past its end"]
)
def test_a_certificate_is_for_the_name_and_for_today(
    tmp_path: Path, authority: Authority, certificate: dict
) -> None:
    with open_webhooks(tmp_path, sender(authority), authority.server(**certificate)) as world:
        endpoint_id, _ = endpoint(world)
        world.emit()
        world.work()
        assert failures(world, endpoint_id) == ["tls_failed"]
        assert world.receiver.heard == []


def test_an_endpoint_that_demands_a_certificate_is_told_nothing(
    tmp_path: Path, authority: Authority
) -> None:
    """The node shows none; that it failed, and at what, is in the log of deliveries."""
    demanding = authority.server()
    demanding.verify_mode = ssl.CERT_REQUIRED
    demanding.load_verify_locations(authority.pem)
    with open_webhooks(tmp_path, sender(authority), demanding) as world:
        endpoint_id, _ = endpoint(world)
        world.emit()
        world.work()
        assert failures(world, endpoint_id) == ["tls_failed"]
        assert world.receiver.heard == []


def test_a_redirect_is_not_followed_over_tls_either(tmp_path: Path, authority: Authority) -> None:
    with open_webhooks(tmp_path, sender(authority), authority.server()) as world:
        endpoint_id, _ = endpoint(world)
        world.receiver.statuses = [307]
        world.receiver.answer_headers = {
            "Location": f"https://{HOST}:{world.receiver.port}/elsewhere"
        }
        world.emit()
        world.work()
        assert [one.path for one in world.receiver.heard] == ["/hooks?a=b"]
        assert failures(world, endpoint_id) == ["redirected"]
        world.receiver.answer_headers = {}
        assert world.work(HOUR_MS) == 1
        assert world.log(endpoint_id)[0].state == "delivered"


def test_an_authority_of_ones_own_opens_no_network(tmp_path: Path, authority: Authority) -> None:
    """A certificate that is believed does not make an address inside one that is called."""
    closed = Sender(guard(()), tls=trusting(authority.pem))
    with open_webhooks(tmp_path, closed, authority.server()) as world:
        with pytest.raises(UrlRefused):
            endpoint(world)
        attempted = closed.send(f"https://{HOST}:{world.receiver.port}/", {}, b"{}")
        assert (attempted.status, attempted.failure) == (None, "webhook_url_refused")
        assert world.receiver.heard == []


def test_the_setting_names_a_file_of_the_home_that_holds_certificates(
    tmp_path: Path, authority: Authority
) -> None:
    home = tmp_path / "bank-a"
    settings = init_node(home, member_id="bank-a", name="A", role="bank")
    named = settings.model_copy(update={"webhook_ca_file": "hooks-ca.pem"})
    (home / SETTINGS_FILE).write_text(settings_text(named))
    for contents in (None, b"no certificate"):
        if contents is not None:
            (home / "hooks-ca.pem").write_bytes(contents)
        with pytest.raises(HomeUnusable):
            open_node(home)
    (home / "hooks-ca.pem").write_bytes(authority.pem.read_bytes())
    node = open_node(home)
    try:
        tls = node.webhooks.deliverer._sender._tls
        subjects = [one["subject"] for one in tls.get_ca_certs()]
        assert ((("commonName", "ours"),),) in subjects
        assert tls.verify_mode is ssl.CERT_REQUIRED
        assert tls.check_hostname
    finally:
        node.close()
