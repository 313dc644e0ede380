"""Signed-in callers of a node's pages: real accounts and sessions, the real application."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser

import httpx
from httpx import Response

from api.http.app import create_app
from api.http.faces import faces_of
from api.http.server import HttpServer
from node.bootstrap import Node
from node.people.sessions import DESK, PORTAL, csrf_token
from node.storage import people
from node.storage.people import AccountRow
from protocols.identifiers import new_id
from tests.network import now_ms


class Browser:
    """One signed-in browser."""

    def __init__(self, client: httpx.Client, origin: str, cookie: str, token: str) -> None:
        self.client = client
        self.origin = origin
        self.cookie = cookie
        self.token = token

    def get(self, path: str, **headers: str) -> Response:
        return self.client.get(path, headers=self._headers(headers), follow_redirects=False)

    def post(self, path: str, *, csrf: str | None = None, **fields: str) -> Response:
        sent = {"csrf": csrf_token(self.token) if csrf is None else csrf, **fields}
        headers = self._headers({"origin": self.origin, "sec-fetch-site": "same-origin"})
        return self.client.post(path, data=sent, headers=headers, follow_redirects=False)

    def _headers(self, more: dict[str, str]) -> dict[str, str]:
        return {"cookie": f"{self.cookie}={self.token}", **more}


class Pages:
    """A node's application with people and staff signed in."""

    def __init__(self, node: Node, client: httpx.Client) -> None:
        self.node = node
        self.client = client
        self.origin = node.people.origins[0]
        self._prefix = "__Host-" if self.origin.startswith("https:") else ""

    def person(self, subject_ref: str, language: str = "en") -> Browser:
        """A person, signed in at the portal."""
        return self._open(PORTAL, subject_ref, "", "", language, "credence")

    def staff(self, name: str, *roles: str) -> Browser:
        """A member of staff, signed in at the desk."""
        return self._open(DESK, name, name.title(), " ".join(roles), "en", "credence-desk")

    def _open(
        self, realm: str, login: str, name: str, roles: str, language: str, cookie: str
    ) -> Browser:
        with self.node.database.write() as connection:
            account = people.by_login(connection, realm, login)
            if account is None:
                account = AccountRow(
                    account_id=new_id("acc"),
                    realm=realm,
                    login=login,
                    name=name,
                    roles=roles,
                    language=language,
                    user_handle=new_id("h").encode().ljust(32)[:32],
                    created_at_ms=now_ms(),
                )
                people.add(connection, account)
            token = self.node.people.sessions.open(connection, account, "passkey", "test", None)
        return Browser(self.client, self.origin, self._prefix + cookie, token)


@contextmanager
def open_pages(node: Node) -> Iterator[Pages]:
    """The pages of a node, served on loopback."""
    server = HttpServer(create_app(node, faces=faces_of(node)), "127.0.0.1:0")
    server.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=20) as client:
            yield Pages(node, client)
    finally:
        server.stop()


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def text_of(page: Response) -> str:
    """What a reader sees, white space folded."""
    parser = _Text()
    parser.feed(page.text)
    return re.sub(r"\s+", " ", " ".join(parser.words))


def once_of(page: Response) -> str:
    """The key of the form on a page."""
    found = re.search(r'name="once" value="([^"]+)"', page.text)
    assert found is not None
    return found[1]
