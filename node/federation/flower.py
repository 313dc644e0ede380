"""Flower, as quiet as the house wants it: warnings go to the process's own logging."""

import logging

from flwr.app import Array as FlowerArray
from flwr.app import (
    ArrayRecord,
    ConfigRecord,
    Context,
    Error,
    Message,
    MetricRecord,
    RecordDict,
)
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Message as ProtoMessage
from flwr.supercore.task_identity import TaskIdentity

__all__ = [
    "ArrayRecord",
    "ClientApp",
    "ConfigRecord",
    "Context",
    "Error",
    "ErrorCode",
    "FlowerArray",
    "Message",
    "MetricRecord",
    "ProtoMessage",
    "RecordDict",
    "enter_run",
    "message_from_proto",
    "message_to_proto",
]

for _name in ("flwr", "flwr-telemetry"):
    _logger = logging.getLogger(_name)
    _logger.handlers.clear()
    _logger.setLevel(logging.WARNING)


def enter_run(run_id: int, node_id: int) -> None:
    """Say who this process is in a run; Flower stamps messages with it."""
    TaskIdentity.task_id = 1
    TaskIdentity.run_id = run_id
    TaskIdentity.node_id = node_id
