"""Where the homes of a virtual network lie, and how a node among them is opened."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

from node.bootstrap import open_node
from node.network.documents import Documents
from node.parts import Node
from protocols.documents import Document, from_proto
from protocols.keys import VerifyKey
from protocols.v1.membership_pb2 import SignedDocument

MINIMUM_COHORT = 40  # consenting customers, by the noised count


@dataclass(frozen=True)
class Layout:
    """Where the homes lie below `root`."""

    root: Path

    @property
    def coordinator(self) -> Path:
        """The coordinator's home."""
        return self.root / "coordinator"

    def node(self, number: int) -> Path:
        """A node's home."""
        return self.root / "nodes" / member_id(number)

    def document(self, kind: str) -> Path:
        """A signed document that all nodes read."""
        return self.root / "documents" / kind


def member_id(number: int) -> str:
    """A virtual node's id."""
    return f"node-{number:03d}"


def now_ms() -> int:
    """UTC milliseconds."""
    return int(time.time() * 1000)


def open_virtual(home: Path) -> Node:
    """Open a node whose documents lie beside its network's homes."""
    opened = open_node(home)
    layout = Layout(home.parent.parent)
    key = VerifyKey(bytes.fromhex(opened.settings.directory_key or ""))

    def published(kind: str) -> Document:
        return from_proto(SignedDocument.FromString(layout.document(kind).read_bytes()))

    return replace(opened, documents=Documents(opened.database, key, published))
