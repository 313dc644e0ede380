"""The gRPC face of the board, and the thread that closes its rounds."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import structlog

from coordinator.bootstrap import Coordinator
from coordinator.ceremonies.board import Board
from coordinator.storage.ceremonies import EntryRow
from coordinator.transport import peer_member
from protocols.documents import to_proto
from protocols.errors import CredenceError, InvalidInput
from protocols.v1.pseudonyms_pb2 import (
    BoardEntry,
    CeremonyState,
    CurrentRequest,
    PostAnswer,
    ReadRequest,
)
from protocols.v1.pseudonyms_pb2_grpc import KeyBoardServicer, add_KeyBoardServicer_to_server

TURN_S = 0.1

log = structlog.get_logger(__name__)


class KeyBoardService(KeyBoardServicer):
    """Answers members; behind a `MemberGate`, so that the caller is an active member."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def Current(  # noqa: N802 - the name in the .proto
        self,
        request: CurrentRequest,  # noqa: ARG002
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> CeremonyState:
        """The newest ceremony."""
        row, result = self._board.current()
        return CeremonyState(
            plan=to_proto(row.document),
            state=row.state,
            deadline_ms=row.deadline_ms,
            result=to_proto(result) if result is not None else None,
        )

    def Post(  # noqa: N802 - the name in the .proto
        self, request: BoardEntry, context: grpc.ServicerContext
    ) -> PostAnswer:
        """Take one entry; see `Board.post` for its checks."""
        if len(request.ceremony_id) > 40 or len(request.signature) != 64:
            raise InvalidInput("an entry has a part of the wrong size")
        entry = EntryRow(request.round, request.member_id, request.body, request.signature)
        self._board.post(peer_member(context), request.ceremony_id, entry, _now_ms())
        return PostAnswer()

    def Read(  # noqa: N802 - the name in the .proto
        self,
        request: ReadRequest,
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> Iterator[BoardEntry]:
        """The entries of a closed round."""
        for entry in self._board.read(request.ceremony_id[:40], request.round):
            yield BoardEntry(
                ceremony_id=request.ceremony_id,
                round=entry.round,
                member_id=entry.member_id,
                body=entry.body,
                signature=entry.signature,
            )


@contextmanager
def attach_ceremonies(server: grpc.Server, coordinator: Coordinator) -> Iterator[Board]:
    """Serve the board on `server` and close rounds until the block ends.

    Args:
        server: the member port; not started yet.
        coordinator: its parts.
    """
    board = make_board(coordinator)
    add_KeyBoardServicer_to_server(KeyBoardService(board), server)
    stopping = threading.Event()
    thread = threading.Thread(target=_work, args=(board, stopping), name="ceremonies", daemon=True)
    thread.start()
    try:
        yield board
    finally:
        stopping.set()
        thread.join(timeout=5.0)


def make_board(coordinator: Coordinator) -> Board:
    """The board of an opened coordinator."""
    return Board(
        coordinator.database,
        coordinator.audit,
        coordinator.membership.directory,
        coordinator.keys.directory,
    )


def _work(board: Board, stopping: threading.Event) -> None:
    while not stopping.is_set():
        try:
            if board.turn(_now_ms()):
                continue
        except CredenceError as error:
            log.warning("ceremonies.unavailable", code=error.code)
        except Exception:  # the thread must live as long as the process serves
            log.exception("ceremonies.crashed")
        stopping.wait(TURN_S)


def _now_ms() -> int:
    return int(time.time() * 1000)
