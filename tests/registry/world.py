"""A coordinator with model versions and nodes that follow it, without a network between."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from coordinator.bootstrap import Coordinator, init_coordinator, open_coordinator
from coordinator.releases import Order
from coordinator.settings import make_settings
from coordinator.storage import bundles as registry_rows
from coordinator.storage.bundles import BundleRow
from models.catalogue import Catalogue, load_default
from node.bootstrap import init_node, open_node
from node.parts import Node
from node.releases import Releases
from node.scoring.active_model import ActiveModel
from protocols.documents import Document, sign_document, to_proto
from protocols.errors import CredenceError
from protocols.keys import SigningKey
from protocols.v1.membership_pb2 import BundlePiece
from tests.coordinator.applicants import NOW, Applicant, join
from tests.node.scoring_world import make_bundle


@dataclass
class Follower:
    """A node that follows; `documents` and `pieces` are what the wire gives it instead, if set."""

    network: "Registry"
    node: Node
    member_id: str
    documents: list[Document] = field(default_factory=list)
    pieces: dict[str, list[BundlePiece]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    told: list[tuple[str, int]] = field(default_factory=list)
    cut_off: CredenceError | None = None

    def __post_init__(self) -> None:
        self.model = ActiveModel(
            lambda: self.network.key.verify_key, lambda: self.network.catalogue
        )
        self.releases = Releases(
            database=self.node.database,
            audit=self.node.audit,
            member_id=self.member_id,
            directory_key=lambda: self.network.key.verify_key,
            catalogue=lambda: self.network.catalogue,
            ask=self._ask,
            fetch=self._fetch,
            warm=self.model.get,
            now_ms=lambda: self.network.now_ms,
        )

    def follow(self) -> str | None:
        return self.releases.follow()

    def leaves(self) -> int:
        return self.node.audit.head().size

    def _ask(self, scores_with: str, held: int) -> Document:
        self.told.append((scores_with, held))
        if self.cut_off is not None:
            raise self.cut_off
        if self.documents:
            return self.documents[-1]
        return self.network.coordinator.membership.document("release")

    def _fetch(self, version: str) -> Iterator[BundlePiece]:
        self.asked.append(version)
        if version in self.pieces:
            return iter(self.pieces[version])
        return self.network.coordinator.registry.pieces(self.member_id, version)


@dataclass
class Registry:
    """The coordinator's side."""

    coordinator: Coordinator
    root: Path
    stack: ExitStack
    homes: dict[str, Path]  # of nodes, at rest
    catalogue: Catalogue = field(default_factory=load_default)
    now_ms: int = 1_000

    @property
    def key(self) -> SigningKey:
        return self.coordinator.keys.directory

    def publish(self, version: str, *, promote: bool = False, seed: int = 1) -> BundleRow:
        """A bundle as a campaign would publish it."""
        row = self.bundle(version, seed)
        with self.coordinator.database.write() as connection:
            registry_rows.add(connection, row)
            self.coordinator.releases.published(
                connection, version, "camp", self.now_ms, promote=promote
            )
        return row

    def bundle(self, version: str, seed: int = 1, key: SigningKey | None = None) -> BundleRow:
        body, tensors = make_bundle(version, seed).pack()
        signed = sign_document("bundle", body, key or self.key)
        return BundleRow(
            version, "camp", signed.body, signed.signature, signed.key_id, tensors, self.now_ms
        )

    def order(self, **facts: str) -> Order:
        self.now_ms += 1
        return Order(self.now_ms, **facts)

    def document(self) -> Document:
        return self.coordinator.membership.document("release")

    def follower(self, member_id: str) -> Follower:
        node = open_node(shutil.copytree(self.homes[member_id], self.root / member_id))
        self.stack.callback(node.close)
        return Follower(self, node, member_id)


@dataclass(frozen=True)
class AtRest:
    """Homes that nobody uses: made once, copied for each test."""

    coordinator: Path
    nodes: dict[str, Path]


def make_coordinator(home: Path, *members: str, database_url: str = "") -> Path:
    """The home of a coordinator of which `members` are members."""
    init_coordinator(home, make_settings(name="test", database_url=database_url), NOW)
    coordinator = open_coordinator(home)
    for member_id in members:
        join(coordinator, Applicant(member_id))
    coordinator.close()
    return home


def make_homes(root: Path, *members: str) -> AtRest:
    """A coordinator of which `members` are members, and a home for each."""
    for member_id in members:
        init_node(root / member_id, member_id=member_id, name="Bank", role="bank")
    home = make_coordinator(root / "coordinator", *members)
    return AtRest(home, {one: root / one for one in members})


def open_registry(rest: AtRest, root: Path, stack: ExitStack, database_url: str = "") -> Registry:
    """The coordinator's side: in a copy of its own, or made anew in a server's database."""
    home = root / "coordinator"
    if database_url:
        make_coordinator(home, *rest.nodes, database_url=database_url)
    else:
        shutil.copytree(rest.coordinator, home)
    coordinator = open_coordinator(home)
    stack.callback(coordinator.close)
    return Registry(coordinator, root, stack, rest.nodes)


def pieces_of(row: BundleRow) -> list[BundlePiece]:
    """A bundle as it travels, its tensors in two pieces."""
    document = Document("bundle", 0, row.manifest, row.signature, row.key_id)
    half = len(row.tensors) // 2
    return [
        BundlePiece(manifest=to_proto(document)),
        BundlePiece(tensors=row.tensors[:half]),
        BundlePiece(tensors=row.tensors[half:]),
    ]
