"""What every page of the console is made with."""

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from api.http.operator.commands import Commands
from api.http.operator.live import Live
from api.http.operator.session import PREFIX, OperatorSessions
from api.http.web.pages import Pages
from api.http.web.routes import page_router
from coordinator.console.reader import Console
from coordinator.console.views import Alert
from coordinator.watch.rules import RULES

_LIVE_WORDS = ("live", "stopped", "again", "copy", "copied")
_UNITS = ("B", "kB", "MB", "GB", "TB")


@dataclass(frozen=True)
class Room:
    """The parts of the console's pages.

    Attributes:
        pages: templates and words.
        sessions: who is looking.
        console: what there is to see.
        live: numbers the states of it.
        commands: what is shown for copying.
    """

    pages: Pages
    sessions: OperatorSessions
    console: Console
    live: Live
    commands: Commands

    def router(self) -> APIRouter:
        """A router whose errors are pages of the console."""
        return page_router(self.pages, PREFIX, face="operator")

    def say(self, request: Request, key: str, **arguments: Any) -> str:
        """One of the console's texts in the reader's language."""
        return self.pages.say(request, f"operator.{key}", **arguments)

    def coded(self, request: Request, kind: str, code: str) -> str:
        """Words for a code; a code without words, of a newer release, is shown itself."""
        key = f"operator.{kind}.{code}"
        language = self.pages.language(request)
        return self.pages.say(request, key) if self.pages.texts.has(language, key) else code

    def page(self, request: Request, template: str, **context: Any) -> Response:
        """A page for whoever is signed in.

        `stamp` was taken before the facts of the page were read, so that no change in between is
        lost: take it with `begin`.
        """
        session = self.sessions.require(request)
        names = self.names()
        words = {name: self.say(request, f"live.{name}") for name in _LIVE_WORDS}
        return self.pages.render(
            request,
            f"operator/{template}",
            session=session,
            face="operator",
            now_ms=self.console.clock(),
            live_words=words,
            commands=self.commands,
            name_of=lambda one: names.get(one, one),
            coded=lambda kind, code: self.coded(request, kind, code),
            alert_number=lambda alert: self._alert_number(request, alert),
            size=size_text,
            **context,
        )

    def begin(self, request: Request) -> str:
        """See who is looking, and take the number of the state that the page will show at least.

        Raises:
            SeeOther: nobody is signed in.
        """
        self.sessions.require(request)
        return self.live.changes.now()

    def names(self) -> dict[str, str]:
        """Members' names by id."""
        return {line.facts.member_id: line.facts.name for line in self.console.members()}

    def _alert_number(self, request: Request, alert: Alert) -> str:
        if alert.number is None:
            return ""
        if alert.kind == "epsilon_nearly_spent":
            return f"{alert.number:.0%}"
        if alert.kind in RULES - {"member_silent"}:
            return ""  # the detail says it, with its interval
        key = "minutes" if alert.kind == "member_silent" else "days"
        if alert.number < 0:
            return self.say(request, "days.over")
        return self.say(request, key, count=int(alert.number))


def size_text(count: float) -> str:
    """A number of bytes in a unit that leaves it short."""
    unit = 0
    while count >= 1000 and unit < len(_UNITS) - 1:
        count /= 1000
        unit += 1
    return f"{count:.0f} {_UNITS[unit]}" if unit == 0 else f"{count:.1f} {_UNITS[unit]}"
