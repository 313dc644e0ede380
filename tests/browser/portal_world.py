"""A bank with a portal, the members it asks, and people who are its customers: all real, on
loopback, with deliveries and status lists going round as in the running processes."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from api.http.app import create_app
from api.http.faces import faces_of
from api.http.server import HttpServer
from models.bundle import Bundle
from node.bootstrap import Node
from node.consents.personal import AccountProof, GrantChoice, OfferTerms
from node.people.sessions import PORTAL
from node.scoring.requests import ScoreRequest
from node.storage import bundles, people, subjects
from node.storage.people import AccountRow
from node.storage.subjects import Subject
from protocols.documents import sign_document
from protocols.identifiers import new_id
from tests.network import MemberSpec, Network, now_ms, open_network, person
from tests.node.scoring_world import make_bundle

BANK = "bank-a"
PRESENT, NONE = 1, 2

# What is known of the people: one pays well, one late.
ACCOUNTS = (
    {
        "credit_limit": (PRESENT, 220_000.0),
        "current_status": (PRESENT, -1.0),
        "worst_status_3m": (PRESENT, -1.0),
        "worst_status_6m": (PRESENT, 1.0),
        "late_months_6m": (PRESENT, 1.0),
        "late60_months_6m": (PRESENT, 0.0),
        "months_since_late": (PRESENT, 4.0),
        "inactive_months_6m": (PRESENT, 0.0),
        "cleared_months_6m": (PRESENT, 4.0),
    },
    {
        "credit_limit": (PRESENT, 50_000.0),
        "current_status": (PRESENT, 0.0),
        "worst_status_3m": (PRESENT, 2.0),
        "worst_status_6m": (PRESENT, 2.0),
        "late_months_6m": (PRESENT, 3.0),
        "months_since_late": (PRESENT, 1.0),
    },
)
PAYMENTS = {
    "statement_balance": (PRESENT, 41_250.0),
    "paid_ratio_1m": (PRESENT, 0.92),
    "paid_ratio_3m": (PRESENT, 0.88),
    "paid_ratio_6m": (PRESENT, 0.81),
    "balance_slope_6m": (PRESENT, -0.04),
    "unpaid_months_6m": (PRESENT, 0.0),
    "paid_amount_1m": (PRESENT, 12_300.0),
}
PUBLIC = {
    "dishonest_debtor": (NONE, 0.0),
    "tax_arrears": (NONE, 0.0),
    "enforcement_amount": (NONE, 0.0),
    "defendant_suits_24m": (NONE, 0.0),
}


def specs(port: int) -> list[MemberSpec]:
    """The members; the bank's pages are at http://localhost:`port`."""
    return [
        MemberSpec(
            BANK,
            "bank",
            ("credit_account",),
            {
                "name": "Harbour Bank",
                "contact": "privacy@harbour.example",
                "http": f"127.0.0.1:{port}",
            },
        ),
        MemberSpec(
            "payments",
            "data_provider",
            ("payment",),
            {"name": "Clearwater Payments", "contact": "data@clearwater.example"},
        ),
        MemberSpec(
            "public-records",
            "public_record_publisher",
            ("public_record", "tax"),
            {"name": "Court and Tax Register", "contact": "desk@register.example"},
        ),
        MemberSpec(
            "bank-b", "bank", ("credit_account",), {"name": "Meadow Bank", "contact": "m@m.example"}
        ),
    ]


@dataclass
class PortalWorld:
    """The network, the bank's pages, and what a test needs of both."""

    network: Network
    port: int
    client_id: str = ""
    _stop: threading.Event = field(default_factory=threading.Event)

    @property
    def node(self) -> Node:
        return self.network.node(BANK)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def enrol(self, number: int, *, kind: int = 0) -> str:
        """Let everybody know a person; their customer number at the bank."""
        one, customer = person(number), f"HB-{10_000 + number}"
        for member, signals in ((BANK, ACCOUNTS[kind]), ("payments", PAYMENTS),
                                ("public-records", PUBLIC), ("bank-b", {})):  # fmt: skip
            node = self.network.node(member)
            with node.database.write() as connection:
                known = subjects.all_subjects(connection)
                new = Subject(one, ref(number), customer, now_ms())
                subjects.replace_all(connection, [*known, new])
            if signals:
                self.network.enrol(member, one, signals)
        return customer

    def activation_code(self, customer: str) -> str:
        """What the bank hands to its customer."""
        return self.node.people.accounts.issue_for_customer(customer).code

    def grant(self, number: int, **terms: object) -> str:
        """A consent that the person confirmed in a session."""
        chosen = {"purposes": ("score",), "data_categories": ("credit_account", "payment",
                  "public_record"), **terms}  # fmt: skip
        proof = AccountProof("password_totp")
        personal = self.node.personal_consents()
        choice = GrantChoice(OfferTerms(**chosen))
        prepared = personal.prepare(person(number), choice, proof)
        return personal.grant(person(number), prepared.body, proof).consent_id

    def settle(self) -> None:
        """Let every party hear what is due to it, and have a fresh status list."""
        self.node.consents.push_pending()
        self.network.prove(BANK, "payments", "public-records", "bank-b")

    def score(self, number: int, consent_id: str) -> int:
        """A platform asks for the person's score."""
        self.settle()
        request = ScoreRequest(ref(number), consent_id, "score", self.client_id)
        points: int = self.node.scoring.score(request).answer["score"]
        return points

    def session(self, number: int, language: str = "en") -> str:
        """The token of a browser in which the person has signed in."""
        with self.node.database.write() as connection:
            account = people.by_login(connection, PORTAL, ref(number))
            if account is None:
                account = _account(ref(number), language)
                people.add(connection, account)
            return self.node.people.sessions.open(connection, account, "passkey", "test", None)

    def cut(self, member_id: str) -> None:
        """Let a member be unreachable from now on."""
        self.network.servers[member_id].stop(grace_s=0.1)

    def run(self) -> None:
        """Deliver what is due until the end, as the node's process does."""
        while not self._stop.wait(0.2):
            self.node.consents.push_pending()

    def stop(self) -> None:
        self._stop.set()


def ref(number: int) -> str:
    """The bank's reference for a person."""
    return f"sub_{number:026d}"


def _account(login: str, language: str) -> AccountRow:
    return AccountRow(
        account_id=new_id("acc"),
        realm=PORTAL,
        login=login,
        name="",
        roles="",
        language=language,
        user_handle=new_id("h").encode().ljust(32)[:32],
        created_at_ms=now_ms(),
    )


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _publish_model(world: PortalWorld) -> None:
    made = make_bundle("harbour-3", 6)
    weights = dict(made.weights)
    wide = weights["wide.weight"]
    weights["wide.weight"] = np.random.default_rng(6).normal(-0.08, 0.3, wide.shape).astype("f4")
    body, tensors = Bundle(made.manifest, weights).pack()
    document = sign_document("bundle", body, world.network.directory_key)
    row = bundles.BundleRow(
        "harbour-3", document.body, document.signature, document.key_id, tensors, False, now_ms()
    )
    with world.node.database.write() as connection:
        bundles.add(connection, row)
        bundles.activate(connection, "harbour-3")


@contextmanager
def open_portal(root: Path) -> Iterator[PortalWorld]:
    """The world, its pages served."""
    port = _free_port()
    with open_network(root, specs(port)) as network:
        world = PortalWorld(network, port)
        _publish_model(world)
        world.client_id = world.node.clients.add("Lantern Finance", now_ms())[0].client_id
        server = HttpServer(create_app(world.node, faces=faces_of(world.node)), f"127.0.0.1:{port}")
        server.start()
        thread = threading.Thread(target=world.run, daemon=True)
        thread.start()
        try:
            yield world
        finally:
            world.stop()
            thread.join(5)
            server.stop()
