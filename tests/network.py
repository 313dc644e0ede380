"""A network of real nodes in one process, on loopback, under a CA of its own.

    with open_network(tmp_path) as network:
        network.enrol("payments", person, {"statement_balance": (1, 120.0)})
        consents = network.consent("bank-a", [person], holders=["payments"])
        report = network.node("bank-a").fetcher.fetch(consents, purpose="score", deadline_s=5)

Nothing is a stand-in but the coordinator: certificates, directory and catalogue are signed here
instead of by one.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from audit.leaf import Entry
from consent.artefact import Artefact, Notice, Recipient, TrainingTerms, grant, new_consent_id
from consent.authority import device_key
from consent.lifecycle import State
from consent.policy import Terms
from models.catalogue import load_default
from node.bootstrap import Node, init_node, open_node
from node.consents.elapsed import elapsed
from node.consents.status_inbox import Question
from node.network.joining import store_membership
from node.network.server import MemberServer, member_server
from node.storage import consents, signals, statuses
from node.storage.consents import NewConsent
from node.storage.signals import OWN, SignalVector
from protocols.certificates import create_ca, fingerprint, issue_certificate, make_csr
from protocols.directory import Directory, MemberEntry, Status
from protocols.documents import Document, sign_document
from protocols.keys import SigningKey
from protocols.pseudonyms import handle
from protocols.suites import SUPPORTED

DAY_MS = 86_400_000
AS_OF_MS = 1_128_124_800_000  # 2005-10-01
SETTINGS = {
    "listen": "127.0.0.1:0",
    "plain_tokens": True,  # tests of access itself use keys
    "client_rate": 100_000,
    "client_burst": 100_000,
}


@dataclass(frozen=True)
class MemberSpec:
    """One institution of a test network; `options` are settings of its own."""

    member_id: str
    role: str
    holds: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


MEMBERS = (
    MemberSpec("bank-a", "bank", ("credit_account",)),
    MemberSpec("bank-b", "bank", ("credit_account",)),
    MemberSpec("payments", "data_provider", ("payment",)),
    MemberSpec("public-records", "public_record_publisher", ("public_record",)),
)


def now_ms() -> int:
    """UTC milliseconds."""
    return int(time.time() * 1000)


def person(number: int) -> bytes:
    """A pseudonym."""
    return number.to_bytes(4, "big") * 8


@dataclass
class Network:
    """Nodes, their servers, and the keys that a coordinator would hold."""

    root: Path
    ca_key: bytes
    ca: bytes
    directory_key: SigningKey
    nodes: dict[str, Node] = field(default_factory=dict)
    servers: dict[str, MemberServer] = field(default_factory=dict)
    entries: dict[str, MemberEntry] = field(default_factory=dict)
    version: int = 0
    epoch: int = 1
    coordinator: str = "127.0.0.1:1"

    def node(self, member_id: str) -> Node:
        """An opened node."""
        return self.nodes[member_id]

    def issue(self, node: Node, *, days: int = 30, at_ms: int | None = None) -> bytes:
        """A certificate of the network's CA for a node's key, DER."""
        csr = make_csr(node.keys.tls, node.member_id)
        at_ms = now_ms() if at_ms is None else at_ms
        return issue_certificate(
            self.ca_key, self.ca, csr, node.member_id, node.settings.role, at_ms, days
        )

    def add(self, spec: MemberSpec) -> Node:
        """Make a node and let it join; it listens when the next directory is published."""
        home = self.root / spec.member_id
        init_node(
            home,
            member_id=spec.member_id,
            role=spec.role,
            holds=spec.holds,
            **{**SETTINGS, "name": spec.member_id.title(), **spec.options},
        )
        fresh = open_node(home)
        certificate = self.issue(fresh)
        fresh.close()
        key = self.directory_key.verify_key.bytes
        store_membership(home, self.ca, certificate, self.coordinator, key)
        node = open_node(home)
        server = member_server(node)
        port = server.bind("127.0.0.1:0")
        self.nodes[spec.member_id], self.servers[spec.member_id] = node, server
        self.entries[spec.member_id] = MemberEntry(
            member_id=spec.member_id,
            name=node.settings.name,
            role=spec.role,
            licence="",
            contact=node.settings.contact,
            holds=tuple(sorted(spec.holds)),
            signing_key=node.keys.signing.verify_key.bytes,
            sealing_key=node.keys.sealing.public,
            certificate_sha256=fingerprint(certificate),
            endpoint=f"127.0.0.1:{port}",
            status="active",
            joined_at_ms=now_ms(),
            suites=SUPPORTED,
        )
        return node

    def directory(self) -> Directory:
        """The directory as it would be published now."""
        return Directory(
            version=self.version,
            issued_at_ms=now_ms(),
            epoch=self.epoch,
            members=tuple(self.entries[name] for name in sorted(self.entries)),
            directory_key=self.directory_key.verify_key.bytes,
        )

    def documents(self) -> tuple[Document, Document]:
        """The next directory and the catalogue, signed."""
        self.version += 1
        catalogue = load_default().to_body()
        return (
            sign_document("directory", self.directory().to_body(), self.directory_key),
            sign_document("catalogue", catalogue, self.directory_key),
        )

    def publish(self) -> None:
        """Put the next directory in force at every node."""
        documents = self.documents()
        for node in self.nodes.values():
            node.documents.install(*documents)

    def change(self, member_id: str, *, status: Status) -> None:
        """Publish another status of a member."""
        self.entries[member_id] = replace(self.entries[member_id], status=status)
        self.publish()

    def start(self) -> None:
        """Let every server answer."""
        for server in self.servers.values():
            server.start()

    def enrol(self, holder: str, pseudonym: bytes, vector: Mapping[str, tuple[int, float]]) -> None:
        """Let a node know a person by these signals."""
        self.enrol_many(holder, {pseudonym: vector})

    def enrol_many(
        self, holder: str, people: Mapping[bytes, Mapping[str, tuple[int, float]]]
    ) -> None:
        """Let a node know people by these signals."""
        node = self.node(holder)
        vectors = [
            SignalVector(pseudonym, holder, OWN, AS_OF_MS, 1, vector)
            for pseudonym, vector in people.items()
        ]
        with node.database.write() as connection:
            signals.put_many(connection, vectors)

    def consent(
        self,
        controller: str,
        people: Sequence[bytes],
        *,
        holders: Sequence[str],
        purposes: Sequence[str] = ("score", "train"),
        data_categories: Sequence[str] = ("credit_account", "payment", "public_record"),
        recipients: Sequence[str] | None = None,
        max_uses: int = 1000,
        valid_from_ms: int | None = None,
        valid_until_ms: int | None = None,
    ) -> list[Terms]:
        """Consents of people, kept by all parties as if they had been delivered."""
        start = now_ms() - 1000 if valid_from_ms is None else valid_from_ms
        until = now_ms() + 30 * DAY_MS if valid_until_ms is None else valid_until_ms
        made = []
        for pseudonym in people:
            subject_key = SigningKey.generate()
            artefact = Artefact(
                consent_id=new_consent_id(),
                version=1,
                prev_hash=None,
                template_id="test",
                template_sha256=bytes(32),
                jurisdiction="CN",
                controller=controller,
                recipients=tuple(
                    Recipient(name, name.title(), "") for name in sorted(recipients or [controller])
                ),
                holders=tuple(sorted(holders)),
                handles=self._handles(controller, {*holders, *(recipients or [])}, pseudonym),
                handle_epoch=self.epoch,
                purposes=tuple(sorted(purposes)),
                data_categories=tuple(sorted(data_categories)),
                valid_from_ms=start,
                valid_until_ms=until,
                data_life_s=86_400,
                max_uses=max_uses,
                notice=Notice(1, "en", bytes(32)),
                adverse_notice_sha256=None,
                automated_decision=True,
                training=TrainingTerms("3", "0.00001") if "train" in purposes else None,
                authority=device_key(subject_key.verify_key.bytes),
            )
            jws = grant(artefact, subject_key, self.node(controller).keys.signing)
            made.append(NewConsent(artefact, jws, pseudonym, 0))
        # The controller first: it gives the status indices.
        for name in [controller, *sorted({*holders, *(recipients or [])} - {controller})]:
            self._keep(self.node(name), made)
        self.prove(controller, *{*holders, *(recipients or [])} - {controller})
        with self.node(controller).database.write() as connection:
            kept = consents.terms_by_id(connection, [one.artefact.consent_id for one in made])
        return [kept[one.artefact.consent_id] for one in made]

    def prove(self, controller: str, *parties: str) -> None:
        """Let parties have a controller's status list of now, as if they had asked for it."""
        for name in parties:
            inbox = self.node(name).statuses.inbox
            question = Question(controller, os.urandom(16), b"", now_ms(), elapsed())
            answer = self.node(controller).statuses.publisher.answer(question.nonce, b"")
            inbox.accept(question, answer.head, answer.bits)

    def withdraw(self, member_id: str, terms: Terms) -> None:
        """Let one node know that a consent is withdrawn."""
        node = self.node(member_id)
        with node.database.write() as connection:
            leaf = node.audit.append(connection, _entry(member_id, "consent.withdrawn", terms))
            consents.set_state(connection, [terms.consent_id], State.WITHDRAWN, [leaf.seq])

    def close(self) -> None:
        """Stop and close everything."""
        for server in self.servers.values():
            server.stop(grace_s=0.2)
        for node in self.nodes.values():
            node.close()

    def _handles(self, controller: str, parties: set[str], pseudonym: bytes) -> dict[str, bytes]:
        pair_keys = self.node(controller).pair_keys
        return {
            name: handle(pair_keys.with_member(name), pseudonym) for name in parties - {controller}
        }

    def _keep(self, node: Node, made: Sequence[NewConsent]) -> None:
        with node.database.write() as connection:
            entries = [_entry(node.member_id, "consent.granted", one) for one in made]
            leaves = node.audit.append_many(connection, entries)
            consents.add_many(
                connection,
                [replace(one, leaf_seq=leaf.seq) for one, leaf in zip(made, leaves, strict=True)],
            )
            hashes = [
                (one.artefact.consent_hash, leaf.seq)
                for one, leaf in zip(made, leaves, strict=True)
            ]
            controller = made[0].artefact.controller if made else ""
            if controller == node.member_id:
                statuses.allot(connection, controller, hashes)
                return
            with self.node(controller).database.read() as reading:
                indices = statuses.indices_of(reading, [one for one, _ in hashes])
            received = [(one, indices[one], leaf) for one, leaf in hashes]
            statuses.admit(connection, controller, received)


def _entry(actor: str, kind: str, about: NewConsent | Terms) -> Entry:
    return Entry(
        kind=kind,
        actor=actor,
        purpose="consent",
        correlation="",
        payload={},
        subject=about.pseudonym,
        at_ms=now_ms(),
    )


@contextmanager
def open_network(
    root: Path,
    members: Sequence[MemberSpec] = MEMBERS,
    *,
    serve: bool = True,
    coordinator: str = "127.0.0.1:1",
) -> Iterator[Network]:
    """A network whose members know one another; closed at the end.

    Args:
        root: a directory for the homes.
        members: who is in it.
        serve: whether the members answer one another; without, their ports are bound only.
        coordinator: where they look for one.
    """
    ca_key, ca = create_ca("test network", now_ms(), 365)
    network = Network(root, ca_key, ca, SigningKey.generate(), coordinator=coordinator)
    try:
        for spec in members:
            network.add(spec)
        network.publish()
        if serve:
            network.start()
        yield network
    finally:
        network.close()
