"""The cookies of portal and desk.

Over HTTPS their names begin with `__Host-`, so that a browser takes them from this very host only
(RFC 6265bis, 4.1.3.2) and no neighbouring site can plant one. On http://localhost, where browsers
refuse that prefix, they have their plain names.
"""

from dataclasses import dataclass
from typing import Literal

from fastapi import Request, Response

MAX_TOKEN = 3000


@dataclass(frozen=True)
class Cookie:
    """One cookie: for the browser's session, unreadable for scripts.

    Attributes:
        name: without prefix.
        secure: whether the site is served over HTTPS.
        same_site: `lax` lets it come along when somebody follows a link to us.
    """

    name: str
    secure: bool
    same_site: Literal["lax", "strict"] = "lax"

    @property
    def full_name(self) -> str:
        """As the browser has it."""
        return f"__Host-{self.name}" if self.secure else self.name

    def read(self, request: Request) -> str | None:
        """Its value, or None."""
        value = request.cookies.get(self.full_name)
        return value if value and len(value) <= MAX_TOKEN else None

    def write(self, response: Response, value: str, max_age_s: int | None = None) -> None:
        """Set it; without an age it goes with the browser."""
        response.set_cookie(
            self.full_name,
            value,
            max_age=max_age_s,
            path="/",
            secure=self.secure,
            httponly=True,
            samesite=self.same_site,
        )

    def clear(self, response: Response) -> None:
        """Take it away."""
        response.delete_cookie(
            self.full_name,
            path="/",
            secure=self.secure,
            httponly=True,
            samesite=self.same_site,
        )
