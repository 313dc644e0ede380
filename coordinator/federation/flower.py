"""Flower, as quiet as the house wants it.

Flower's logger writes coloured lines to standard error from the moment it is imported; here its
records go to the process's own logging instead, from warnings upwards.
"""

import logging

from flwr.app import (
    Array,
    ArrayRecord,
    ConfigRecord,
    Context,
    Error,
    Message,
    MessageType,
    Metadata,
    MetricRecord,
    RecordDict,
)
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Message as ProtoMessage
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import Strategy
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from protocols.canonical import sha256

__all__ = [
    "SUPERLINK_NODE_ID",
    "Array",
    "ArrayRecord",
    "ConfigRecord",
    "Context",
    "Error",
    "ErrorCode",
    "Grid",
    "Message",
    "MessageType",
    "Metadata",
    "MetricRecord",
    "ProtoMessage",
    "RecordDict",
    "Run",
    "ServerApp",
    "Strategy",
    "enter_run",
    "message_from_proto",
    "message_to_proto",
    "run_id_of",
]

for _name in ("flwr", "flwr-telemetry"):
    _logger = logging.getLogger(_name)
    _logger.handlers.clear()
    _logger.setLevel(logging.WARNING)


def run_id_of(campaign_id: str) -> int:
    """Flower's number for a campaign, 1..2**63-1."""
    return 1 + int.from_bytes(sha256(campaign_id.encode())[:8], "big") % (2**63 - 1)


def enter_run(run_id: int) -> None:
    """Say who this process is in a run; Flower stamps messages with it."""
    TaskIdentity.task_id = 1
    TaskIdentity.run_id = run_id
    TaskIdentity.node_id = SUPERLINK_NODE_ID
