"""The log: search, one leaf, its proof for the reader's browser, and what it commits to."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from api.http.regulator.reader import PREFIX
from api.http.regulator.room import Room
from api.http.web.forms import SentForm
from api.http.web.headers import PAGE_HEADERS
from audit.oversight import MAX_REFERENCE, Basis
from audit.search import LeafQuery, is_about_somebody, leaf_at, read_leaf, search
from audit.witness_view import browser_policy
from protocols.errors import InvalidInput

# What a supervisor looks for most: the beginning of kinds, each with words of its own.
GROUPS = (
    "exchange.", "score.", "consent.", "rights.", "staff.", "regulator.", "training.", "campaign.",
    "member.", "bundle.", "erasure.", "retention.", "incident.", "witness.",
)  # fmt: skip
_KIND = re.compile(r"[a-z][a-z0-9_.]{0,63}")
_NAME = re.compile(r"[A-Za-z0-9._:@/=+-]{1,128}")
_MAX_SEQ = 2**53 - 1


def log_routes(room: Room) -> APIRouter:
    """`/regulator/log` and below."""
    router = room.router()

    @router.get("/log")
    def found(request: Request) -> Response:
        """Leaves that fit, the newest first."""
        reader = room.readers.require(request)
        asked = _asked(request)
        query = _query(asked)
        with room.reading(reader, "log", asked) as connection:
            page = search(room.oversight.log, connection, query)
            health = room.oversight.health(connection)
        older = ""
        if page.older is not None:
            older = f"{PREFIX}/log?" + urlencode({**_given(asked), "before": page.older})
        return room.page(
            request, "log.html", reader, page=page, asked=asked, groups=GROUPS, older=older,
            health=health, today=_today(room),
        )  # fmt: skip

    @router.get("/log/{seq}")
    def leaf(request: Request, seq: int) -> Response:
        """One leaf."""
        reader = room.readers.require(request)
        return _leaf_page(room, request, reader, seq)

    @router.get("/log/{seq}/proof.json")
    def proof(request: Request, seq: int) -> Response:
        """What the browser checks it with; `seen`: a size that it has seen before."""
        reader = room.readers.require(request)
        seen = _number(request.query_params.get("seen", ""), "seen")
        content = room.oversight.prove(reader.reader_id, _place(seq), seen)
        return JSONResponse(content, headers=dict(PAGE_HEADERS))

    @router.post("/log/{seq}/disclose")
    def disclose(request: Request, seq: int, form: SentForm) -> Response:
        """What a leaf about nobody commits to, after the basis was recorded."""
        reader = room.readers.require(request)
        room.readers.require_csrf(request, form)
        reference = form.text("reference", max_length=MAX_REFERENCE)
        basis = Basis("inspection", reference)
        shown = room.oversight.disclose(reader.reader_id, _place(seq), basis)
        return room.page(
            request, "disclosed.html", reader, **disclosed_context(shown, basis),
            back=f"{PREFIX}/log/{seq}", under="", subject="",
        )  # fmt: skip

    return router


def disclosed_context(shown: Any, basis: Basis) -> dict[str, Any]:
    """Names that `disclosed.html` uses."""
    return {
        "leaf": read_leaf(shown.stored),
        "disclosure_id": shown.disclosure_id,
        "basis": basis,
        "opened": {
            "payload": shown.opening.payload.decode("utf-8"),
            "salt": shown.opening.salt.hex(),
            "leaf": shown.stored.leaf.decode("ascii"),
        },
    }


def _leaf_page(room: Room, request: Request, reader: Any, seq: int) -> Response:
    place = _place(seq)
    with room.reading(reader, "leaf", {"seq": place}) as connection:
        stored = leaf_at(room.oversight.log, connection, place)
        about_somebody = is_about_somebody(connection, place)
        health = room.oversight.health(connection)
    return room.page(
        request, "leaf.html", reader, leaf=read_leaf(stored), text=stored.leaf.decode("ascii"),
        leaf_hash=stored.leaf_hash.hex(), about_somebody=about_somebody, health=health,
        max_reference=MAX_REFERENCE, policy=browser_policy(room.oversight.policy()),
    )  # fmt: skip


def _asked(request: Request) -> dict[str, str]:
    given = request.query_params
    return {
        "since": given.get("since", "")[:10],
        "until": given.get("until", "")[:10],
        "kind": given.get("kind", "").strip()[:64],
        "institution": given.get("institution", "").strip()[:128],
        "before": given.get("before", "")[:16],
    }


def _given(asked: dict[str, str]) -> dict[str, str]:
    return {name: said for name, said in asked.items() if said and name != "before"}


def _query(asked: dict[str, str]) -> LeafQuery:
    for name, form in (("kind", _KIND), ("institution", _NAME)):
        if asked[name] and form.fullmatch(asked[name]) is None:
            raise InvalidInput(f"{name}: letters, digits and . _ - only")
    since, until = day_of(asked["since"]), day_of(asked["until"])
    return LeafQuery(
        since_ms=None if since is None else _ms(since),
        until_ms=None if until is None else _ms(until + timedelta(days=1)),
        kind=asked["kind"],
        institution=asked["institution"],
        before=_number(asked["before"], "before"),
    )


def day_of(text: str) -> datetime | None:
    """A day (UTC) as a date field sends it; None: empty.

    Raises:
        InvalidInput: it is none.
    """
    if not text:
        return None
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise InvalidInput("a day reads YYYY-MM-DD") from error
    if not 1970 <= day.year <= 2999:
        raise InvalidInput("a day lies between 1970 and 2999")
    return day


def _ms(day: datetime) -> int:
    return int(day.timestamp() * 1000)


def _number(text: str, name: str) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 16:
        raise InvalidInput(f"{name}: a whole number")
    return min(int(text), _MAX_SEQ)


def _place(seq: int) -> int:
    if not 0 <= seq <= _MAX_SEQ:
        raise InvalidInput("a leaf's number is not below zero")
    return seq


def _today(room: Room) -> str:
    return f"{datetime.fromtimestamp(room.oversight.clock() / 1000, UTC):%Y-%m-%d}"
