"""Where a webhook may go: not into this network, whatever a name resolves to.

A URL is chosen by a client, and the node that calls it stands inside an institution. So, each time:

  1. the URL is `https`, names a host, and carries no user, password or fragment;
  2. the host is resolved here, once, and every address it has must be a public one or lie in a
     network of the setting `webhook_networks`;
  3. the connection goes to an address that was checked, not to the name again (a second answer of
     the name server could be another);
  4. plain `http` goes only to a loopback address that the setting allows: a sandbox.
"""

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from protocols.errors import CredenceError, InvalidInput

MAX_URL_CHARACTERS = 500
Resolve = Callable[[str, int], Sequence[str]]


class UrlRefused(InvalidInput):
    """The URL of an endpoint is not one that this node calls."""

    code = "webhook_url_refused"
    next_step = "Give an https:// URL of a host with public addresses."


class HostUnknown(CredenceError):
    """The host of an endpoint has no address."""

    code = "webhook_host_unknown"
    category = "invalid"
    retryable = True
    next_step = "Check the host's name."


@dataclass(frozen=True, slots=True)
class Target:
    """A URL, taken apart and checked.

    Attributes:
        address: what is connected to, checked.
        authority: the `Host` header.
    """

    scheme: str
    host: str
    port: int
    path: str
    authority: str
    address: str = ""


def resolve(host: str, port: int) -> list[str]:
    """Addresses of a host, by the system's resolver."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise HostUnknown("the host has no address") from error
    return [str(one[4][0]) for one in found]


class Guard:
    """Decides on addresses."""

    def __init__(self, networks: Sequence[str] = (), lookup: Resolve = resolve) -> None:
        """Allow public addresses, and those in `networks` (CIDR)."""
        self._networks = [ip_network(one) for one in networks]
        self._lookup = lookup

    def check(self, url: str) -> Target:
        """Take a URL apart and resolve it.

        Raises:
            UrlRefused: it is not one to call; see the module.
            HostUnknown: the name has no address now.
        """
        target = parse(url)  # 1
        addresses = list(dict.fromkeys(self._lookup(target.host, target.port)))
        if not addresses:
            raise HostUnknown("the host has no address")
        if not all(self._allowed(one, target.scheme) for one in addresses):  # 2, 4
            raise UrlRefused("the host has an address that this node does not call")
        return Target(
            target.scheme, target.host, target.port, target.path, target.authority, addresses[0]
        )  # 3

    def _allowed(self, text: str, scheme: str) -> bool:
        try:
            address = ip_address(text.partition("%")[0])
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        listed = any(_within(address, network) for network in self._networks)
        if scheme == "http":
            return listed and address.is_loopback
        # `is_global` leaves out private, shared, link-local, loopback, documentation and reserved
        # ranges (IANA special-purpose registries); multicast has global ones.
        return listed or (address.is_global and not address.is_multicast and not _tunnels(address))


def parse(url: str) -> Target:
    """The parts of a URL of the right form.

    Raises:
        UrlRefused: it is not.
    """
    if len(url) > MAX_URL_CHARACTERS or not url.isascii() or not url.isprintable() or " " in url:
        raise UrlRefused("a URL is at most 500 printable ASCII characters without blanks")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UrlRefused("this is no URL") from error
    if parts.scheme not in {"https", "http"} or not parts.hostname or port == 0:
        raise UrlRefused("an endpoint's URL begins with https:// and names a host")
    if "@" in parts.netloc or "\\" in url or parts.fragment:
        raise UrlRefused("an endpoint's URL has no user, password or fragment")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    default = 443 if parts.scheme == "https" else 80
    return Target(parts.scheme, parts.hostname, port or default, path, parts.netloc)


def _within(address: object, network: IPv4Network | IPv6Network) -> bool:
    return getattr(address, "version", None) == network.version and address in network


def _tunnels(address: object) -> bool:
    # 6to4, Teredo and NAT64 addresses lead to an IPv4 address that was not looked at.
    return isinstance(address, IPv6Address) and (
        address.sixtofour is not None or address.teredo is not None or address in _NAT64
    )


_NAT64 = IPv6Network("64:ff9b::/96")
