"""Where this node's pages are, and what of a request says where it comes from.

A request that changes something is believed to come from our own pages when:

1. the browser says so (`Sec-Fetch-Site: same-origin`, which no page can forge), or, where an older
   one does not say it, the `Origin` is one of ours;
2. an `Origin` that is there is one of ours; `null` passes with check 1 alone, since a page whose
   policy is `no-referrer` sends that;
3. it carries the token of the cookie it comes with, compared in constant time.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from fastapi import Request

from node.people.sessions import csrf_token
from protocols.errors import CredenceError

CSRF_HEADER = "x-csrf-token"


class RequestNotOurs(CredenceError):
    """A form or call that did not come from a page of this site, or from one that is too old."""

    code = "request_not_ours"
    category = "forbidden"
    next_step = "Go back, reload the page and send it again."


@dataclass(frozen=True)
class Site:
    """The addresses of the pages.

    Attributes:
        origins: scheme, host and port of our pages, the public one first.
        proxies: addresses of the reverse proxies in front, whose X-Forwarded-For is believed.
    """

    origins: tuple[str, ...]
    proxies: tuple[str, ...] = ()

    @property
    def public(self) -> str:
        """The origin that people know."""
        return self.origins[0]

    @property
    def secure(self) -> bool:
        """Whether cookies are for HTTPS only."""
        return self.public.startswith("https:")

    def require_own(self, request: Request) -> None:
        """Checks 1 and 2.

        Raises:
            RequestNotOurs: the request came from elsewhere.
        """
        origin = request.headers.get("origin")
        fetched = request.headers.get("sec-fetch-site")
        known = origin in self.origins
        if fetched is not None and fetched != "same-origin":  # 1
            raise RequestNotOurs("the request came from another site")
        if fetched is None and not known:
            raise RequestNotOurs("the request does not say that it came from this site")
        if origin not in {None, "null"} and not known:  # 2
            raise RequestNotOurs("the request came from another site")

    def require_token(self, request: Request, cookie: str | None, sent: str) -> None:
        """Checks 1 to 3.

        Args:
            request: a call that changes something.
            cookie: the token of its cookie; None: it has none.
            sent: the token of its form; empty: the header is looked at.

        Raises:
            RequestNotOurs: a check fails.
        """
        self.require_own(request)
        given = sent or request.headers.get(CSRF_HEADER, "")
        expected = csrf_token(cookie or "")
        if not hmac.compare_digest(given.encode(), expected.encode()) or cookie is None:  # 3
            raise RequestNotOurs("the form belongs to another session")

    def address(self, request: Request) -> str:
        """Who is calling, for rate limits: an IPv4 address or an IPv6 network of 64 bits.

        Behind known proxies it is the last address that none of them has.
        """
        peer = request.client.host if request.client is not None else ""
        forwarded = request.headers.get("x-forwarded-for", "")[-500:]
        hops = [*(hop.strip() for hop in forwarded.split(",")), peer] if forwarded else [peer]
        while len(hops) > 1 and hops[-1] in self.proxies:
            hops.pop()
        return _network(hops[-1]) or _network(peer)


def safe_next(given: str, prefix: str) -> str:
    """Where to go after signing in: a page below `prefix`, or its home.

    Nothing that a browser would read as another site, and nothing that could stand in a header.
    """
    plain = given.isascii() and given.isprintable() and len(given) <= 500
    below = given == prefix or given.startswith(prefix + "/")
    inside = plain and below and not any(part in given for part in ("//", "\\", "..", ":"))
    return given if inside else prefix + "/"


def agent_label(header: str) -> str:
    """Browser and system of a User-Agent, as coarse as a person recognises them."""
    browser = _first(header, _BROWSERS)
    system = _first(header, _SYSTEMS)
    return " · ".join(part for part in (browser, system) if part)


# fmt: off
_BROWSERS = (
    ("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("MicroMessenger/", "WeChat"),
    ("Chrome/", "Chrome"), ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"),
    ("Mac OS X", "macOS"), ("Linux", "Linux"),
)
# fmt: on


def _first(header: str, names: Sequence[tuple[str, str]]) -> str:
    return next((name for mark, name in names if mark in header), "")


def _network(text: str) -> str:
    try:
        found = ip_address(text)
    except ValueError:
        return ""
    mapped = getattr(found, "ipv4_mapped", None)
    if mapped is not None:
        return str(mapped)
    return str(found) if found.version == 4 else str(ip_network((found, 64), strict=False))
