"""The financing platform of the sandbox: it knows a bank's address and holds a key, no more.

As any client it signs for its tokens and proves with every call that they are its own.
"""

import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from api.sdk import Client, ClientKey, Identity
from api.sdk.errors import ApiError
from api.sdk.results import Score
from deploy.sandbox.layout import Layout, MemberLayout

TIMEOUT_S = 30.0
KEY_FILE = "client.jwk"


@dataclass(frozen=True)
class Registered:
    """A client that a bank knows.

    Attributes:
        url: of the bank's API.
        client_id: as the bank calls it.
        key: file with its private key.
    """

    url: str
    client_id: str
    key: Path

    @property
    def command(self) -> str:
        """What asks for a score at a shell, without the person."""
        key = shlex.quote(str(self.key))
        return f"credence score {self.url} --client {self.client_id} --key {key}"


def register(
    layout: Layout, bank: MemberLayout, name: str, now_ms: int, scopes: Sequence[str]
) -> Registered:
    """Make a key, write it to a new file for its owner only, and let a bank know its public half.

    Args:
        layout: the sandbox; the file lies at its root.
        bank: whose API it is for.
        name: of the client.
        now_ms: UTC milliseconds.
        scopes: what it may do.
    """
    from node.bootstrap import open_node
    from protocols.jose import parse_jwk

    made, key = ClientKey.generate(), layout.root / KEY_FILE
    with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(made.private_jwk, file)
    node = open_node(layout.home(bank.member_id))
    try:
        row = node.clients.add_with_keys(name, now_ms, [parse_jwk(made.public_jwk)], scopes)
    finally:
        node.close()
    return Registered(bank.http_url, row.client_id, key)


class Platform:
    """Calls the score API of one bank's node, with the SDK."""

    def __init__(self, registered: Registered) -> None:
        self.registered = registered
        self._who = Identity(registered.client_id, ClientKey.read(registered.key))

    def score(self, subject: str, consent_id: str) -> Score:
        """Ask for a score.

        Raises:
            ApiError: the node refuses.
            Unreachable: it does not answer.
        """
        with Client(self.registered.url, self._who, timeout_s=TIMEOUT_S) as node:
            return node.score(subject, consent_id)

    def refusal(self, subject: str, consent_id: str) -> str:
        """The code with which a score is refused; empty: it is given.

        Raises:
            Unreachable: the node does not answer.
        """
        try:
            self.score(subject, consent_id)
        except ApiError as refused:
            return refused.problem
        return ""
