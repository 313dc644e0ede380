"""What the services need to know of the browser that asks."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Browser:
    """The browser of one request.

    Attributes:
        address: where it comes from, for rate limits.
        agent: browser and system, for the list of sessions.
        language: of the page it sees; a new account's pages have it from then on.
        token: the session token it has, if any; it ends when another is given out.
    """

    address: str
    agent: str
    language: str = "en"
    token: str | None = field(default=None, repr=False)
