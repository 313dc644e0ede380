"""A bank, its customers and the holders of their data: real nodes on loopback."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from consent.policy import Terms
from node.rights.service import RightsService
from node.rights.steps import Clerk
from node.storage import subjects
from node.storage.subjects import Subject
from tests.network import now_ms
from tests.node.scoring_world import World, open_world, ref

BANK, HOLDER = "bank-a", "payments"
ANNA = Clerk("stf_anna", frozenset({"desk"}))
BEN = Clerk("stf_ben", frozenset({"desk", "privacy_officer"}))
CARA = Clerk("stf_cara", frozenset({"privacy_officer"}))


@dataclass
class RightsWorld:
    """The scoring world with the rooms of rights at hand."""

    world: World

    @property
    def bank(self) -> RightsService:
        return self.world.node.rights

    @property
    def holder(self) -> RightsService:
        return self.world.network.node(HOLDER).rights

    def person(self, number: int) -> tuple[bytes, Terms]:
        """A customer of the bank whom every holder knows, with a consent."""
        (one,) = self.world.enrol(number)
        self.know(HOLDER, one)
        return one, self.world.consent(one)

    def know(self, member: str, one: bytes) -> None:
        """Let another member know a person as its own customer."""
        node = self.world.network.node(member)
        with node.database.write() as connection:
            known = subjects.all_subjects(connection)
            subjects.replace_all(connection, [*known, Subject(one, ref(one), one.hex(), now_ms())])

    def fetch(self, one: bytes, terms: Terms, holder: str = HOLDER) -> dict[str, tuple[int, float]]:
        """What the holder answers now: signal -> (status, value)."""
        report = self.world.node.fetcher.fetch([terms], purpose="score", deadline_s=5)
        (mine,) = [answer for answer in report.holders if answer.holder == holder]
        assert not mine.error, mine.error
        if mine.refused:
            raise Refused(next(iter(mine.refused)))
        from node.storage import signals

        with self.world.node.database.read() as connection:
            vector = signals.find(connection, one, holder, "score", now_ms())
        assert vector is not None
        return dict(vector.signals)

    def leaves(self, member: str, one: bytes) -> list[str]:
        """Kinds of the leaves about a person at a member."""
        from audit.leaf import parse_leaf

        node = self.world.network.node(member)
        with node.database.read() as connection:
            return [
                parse_leaf(found.leaf)["kind"]
                for seq in node.audit.about(one, connection)
                for found in node.audit.leaves(connection, seq, seq + 1)
            ]


class Refused(Exception):
    """A holder refused, with this code."""


@contextmanager
def open_rights(root: Path, *, database_url: str = "") -> Iterator[RightsWorld]:
    """The world, the bank's database anywhere; closed at the end."""
    with open_world(root, database_url=database_url) as world:
        yield RightsWorld(world)
