"""A Flower ClientApp for virtual nodes: each message is answered by the production app of a node.

Which node it is stands in Flower's node configuration: `home`, the path of its home (a SuperNode's
`--node-config`), or `partition-id`, its number in the network below `root` (the simulation).

Flower's engines hand a node's messages to whatever process is free, so two processes may have the
same node open, one after the other. What must last is in the node's database, as when a worker is
killed; what a process remembers of the masks is dropped when another has answered since.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path

import structlog

from deploy.flower.layout import Layout, open_virtual
from deploy.flower.offers import BAND, DOCUMENT, MEMBER, OFFER, OFFER_QUERY, REFUSAL
from models.privacy.accountant import Accountant
from node.federation.flower import ClientApp, ConfigRecord, Context, Message, RecordDict
from node.federation.wiring import Worker, build_worker
from protocols.documents import Document, from_proto
from protocols.errors import InvalidInput
from protocols.v1.membership_pb2 import SignedDocument

PLAN_FILE = "offered-plan"
TURN_FILE = "turn"
NODES_OPEN = 256

log = structlog.get_logger(__name__)


class VirtualNodes(ClientApp):
    """All virtual nodes of a network.

    Args:
        root: of the network's homes; None when every node's configuration names its home.
    """

    def __init__(self, root: Path | None = None) -> None:
        super().__init__()
        self._root = root

    def __call__(self, message: Message, context: Context) -> Message:
        """Let the node that Flower means answer."""
        return _opened(self._home(context)).answer(message, context)

    def _home(self, context: Context) -> Path:
        home, number = (context.node_config.get(key) for key in ("home", "partition-id"))
        if isinstance(home, str):
            return Path(home)
        if self._root is None or not isinstance(number, int):
            raise InvalidInput("the node's configuration names no home")
        return Layout(self._root).node(number)


class VirtualNode:
    """One node as this process has it open.

    Args:
        home: its home.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._node = open_virtual(home)
        self._worker: Worker | None = None
        self._plan = b""  # the one that is open in this process

    def answer(self, message: Message, context: Context) -> Message:
        """Answer one message."""
        with self._turn() as uninterrupted:
            if self._worker is None:
                self._worker = build_worker(self._node, accountant=_accountant())
            if not uninterrupted:
                self._worker.masking.forget()
                self._reopen(self._worker)
            if message.metadata.message_type == OFFER_QUERY:
                return self._offered(self._worker, message)
            return self._worker.app(message, context)

    def _offered(self, worker: Worker, message: Message) -> Message:
        record = message.content[OFFER]
        data = record.get(DOCUMENT) if isinstance(record, ConfigRecord) else None
        if not isinstance(data, bytes):
            raise InvalidInput("an offer carries a plan")
        answer = worker.accept(_read(data))
        (self._home / PLAN_FILE).write_bytes(data)
        self._plan = data
        said = ConfigRecord(
            {
                MEMBER: self._node.member_id,
                REFUSAL: answer.refusal,
                BAND: answer.cohort_band,
            }
        )
        return Message(RecordDict({OFFER: said}), reply_to=message)

    def _reopen(self, worker: Worker) -> None:
        """Hold the offered campaign open again; the node gives the answer that it kept."""
        plan = self._home / PLAN_FILE
        offered = plan.read_bytes() if plan.exists() else b""
        if offered != self._plan:
            worker.accept(_read(offered))
            self._plan = offered

    @contextmanager
    def _turn(self) -> Iterator[bool]:
        """Answer alone; whether this process answered last."""
        mine = f"{os.getpid()}".encode()
        with (self._home / TURN_FILE).open("a+b") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            turn.seek(0)
            last = turn.read()
            if last != mine:
                turn.truncate(0)
                turn.write(mine)
                turn.flush()
            yield last == mine


# Flower gives an app no place to keep what is open between two messages; a process has one.
@lru_cache(maxsize=NODES_OPEN)
def _opened(home: Path) -> VirtualNode:
    return VirtualNode(home)


@cache
def _accountant() -> Accountant:
    return Accountant()


def _read(data: bytes) -> Document:
    return from_proto(SignedDocument.FromString(data))
