"""Joining with a real coordinator: what is checked, what is stored, and what never is."""

import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from node.bootstrap import init_node, join, open_node
from node.network.joining import EnrolmentUnreachable, InvitationForOther, OtherNetwork, fetch_ca
from node.network.rpc_errors import PeerUnreachable
from protocols.certificates import (
    CertificateRefused,
    create_ca,
    fingerprint,
    issue_server_certificate,
    make_tls_key,
    member_id_of,
    to_pem,
    verify_member_certificate,
)
from protocols.errors import CredenceError, SignatureInvalid
from protocols.invitations import Invitation, InvitationExpired, InvitationUsed
from tests.node.coordinated import free_port, invite, now_ms, serving_coordinator


@pytest.fixture(scope="module")
def coordinator(tmp_path_factory):
    with serving_coordinator(tmp_path_factory.mktemp("network") / "coordinator") as opened:
        yield opened


@pytest.fixture
def make(tmp_path):
    def node(member_id, role="bank"):
        init_node(
            tmp_path / member_id,
            member_id=member_id,
            name=member_id.title(),
            role=role,
            listen=f"127.0.0.1:{free_port()}",
        )
        return tmp_path / member_id

    return node


def files(home):
    return sorted(path.name for path in home.iterdir() if not path.name.startswith("node.db"))


UNJOINED = ["credence.toml", "datakeys.db", "kek", "keys.sealed"]
JOINED = ["ca.pem", "certificate.pem", *UNJOINED]


def changed(text, **fields):
    return replace(Invitation.from_text(text), **fields).to_text()


def test_a_node_joins_with_keys_that_it_made_itself(coordinator, make):
    home = make("joins-one")
    joined = join(home, invite(coordinator, "joins-one"), now_ms())
    assert joined.member_id == "joins-one"
    assert files(home) == JOINED
    node = open_node(home)
    try:
        certificate = node.identity().certificate
        verify_member_certificate(
            certificate, coordinator.identity.ca, now_ms=now_ms(), key_pem=node.keys.tls
        )
        entry = node.documents.directory().active_member("joins-one")
        assert entry.signing_key == node.keys.signing.verify_key.bytes
        assert entry.certificate_sha256 == fingerprint(certificate)
        assert node.documents.catalogue().version == 1
        node.documents.refresh()  # over mutual TLS, with the new certificate
    finally:
        node.close()


def test_an_invitation_is_good_once(coordinator, make):
    text = invite(coordinator, "joins-once")
    join(make("joins-once"), text, now_ms())
    with pytest.raises(InvitationUsed):
        join(make_again(make), text, now_ms())


def make_again(make):
    home = make("other-home")
    settings = home / "credence.toml"
    settings.write_text(settings.read_text().replace("other-home", "joins-once"))
    return home


def refused(make, member_id, text, error):
    home = make(member_id)
    before = (home / "credence.toml").read_bytes()
    with pytest.raises(error) as caught:
        join(home, text, now_ms())
    assert files(home) == UNJOINED
    assert (home / "credence.toml").read_bytes() == before
    node = open_node(home)
    node.close()
    assert node.settings.joined is False
    return caught.value


def test_another_members_invitation_is_refused(coordinator, make):
    refused(make, "mallory", invite(coordinator, "alice"), InvitationForOther)


def test_an_expired_invitation_is_refused(coordinator, make):
    text = changed(invite(coordinator, "late"), expires_at_ms=now_ms() - 1)
    refused(make, "late", text, InvitationExpired)


@pytest.mark.parametrize("text", ["", "credence-invite:", "credence-invite:AAAA", "x" * 5000])
def test_a_damaged_invitation_is_refused(make, text):
    assert refused(make, "damaged", text, CredenceError).code == "invitation_invalid"


def test_a_guessed_token_is_refused(coordinator, make):
    text = changed(invite(coordinator, "guesser"), token=bytes(32))
    assert refused(make, "guesser", text, CredenceError).code == "invitation_refused"


def test_another_role_than_invited_is_refused(coordinator, make):
    text = invite(coordinator, "pretender", role="data_provider")
    assert refused(make, "pretender", text, CredenceError).code == "declaration_mismatch"


def test_a_ca_that_is_not_the_pinned_one_is_refused(coordinator, make):
    text = changed(invite(coordinator, "pinned"), ca_sha256=bytes(32))
    refused(make, "pinned", text, CertificateRefused)


def test_documents_under_another_key_are_refused(coordinator, make):
    text = changed(invite(coordinator, "keyed"), directory_key=bytes(31) + b"\1")
    refused(make, "keyed", text, SignatureInvalid)


def test_a_dead_coordinator_is_one_clear_error(coordinator, make):
    dead = f"127.0.0.1:{free_port()}"
    text = changed(invite(coordinator, "early"), enrolment_endpoint=dead)
    assert dead in refused(make, "early", text, EnrolmentUnreachable).message


def test_a_port_that_speaks_no_tls_is_one_clear_error(coordinator, make):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        text = changed(
            invite(coordinator, "misled"),
            enrolment_endpoint=f"127.0.0.1:{listener.getsockname()[1]}",
        )
        refused(make, "misled", text, EnrolmentUnreachable)
        thread.join()


def test_a_member_does_not_change_networks(coordinator, make, tmp_path):
    home = make("settled")
    join(home, invite(coordinator, "settled"), now_ms())
    with serving_coordinator(tmp_path / "elsewhere") as other, pytest.raises(OtherNetwork):
        join(home, invite(other, "settled"), now_ms())


def test_an_impostor_that_shows_the_true_ca_learns_nothing(coordinator, make, tmp_path):
    """It can show the CA's certificate, but no certificate of its own that the CA signed."""
    home = make("victim")
    heard = []
    with impostor(tmp_path, coordinator.identity.ca, heard) as endpoint:
        pin = fingerprint(coordinator.identity.ca)
        assert fetch_ca(endpoint, pin, now_ms()) == coordinator.identity.ca
        text = changed(invite(coordinator, "victim"), enrolment_endpoint=endpoint)
        with pytest.raises(PeerUnreachable):
            join(home, text, now_ms())
    token = Invitation.from_text(text).token
    assert len(heard) >= 2
    assert all(token not in data for data in heard)
    assert files(home) == UNJOINED


@contextmanager
def impostor(directory, true_ca, heard):
    """A TLS server under a CA of its own that sends `true_ca` along; keeps what it hears."""
    ca_key, own_ca = create_ca("false", now_ms(), 10)
    key = make_tls_key()
    certificate = to_pem(issue_server_certificate(ca_key, own_ca, key, now_ms(), 10))
    (directory / "key.pem").write_bytes(key)
    (directory / "chain.pem").write_bytes(certificate + true_ca)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "chain.pem", directory / "key.pem")
    context.set_alpn_protocols(["h2"])
    ended = threading.Event()

    def serve():
        while not ended.is_set():
            with suppress(OSError):
                plain, _ = listener.accept()
                with plain:
                    heard.append(b"")
                    with context.wrap_socket(plain, server_side=True) as tls:
                        heard.append(tls.recv(65_536))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def test_the_certificate_names_the_member(coordinator, make):
    home = make("named-one")
    join(home, invite(coordinator, "named-one"), now_ms())
    assert member_id_of((home / "certificate.pem").read_bytes()) == "named-one"
