"""What `credence node run` runs: the member port and the threads and processes beside it.

The HTTP API is mounted by `api/`, which may know a node; a node does not know its faces.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import structlog

from node.bootstrap import Node, open_node
from node.documents import DocumentRefresher
from node.exchange.server import ExchangeServer
from node.home import only_process
from node.server import MemberServer
from protocols.v1.exchange_pb2_grpc import add_ExchangeServicer_to_server

log = structlog.get_logger("node.process")


@dataclass(frozen=True)
class Running:
    """A node that serves.

    Attributes:
        node: its parts.
        port: the member port that was bound.
    """

    node: Node
    port: int


def member_server(node: Node) -> MemberServer:
    """The server of a node's member port; nothing listens yet.

    Raises:
        NotJoined: the node has no certificate yet.
    """

    def exchange(server: grpc.Server) -> None:
        add_ExchangeServicer_to_server(ExchangeServer(node.exchange), server)

    return MemberServer(node.identity(), node.documents, [exchange], node.transport_limits)


@contextmanager
def running(home: Path, *, train: bool = True) -> Iterator[Running]:
    """Serve the node in `home` until the block ends.

    Args:
        home: of a node that has joined.
        train: whether to keep a training worker beside it.

    Raises:
        AlreadyRunning: another process runs on `home`.
        NotJoined: the node is no member yet.
        PortInUse: its member port is taken; nothing was started.
        HomeUnusable, SettingsInvalid, DatabaseUnavailable: it cannot be opened.
    """
    with only_process(home), ExitStack() as stack:
        node = open_node(home)
        stack.callback(node.close)
        node.documents.directory()
        server = member_server(node)
        stack.callback(server.stop)
        port = server.bind(node.settings.listen)
        server.start()
        refresher = DocumentRefresher(node.documents, node.settings.refresh_s)
        refresher.start()
        stack.callback(refresher.stop)
        log.info("node.serving", member=node.member_id, port=port)
        yield Running(node, port)
        log.info("node.stopping", member=node.member_id)
