"""`/v1/log`: checkpoints, proofs and public leaves of a log, for who may read it.

What is served here holds no personal data: leaves say what kind of act it was, when, by whom and
under which purpose, and commit to the rest. Still it is for those who have a reason: a regulator or
a partner with the scope `log:read`, and a client for the entries of its own scores.

The layout of `/v1/log/tile/` is C2SP tlog-tiles: hash tiles of 256, entry bundles, partial ones
with their width in the name. Full tiles never change and may be cached for good.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field

from api.http.access import Credentials, caller
from api.http.refusals import refused
from audit.proofs import MAX_ENTRIES, LogReader, TileNotFound
from audit.tiles import TILE_WIDTH
from node.access.clients import Clients
from node.access.presented import LOG_SCOPE
from node.scoring.proofs import ScoreProofs
from protocols.errors import CredenceError

MAX_SEQ = 2**53 - 1
TEXT = "text/plain; charset=utf-8"
TILE = "application/octet-stream"
Size = Annotated[int, Query(ge=0, le=MAX_SEQ)]
_HASH = "^[0-9a-f]{64}$"
# Two levels are a tree of 16 million leaves; eight are more than fit a 64-bit number.
_TILE = re.compile(
    r"([0-7]|entries)/((?:x[0-9]{3}/)*)([0-9]{3})"
    r"(?:\.p/([1-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5]))?"
)
_MAX_TILE_NAME = 64
_FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}
_FRESH = {"Cache-Control": "no-store"}

_REFUSALS = {
    400: "There is no such place, size or range in the log.",
    401: "No token, or not one of a valid client.",
    403: "The token lacks the scope `log:read`.",
    404: "The log has no such leaf or tile.",
    422: "A parameter is wrong.",
}
_refused = partial(refused, _REFUSALS)


class Proof(BaseModel):
    """Hashes of a proof, in the order of RFC 9162."""

    log: str = Field(examples=["bank-a.members.credence"])
    path: list[Annotated[str, Field(pattern=_HASH)]]


class Leaf(BaseModel):
    """The public part of one act."""

    seq: int = Field(examples=[1234])
    leaf: str = Field(description="The leaf's bytes, canonical JSON in ASCII.")
    leaf_hash: str = Field(pattern=_HASH, description="SHA-256(0x00 || leaf).")


class Leaves(BaseModel):
    """Leaves side by side."""

    log: str
    leaves: list[Leaf]


class ReceiptFile(BaseModel):
    """A receipt as `credence audit verify receipt` reads it."""

    format: str = Field(examples=["credence.receipt/1"])
    seq: int
    leaf: str
    content: str = Field(description="shown, withheld or erased")
    payload: str | None
    salt: str | None
    path: list[str]
    checkpoint: str = Field(description="Signed note; with its cosignatures once witnessed.")
    key: str


def node_log_routes(reader: LogReader, clients: Clients, scores: ScoreProofs) -> APIRouter:
    """The routes of a node: for clients with `log:read`, and receipts of a client's own scores."""
    router = APIRouter(prefix="/v1/log", tags=["log"])

    def guard(credentials: Credentials) -> None:
        caller(clients, credentials, LOG_SCOPE)

    @router.get(
        "/receipts/{seq}",
        operation_id="getLogReceipt",
        summary="Prove one act",
        response_model=ReceiptFile,
        responses=_refused(401, 403, 404, 422),
    )
    def receipt(seq: Annotated[int, Path(ge=0, le=MAX_SEQ)], credentials: Credentials) -> Any:
        """The receipt of an act against the newest witnessed checkpoint that covers it.

        Until witnesses have cosigned one, the checkpoint is signed by the log alone: ask again
        about a minute after the act. A client is shown the content of its own score's entry while
        it may read the score; of anything else the content is withheld, and `log:read` is needed.
        """
        client = caller(clients, credentials, None)
        return scores.receipt(client, seq).to_json()

    add_log_routes(router, reader, guard)
    return router


class LogSessionNeeded(CredenceError):
    """The coordinator's log is read in a session of its console."""

    code = "log_session_needed"
    category = "unauthenticated"
    next_step = "Open the console with a link of `credence coordinator console HOME`."


def coordinator_log_routes(reader: LogReader, signed_in: Callable[[Request], bool]) -> APIRouter:
    """The routes of a coordinator, for the operator: without receipts, which its commands write."""
    router = APIRouter(prefix="/v1/log", tags=["log"])

    def guard(request: Request) -> None:
        if not signed_in(request):
            raise LogSessionNeeded("nobody is signed in here")

    add_log_routes(router, reader, guard)
    return router


def add_log_routes(router: APIRouter, reader: LogReader, guard: Callable[..., None]) -> None:
    """Add what every log serves to `router`; `guard` is a dependency that refuses by raising."""
    needed = [Depends(guard)]
    _heads(router, reader, needed)
    _leaves(router, reader, needed)
    _tiles(router, reader, needed)


def _heads(router: APIRouter, reader: LogReader, needed: list[Any]) -> None:
    @router.get(
        "/checkpoint",
        operation_id="getLogCheckpoint",
        summary="The newest checkpoint",
        response_class=Response,
        responses={200: {"content": {TEXT: {}}}, **_refused(401, 403)},
        dependencies=needed,
    )
    def checkpoint(
        witnessed: Annotated[
            bool, Query(description="false: the head of this moment, signed by the log alone")
        ] = True,
    ) -> Response:
        """A C2SP tlog-checkpoint: the newest that witnesses cosigned, if there is one."""
        return Response(reader.checkpoint(witnessed=witnessed), media_type=TEXT, headers=_FRESH)

    @router.get(
        "/proof/inclusion",
        operation_id="getInclusionProof",
        summary="That a leaf is in a tree",
        response_model=Proof,
        responses=_refused(400, 401, 403, 422),
        dependencies=needed,
    )
    def inclusion(seq: Size, size: Size) -> Any:
        """The inclusion proof of RFC 9162 section 2.1.3, the leaf's sibling first."""
        return _proof(reader, reader.inclusion(seq, size))

    @router.get(
        "/proof/consistency",
        operation_id="getConsistencyProof",
        summary="That a tree continues another",
        response_model=Proof,
        responses=_refused(400, 401, 403, 422),
        dependencies=needed,
    )
    def consistency(
        old: Annotated[int, Query(alias="from", ge=0, le=MAX_SEQ)],
        new: Annotated[int, Query(alias="to", ge=0, le=MAX_SEQ)],
    ) -> Any:
        """The consistency proof of RFC 9162 section 2.1.4."""
        return _proof(reader, reader.consistency(old, new))


def _leaves(router: APIRouter, reader: LogReader, needed: list[Any]) -> None:
    @router.get(
        "/leaves",
        operation_id="getLogLeaves",
        summary="Leaves side by side",
        response_model=Leaves,
        responses=_refused(400, 401, 403, 422),
        dependencies=needed,
    )
    def leaves(start: Size, count: Annotated[int, Query(ge=1, le=MAX_ENTRIES)] = 64) -> Any:
        """The public part of up to 256 leaves; fewer where the log ends."""
        found = reader.leaves(start, start + count)
        return {"log": reader.log.origin, "leaves": [_leaf(one) for one in found]}

    @router.get(
        "/leaves/{seq}",
        operation_id="getLogLeaf",
        summary="One leaf",
        response_model=Leaf,
        responses=_refused(401, 403, 404, 422),
        dependencies=needed,
    )
    def leaf(seq: Annotated[int, Path(ge=0, le=MAX_SEQ)]) -> Any:
        """The public part of one leaf."""
        return _leaf(reader.leaf(seq))


def _tiles(router: APIRouter, reader: LogReader, needed: list[Any]) -> None:
    @router.get(
        "/tile/{name:path}",
        operation_id="getLogTile",
        summary="A tile of hashes or of leaves",
        response_class=Response,
        responses={200: {"content": {TILE: {}}}, **_refused(401, 403, 404)},
        dependencies=needed,
    )
    def tile(
        name: Annotated[
            str, Path(max_length=_MAX_TILE_NAME, examples=["0/x001/234", "entries/000.p/9"])
        ],
    ) -> Response:
        """C2SP tlog-tiles: `<level>/<index>[.p/<width>]`, or `entries/<index>[.p/<width>]`."""
        level, index, width = parse_tile(name)
        entries = level is None
        data = reader.bundle(index, width) if entries else reader.tile(level or 0, index, width)
        return Response(data, media_type=TILE, headers=_FOREVER)


def parse_tile(name: str) -> tuple[int | None, int, int]:
    """Level (None: entries), index and width of a tile's name.

    Raises:
        TileNotFound: no such name.
    """
    match = _TILE.fullmatch(name) if len(name) <= _MAX_TILE_NAME else None
    if match is None:
        raise TileNotFound("no tile has this name")
    level, high, low, width = match.groups()
    digits = high.replace("x", "").replace("/", "") + low
    index = int(digits)
    if (high and digits[:3] == "000") or index > MAX_SEQ >> 8:
        raise TileNotFound("no tile has this name")  # one name each
    return (
        None if level == "entries" else int(level),
        index,
        TILE_WIDTH if width is None else int(width),
    )


def _proof(reader: LogReader, path: list[bytes]) -> dict[str, Any]:
    return {"log": reader.log.origin, "path": [one.hex() for one in path]}


def _leaf(found: Any) -> dict[str, Any]:
    return {"seq": found.seq, "leaf": found.leaf, "leaf_hash": found.leaf_hash.hex()}
