"""What every page of the regulator's console is made with."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from api.http.regulator.reader import FACE, PREFIX, Reader, Readers
from api.http.web.csv_files import csv_answer
from api.http.web.forms import SentForm
from api.http.web.pages import Pages
from api.http.web.routes import page_router
from audit.database import Connection
from audit.oversight import Oversight


@dataclass(frozen=True)
class Room:
    """The parts of the pages.

    Attributes:
        pages: templates and words.
        readers: who is looking.
        oversight: reads with their leaves.
        place: whose navigation: `regulator` of a node, `regulator_network` of the coordinator.
        member_name: the legal name of a member, or its id.
    """

    pages: Pages
    readers: Readers
    oversight: Oversight
    place: str
    member_name: Callable[[str], str]

    def router(self) -> APIRouter:
        """A router whose errors are pages of the console."""
        return page_router(self.pages, PREFIX, face=FACE)

    def say(self, request: Request, key: str, **arguments: Any) -> str:
        """One of the console's texts in the reader's language."""
        return self.pages.say(request, f"regulator.{key}", **arguments)

    def coded(self, request: Request, kind: str, code: str) -> str:
        """Words for a code; a code without words, of a newer release, is shown itself."""
        language = self.pages.language(request)
        for area in ("regulator", "operator"):  # both say the same of the network
            key = f"{area}.{kind}.{code}"
            if self.pages.texts.has(language, key):
                return self.pages.say(request, key)
        return code

    def reading(
        self, reader: Reader, page: str, query: Mapping[str, str | int | None] | None = None
    ) -> AbstractContextManager[Connection]:
        """A transaction in which that page is read, with the leaf that says so."""
        return self.oversight.reading(reader.reader_id, page, query)

    def page(
        self, request: Request, template: str, reader: Reader, *, status: int = 200, **context: Any
    ) -> Response:
        """A page for the regulator who is signed in."""
        return self.pages.render(
            request,
            f"regulator/{template}",
            session=reader,
            status=status,
            face=FACE,
            navigation_of=self.place,
            now_ms=self.oversight.clock(),
            member_name=self.member_name,
            coded=lambda kind, code: self.coded(request, kind, code),
            **context,
        )

    def add_register(
        self,
        router: APIRouter,
        name: str,
        header: Sequence[str],
        rows: Callable[[Connection], Iterable[Sequence[Any]]],
    ) -> None:
        """Serve the register `name`, a CSV file; `rows` are read with the leaf that says so."""

        @router.get(f"/{name}")
        def register(request: Request) -> Response:
            """A register as a table to download."""
            reader = self.readers.require(request)
            with self.reading(reader, name) as connection:
                table = list(rows(connection))
            return csv_answer(name, header, table)


def sign_out_routes(room: Room) -> APIRouter:
    """`/regulator/sign-out`."""
    router = room.router()

    @router.post("/sign-out")
    def sign_out(request: Request, form: SentForm) -> Response:
        """End this session."""
        room.readers.require_csrf(request, form)
        return room.readers.sign_out(request)

    return router
