"""A node with a few customers and its account pages, on a clock that tests move."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI, Request

from api.http import problems
from api.http.accounts.site import Site
from api.http.desk.session import DeskSessions
from api.http.desk.sign_in import desk_account_routes
from api.http.limits import BodyLimits, LimitedBodies
from api.http.portal.session import PortalSessions
from api.http.portal.sign_in import portal_account_routes
from api.http.requests import RequestContext
from api.http.web.forms import SentForm
from api.http.web.language import Texts
from api.http.web.pages import Pages
from api.http.web.routes import page_router
from api.http.web.static_files import StaticFiles
from audit.leaf import parse_leaf
from node.bootstrap import Node, init_node, open_node
from node.people.oidc import Fetch
from node.people.wiring import People, make_people
from node.settings import SETTINGS_FILE, load_settings, settings_text
from node.storage import subjects
from node.storage.subjects import Subject
from protocols import totp
from protocols.passwords import PasswordCost
from tests.network import now_ms
from tests.support.asgi import client_of
from tests.support.authenticator import Authenticator

ORIGIN = "http://localhost:7501"
PASSWORD = "tide mango copper nine"
CHEAP = PasswordCost(memory_kib=64, passes=1, lanes=1)
CUSTOMERS = ("A-0001", "A-0002", "A-0003")


@dataclass
class World:
    """The node, its accounts and its pages."""

    node: Node
    clock: list[int] = field(default_factory=lambda: [now_ms()])
    cost: PasswordCost = CHEAP
    fetch: Fetch | None = None
    people: People = field(init=False)
    app: FastAPI = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Everything that a process holds in memory is made anew."""
        self.people = make_people(
            self.node.settings,
            home=self.node.home,
            kek=self.node.keys.kek,
            database=self.node.database,
            audit=self.node.audit,
            clock=lambda: self.clock[0],
            cost=self.cost,
            fetch=self.fetch,
        )
        self.app = make_app(self.people)

    def later(self, *, ms: int = 0, s: int = 0, minutes: int = 0) -> None:
        """Let time pass."""
        self.clock[0] += ms + 1000 * (s + 60 * minutes)

    def visitor(self, address: str = "192.0.2.1", **headers: str) -> "Visitor":
        """A browser that comes for the first time."""
        public = self.people.origins[0]
        client = client_of(self.app, public, address)
        client.headers.update({"Sec-Fetch-Site": "same-origin", "Origin": public, **headers})
        return Visitor(client, self)

    def code_for(self, customer: str = "A-0001") -> str:
        """An activation code of the institution."""
        return self.people.accounts.issue_for_customer(customer).code

    def with_password(self, customer: str = "A-0001", address: str = "192.0.2.1") -> "Visitor":
        """A browser whose person has just set a password."""
        visitor = self.visitor(address)
        visitor.activate(customer, self.code_for(customer))
        visitor.set_password()
        return visitor

    def with_passkey(self, customer: str = "A-0001", *, counts: bool = True) -> "Visitor":
        """A browser whose person has just made a passkey."""
        visitor = self.visitor()
        visitor.activate(customer, self.code_for(customer))
        visitor.add_passkey(counts=counts)
        return visitor

    def leaves(self) -> list[dict[str, Any]]:
        """The audit log, parsed."""
        with self.node.database.read() as connection:
            size = self.node.audit.head(connection).size
            return [parse_leaf(one.leaf) for one in self.node.audit.leaves(connection, 0, size)]

    def kinds(self) -> list[str]:
        """What the log says happened, in order."""
        return [leaf["kind"] for leaf in self.leaves()]


class Visitor:
    """A person at a browser: follows the pages' own forms."""

    def __init__(self, http: httpx.Client, world: World) -> None:
        self.http = http
        self.world = world
        self.key: Authenticator | None = None
        self.seed = ""
        self.codes: list[str] = []

    def csrf(self, page: str) -> str:
        """The token of the forms on a page."""
        text = self.http.get(page).text
        script = re.search(r'data-csrf="([^"]*)"', text)
        return script[1] if script is not None else field_of(text, "csrf")

    def send(self, page: str, action: str | None = None, **fields: str) -> httpx.Response:
        """Open a page and send a form of it."""
        if "csrf" not in fields:
            fields["csrf"] = self.csrf(page)
        return self.http.post(action or page, data=fields)

    def call(self, address: str, csrf: str, body: Any = None) -> httpx.Response:
        """What a page's script sends."""
        return self.http.post(address, json=body or {}, headers={"X-CSRF-Token": csrf})

    def activate(self, customer: str, code: str, face: str = "portal") -> httpx.Response:
        """Open an account with its code."""
        return self.send(f"/{face}/activate", name=customer, code=code)

    def set_password(self, password: str = PASSWORD, face: str = "portal") -> httpx.Response:
        """Set a password and connect an authenticator app."""
        page = self.http.get(f"/{face}/enrol/password").text
        self.seed = re.search(r"<code class=\"mono\">([A-Z2-7 ]+)</code>", page)[1].replace(" ", "")
        answer = self.http.post(
            f"/{face}/enrol/password",
            data={
                "csrf": field_of(page, "csrf"),
                "ticket": field_of(page, "ticket"),
                "password": password,
                "repeated": password,
                "code": self.code(),
            },
        )
        self.codes = re.findall(r"<code class=\"mono\">([0-9A-Z-]{19})</code>", answer.text)
        return answer

    def code(self, steps: int = 0) -> str:
        """What the authenticator app shows, some steps from now."""
        return totp.code_at(self.seed, totp.step_at(self.world.clock[0]) + steps)

    def add_passkey(self, label: str = "my phone", face: str = "portal", *, counts: bool = True):
        """Make a passkey with an authenticator of this browser."""
        people = self.world.people
        self.key = Authenticator(people.relying_party.rp_id, people.origins[0], counts=counts)
        csrf = self.csrf(f"/{face}/enrol")
        options = self.call(f"/{face}/enrol/passkey/options", csrf).json()
        credential = httpx.Response(200, content=self.key.register(options)).json()
        call = {"label": label, "credential": credential}
        return self.call(f"/{face}/enrol/passkey", csrf, call)

    def sign_in(self, customer: str = "A-0001", password: str = PASSWORD, code: str | None = None,
                face: str = "portal", **fields: str) -> httpx.Response:  # fmt: skip
        """Sign in with a password; without a code, with the one of the next step."""
        if code is None:
            self.world.later(s=30)
            code = self.code()
        given = {"name": customer, "password": password, "code": code, **fields}
        return self.send(f"/{face}/sign-in", **given)

    def sign_in_with_passkey(
        self, key: Authenticator, face: str = "portal", **changes: Any
    ) -> httpx.Response:
        """Sign in with a passkey; `changes` are of `Authenticator.sign`."""
        csrf = self.csrf(f"/{face}/sign-in")
        options = self.call(f"/{face}/sign-in/passkey/options", csrf).json()
        return self.answer(f"/{face}/sign-in/passkey", csrf, key.sign(options, **changes))

    def answer(self, address: str, csrf: str, response: bytes) -> httpx.Response:
        """Send what an authenticator answered."""
        headers = {"X-CSRF-Token": csrf, "Content-Type": "application/json"}
        return self.http.post(address, content=response, headers=headers)

    def token(self, face: str = "portal") -> str | None:
        """The session token in the cookie jar."""
        plain = {"portal": "credence", "desk": "credence-desk"}[face]
        return self.http.cookies.get(plain) or self.http.cookies.get(f"__Host-{plain}")

    def signed_in(self, face: str = "portal") -> bool:
        """Whether the security page opens."""
        return self.http.get(f"/{face}/security").status_code == 200


def field_of(page: str, name: str) -> str:
    """The value of a hidden field."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found is not None, f"no field {name} on this page"
    return found[1]


def make_app(people: People) -> FastAPI:
    """The account pages as `api.http.faces` mounts them, and one page of another builder."""
    app = FastAPI(openapi_url=None)
    problems.install(app)
    pages = the_pages()
    site = Site(people.origins, people.proxies)
    portal, desk = PortalSessions(people.sessions, site), DeskSessions(people.sessions, site)
    for router in (
        *portal_account_routes(people, portal, pages),
        *desk_account_routes(people, desk, pages),
    ):
        app.include_router(router)
    others = page_router(pages, "/portal")

    @others.get("/home")
    def home(request: Request) -> dict[str, str]:
        return {"subject_ref": portal.require(request).subject_ref}

    @others.post("/withdraw")
    def withdraw(request: Request, form: SentForm) -> dict[str, str]:
        session = portal.require(request)
        portal.require_csrf(request, form)
        portal.require_fresh(request, session, "/portal/home")
        return {"withdrawn": "yes"}

    staff = page_router(pages, "/desk", face="desk")

    @staff.get("/reviews")
    def reviews(request: Request) -> dict[str, str]:
        return {"name": desk.require(request, "privacy_officer").name}

    app.include_router(others)
    app.include_router(staff)
    app.add_middleware(LimitedBodies, limits=BodyLimits())
    app.add_middleware(RequestContext)
    return app


def make_home(home: Path, **settings: Any) -> None:
    """A node in `home` that knows `CUSTOMERS`."""
    init_node(home, member_id="bank-a", **{"name": "Harbour Bank", "role": "bank", **settings})
    node = open_node(home)
    known = [
        Subject(bytes([number]) * 32, f"sub_{number:026d}", customer, now_ms())
        for number, customer in enumerate(CUSTOMERS, 1)
    ]
    with node.database.write() as connection:
        subjects.replace_all(connection, known)
    node.close()


def change_settings(home: Path, **settings: Any) -> None:
    """Write other settings into a home."""
    changed = load_settings(home).model_copy(update=settings)
    (home / SETTINGS_FILE).write_text(settings_text(changed), encoding="utf-8")


@contextmanager
def open_world(home: Path, fetch: Fetch | None = None) -> Iterator[World]:
    """The world of a home."""
    node = open_node(home)
    try:
        yield World(node, fetch=fetch)
    finally:
        node.close()


@cache
def the_pages() -> Pages:
    """Templates and words."""
    return Pages("Harbour Bank", texts=Texts.load(), static_files=StaticFiles.load())
