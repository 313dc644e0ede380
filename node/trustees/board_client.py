"""The coordinator's board as a trustee sees it, over mutual TLS. Nothing here is verified yet."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from node.network.rpc_errors import remote_errors
from node.network.transport import Channels
from protocols.dkg_entries import MAX_ENTRY_BYTES, Round
from protocols.documents import Document, from_proto
from protocols.errors import Malformed
from protocols.secret_sharing import MAX_TRUSTEES
from protocols.v1.pseudonyms_pb2 import BoardEntry, CurrentRequest, ReadRequest
from protocols.v1.pseudonyms_pb2_grpc import KeyBoardStub

COORDINATOR = "the coordinator"
TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Announced:
    """What the coordinator says of the newest ceremony."""

    plan: Document
    state: str
    result: Document | None


@dataclass(frozen=True)
class SignedEntry:
    """One entry of the board as it came."""

    member_id: str
    body: bytes
    signature: bytes


class KeyBoard(Protocol):
    """Where a trustee posts and reads."""

    def current(self) -> Announced:
        """The newest ceremony; raises `NotFound` when there is none."""
        ...

    def post(self, ceremony_id: str, round_: Round, entry: SignedEntry) -> None:
        """Post an entry of the open round."""
        ...

    def read(self, ceremony_id: str, round_: Round) -> list[SignedEntry]:
        """All entries of a closed round."""
        ...


class GrpcKeyBoard:
    """A `KeyBoard` at the coordinator's member port."""

    def __init__(self, channels: Channels, endpoint: Callable[[], str]) -> None:
        """Call over `channels` the endpoint that `endpoint` gives (it may raise `NotJoined`)."""
        self._channels = channels
        self._endpoint = endpoint

    def current(self) -> Announced:
        """The newest ceremony.

        Raises:
            NotFound: none was announced.
            PeerUnreachable, PeerTooSlow: no answer.
        """
        with remote_errors(COORDINATOR):
            answer = self._stub().Current(CurrentRequest(), timeout=TIMEOUT_S)
        result = from_proto(answer.result) if answer.HasField("result") else None
        return Announced(from_proto(answer.plan), answer.state, result)

    def post(self, ceremony_id: str, round_: Round, entry: SignedEntry) -> None:
        """Post an entry.

        Raises:
            CredenceError: as `coordinator.ceremonies.board.Board.post`.
        """
        message = BoardEntry(
            ceremony_id=ceremony_id,
            round=round_,
            member_id=entry.member_id,
            body=entry.body,
            signature=entry.signature,
        )
        with remote_errors(COORDINATOR):
            self._stub().Post(message, timeout=TIMEOUT_S)

    def read(self, ceremony_id: str, round_: Round) -> list[SignedEntry]:
        """The entries of a closed round.

        Raises:
            Malformed: more entries than trustees, or one that is too large.
            CredenceError: as `coordinator.ceremonies.board.Board.read`.
        """
        found: list[SignedEntry] = []
        request = ReadRequest(ceremony_id=ceremony_id, round=round_)
        with remote_errors(COORDINATOR):
            for one in self._stub().Read(request, timeout=TIMEOUT_S):
                if len(found) == MAX_TRUSTEES or len(one.body) > MAX_ENTRY_BYTES:
                    raise Malformed("the board has more in a round than trustees can post")
                found.append(SignedEntry(one.member_id, one.body, one.signature))
        return found

    def _stub(self) -> KeyBoardStub:
        return KeyBoardStub(self._channels.to_coordinator(self._endpoint()))
