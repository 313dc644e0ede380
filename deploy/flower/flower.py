"""What the two rooms take of Flower, for apps that run on its engines."""

from coordinator.federation.flower import Grid, Run, ServerApp
from node.federation.flower import ClientApp, ConfigRecord, Context, Message, RecordDict

__all__ = [
    "ClientApp",
    "ConfigRecord",
    "Context",
    "Grid",
    "Message",
    "RecordDict",
    "Run",
    "ServerApp",
]
