"""A node that has joined nobody, its pages in this process, and a person who must not be seen."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy import insert

from api.http.app import create_app
from api.http.faces import faces_of
from audit.leaf import Entry, parse_leaf
from node.bootstrap import Node, init_node, open_node
from node.people.sessions import DESK, csrf_token
from node.storage import people, subjects
from node.storage.people import AccountRow
from node.storage.rights_tables import rights_request
from node.storage.subjects import Subject
from node.storage.tables import consent, score
from protocols.identifiers import new_id
from tests.network import now_ms
from tests.support.asgi import client_of

ANNA, BERT = bytes([7]) * 32, bytes([9]) * 32
CANARY = "CANARY-4711"
"""Stands in whatever is anybody's own: customer number, texts, scores."""
CUSTOMER, OTHER = f"C-{CANARY}", "C-OTHER"
REF = "sub_" + "canary4711".rjust(26, "0")
DAY_MS = 86_400_000


@dataclass
class World:
    """The node and its application."""

    node: Node
    at_ms: int = field(default_factory=now_ms)

    @cached_property
    def app(self) -> FastAPI:
        """Made when a page is first asked for."""
        return create_app(self.node, faces=faces_of(self.node))

    @property
    def origin(self) -> str:
        return self.node.people.origins[0]

    def browser(
        self, login: str = "rita", roles: str = "regulator", method: Any = "passkey"
    ) -> "Browser":
        """A browser in which a member of staff is signed in."""
        with self.node.database.write() as connection:
            account = people.by_login(connection, DESK, login)
            if account is None:
                account = AccountRow(
                    account_id=new_id("stf"), realm=DESK, login=login, name=login.title(),
                    roles=roles, language="en", created_at_ms=now_ms(),
                    user_handle=new_id("h").encode().ljust(32)[:32],
                )  # fmt: skip
                people.add(connection, account)
            token = self.node.people.sessions.open(connection, account, method, "test", None)
        client = client_of(self.app, self.origin)
        client.headers.update({"Sec-Fetch-Site": "same-origin", "Origin": self.origin})
        client.cookies.set("credence-desk", token)
        return Browser(client, token)

    def log(self, kind: str, payload: dict[str, Any], subject: bytes | None = None) -> int:
        """A leaf; its number."""
        entry = Entry(kind, "bank-a", "score", "", payload, subject, self.at_ms)
        with self.node.database.write() as connection:
            return self.node.audit.append(connection, entry).seq

    def leaves(self, kind: str = "") -> list[dict[str, Any]]:
        """Leaves of a kind, with their payloads."""
        with self.node.database.read() as connection:
            size = self.node.audit.head(connection).size
            found = [
                (one.seq, parse_leaf(one.leaf))
                for one in self.node.audit.leaves(connection, 0, size)
            ]
        return [
            {**leaf, "seq": seq, "payload": self.node.audit.payload(seq)}
            for seq, leaf in found
            if not kind or leaf["kind"] == kind
        ]

    def consents(self, count: int, state: str = "active", purposes: str = "score") -> None:
        """Rows of consents."""
        rows = [
            {
                "consent_id": new_id("con"), "consent_hash": new_id("h").encode()[:32].ljust(32),
                "version": 1, "pseudonym": ANNA, "auth_method": "passkey", "controller": "bank-a",
                "state": state, "purposes": purposes, "recipients": "bank-a", "holders": "bank-a",
                "data_categories": "payment", "grants": "", "artefact": b"{}", "valid_from_ms": 0,
                "valid_until_ms": 1, "data_life_s": 1, "max_uses": 1, "uses": 0, "event_at_ms": 0,
                "changed_seq": 0,
            }
            for _ in range(count)
        ]  # fmt: skip
        with self.node.database.write() as connection:
            connection.execute(insert(consent), rows)

    def dispute(self, due_in_days: int) -> str:
        """An open dispute in the person's own words."""
        request_id = new_id("rgt")
        texts = dict.fromkeys(("text", "statement", "outcome", "proposal"), CANARY)
        texts |= dict.fromkeys(("finding", "proposed_by", "decided_by", "taken_by", "about"), "")
        with self.node.database.write() as connection:
            connection.execute(
                insert(rights_request).values(
                    request_id=request_id, kind="dispute", state="opened", pseudonym=ANNA,
                    origin="bank-a", origin_request=request_id, source="payments",
                    signal="paid_ratio_1m", opened_at_ms=self.at_ms,
                    due_at_ms=self.at_ms + due_in_days * DAY_MS, **texts,
                )
            )  # fmt: skip
        return request_id

    def score(self, at_ms: int, reference: str = REF) -> str:
        """A score that was given out."""
        score_id = new_id("scr")
        with self.node.database.write() as connection:
            connection.execute(
                insert(score).values(
                    score_id=score_id, subject_ref=reference, consent_id="con_x",
                    client_id="cli_x", purpose="score", result=json.dumps({"who": CANARY}),
                    at_ms=at_ms, leaf_seq=0, request_sha256=bytes(32),
                )
            )  # fmt: skip
        return score_id


@dataclass
class Browser:
    """One signed-in browser."""

    client: httpx.Client
    token: str

    def get(self, path: str) -> httpx.Response:
        return self.client.get(f"/regulator/{path}")

    def post(self, path: str, **fields: str) -> httpx.Response:
        return self.client.post(path, data={"csrf": csrf_token(self.token), **fields})


@contextmanager
def open_world(root: Path, **options: Any) -> Iterator[World]:
    """A bank with two customers; `options` are settings of its node."""
    home = root / "bank-a"
    init_node(home, member_id="bank-a", name="Harbour Bank", role="bank", **options)
    node = open_node(home)
    known = [Subject(ANNA, REF, CUSTOMER, now_ms()),
             Subject(BERT, "sub_" + "b" * 26, OTHER, now_ms())]  # fmt: skip
    with node.database.write() as connection:
        subjects.replace_all(connection, known)
    try:
        yield World(node)
    finally:
        node.close()
