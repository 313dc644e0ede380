"""A person's browser without a screen, for the portal's own pages."""

import httpx

from node.people.sessions import csrf_token
from tests.browser.portal_world import PortalWorld

ANNA, BEN, MANY, CARL = 1, 2, 3, 4


class Reader:
    """It is signed in."""

    def __init__(
        self, world: PortalWorld, number: int, language: str = "en", token: str = ""
    ) -> None:
        self.token = token or world.session(number, language)
        self.origin = world.url
        self.http = httpx.Client(base_url=world.url, cookies={"credence": self.token}, timeout=20)

    def get(self, path: str, **query: str) -> httpx.Response:
        return self.http.get(path, params=query or None)

    def post(self, path: str, *, csrf: str | None = None, **fields: str) -> httpx.Response:
        token = csrf_token(self.token) if csrf is None else csrf
        return self.http.post(
            path,
            data={"csrf": token, **fields},
            headers={"Origin": self.origin, "Sec-Fetch-Site": "same-origin"},
        )
