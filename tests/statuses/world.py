"""Status lists between the members of a `ConsentWorld`, on clocks that the test sets.

Time passes for all with `tick`; a wall clock alone is set with `set_clock`, and a machine starts
anew with `restart`. Questions and answers are function calls unless a line is cut.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from consent.delivery import Delivery
from consent.lifecycle import Event
from consent.policy import Decision, ReleaseFacts, decide
from consent.status_list import LIFE_MS
from node.consents.elapsed import Instant
from node.consents.freshness import Freshness
from node.consents.status_inbox import StatusInbox
from node.consents.status_keeper import StatusKeeper
from node.consents.status_publisher import StatusAnswer, StatusPublisher
from node.network.rpc_errors import PeerUnreachable
from node.storage import consents
from tests.node.consent_world import START_MS, ConsentWorld, Member


class LocalSource:
    """Asks the other members' publishers, unless the line is cut; `answer` may be replaced."""

    def __init__(self, world: "StatusWorld", member_id: str) -> None:
        self._world = world
        self._member_id = member_id
        self.cut = False
        self.asked = 0
        self.missed_asked = 0
        self.replace: StatusAnswer | None = None

    def newest(
        self, controller: str, nonce: bytes, have_sha256: bytes, timeout_s: float
    ) -> StatusAnswer:
        assert timeout_s > 0
        self.asked += 1
        if self.cut:
            raise PeerUnreachable(f"{controller} cannot be reached")
        answer = self._world.parts[controller].publisher.answer(nonce, have_sha256)
        return self.replace or answer

    def missed(self, controller: str, hashes: Sequence[bytes], timeout_s: float) -> list[Delivery]:
        assert timeout_s > 0
        self.missed_asked += 1
        if self.cut:
            raise PeerUnreachable(f"{controller} cannot be reached")
        return self._world.parts[controller].publisher.missed(self._member_id, hashes)


@dataclass
class Parts:
    """One member's side of status lists."""

    member: Member
    source: LocalSource
    publisher: StatusPublisher
    inbox: StatusInbox
    keeper: StatusKeeper
    freshness: Freshness


@dataclass
class StatusWorld:
    """A `ConsentWorld` whose members keep one another's lists."""

    root: Path
    names: Sequence[str] = ("bank-a", "bank-b", "payments")
    life_ms: int = LIFE_MS
    boots: dict[str, int] = field(default_factory=dict)
    wall_ms: dict[str, int] = field(default_factory=dict)  # ahead of the world's time
    parts: dict[str, Parts] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.world = ConsentWorld(self.root, self.names)
        for member_id in self.names:
            self.parts[member_id] = self._parts(member_id)
            self.world.member(member_id).enrol(*range(1, 41))

    def clock(self, member_id: str) -> int:
        return self.world.now_ms + self.wall_ms.get(member_id, 0)

    def instant(self, member_id: str) -> Instant:
        return Instant(f"boot-{self.boots.get(member_id, 0)}", self.world.now_ms - START_MS)

    def set_clock(self, member_id: str, ahead_ms: int) -> None:
        """Set a wall clock."""
        self.wall_ms[member_id] = ahead_ms

    def restart(self, member_id: str, *, machine: bool = False) -> None:
        """Let the node's process end and begin again, with `machine` the whole machine."""
        if machine:
            self.boots[member_id] = self.boots.get(member_id, 0) + 1
        self.parts[member_id] = self._parts(member_id)

    def tick(self, ms: int) -> None:
        self.world.tick(ms)

    def step(self, *members: str) -> None:
        """Let the background work of members run once."""
        for member_id in members or self.names:
            self.parts[member_id].keeper.step()

    def cut(self, member_id: str, *, off: bool = True) -> None:
        """Part a member from everybody, both ways."""
        self.parts[member_id].source.cut = off
        for name in self.names:
            courier = self.world.member(name).courier
            (courier.cut.add if off else courier.cut.discard)(member_id)
        own = self.world.member(member_id).courier.cut
        for name in self.names:
            (own.add if off else own.discard)(name)

    def grant(self, controller: str, number: int, **terms: object) -> str:
        """A consent in force and in the lists of its parties."""
        consent_id = self.world.grant(controller, number, **terms)
        for name in self.names:
            if name != controller:
                self.parts[name].keeper.poke(controller)
        self.step()
        return consent_id

    def say(self, controller: str, consent_id: str, number: int, event: Event) -> None:
        """A person says something at their consent node, which tells whom it reaches."""
        signed = self.world.said(controller, consent_id, number, event)
        self.world.member(controller).consents.apply(consent_id, signed)

    def decide(self, holder: str, consent_id: str, /, **changes: object) -> Decision:
        """What a holder would answer now, decided in one transaction."""
        parts = self.parts[holder]
        now_ms = self.clock(holder)
        with parts.member.database.write() as connection:
            terms = consents.terms_by_id(connection, [consent_id]).get(consent_id)
            fresh = parts.freshness.read(connection, [terms] if terms else [], now_ms)
            facts = {
                "terms": terms,
                "requester": "bank-a",
                "requester_active": True,
                "holder": holder,
                "purpose": "score",
                "categories": frozenset(),
                "subject_matches": True,
                "status_proof_until_ms": fresh.proof(terms),
            }
            return decide(ReleaseFacts(**(facts | changes)), now_ms)  # type: ignore[arg-type]

    def refusal(self, holder: str, consent_id: str, /, **changes: object) -> str:
        """The refusal's code, or empty."""
        found = self.decide(holder, consent_id, **changes).refusal
        return "" if found is None else found.value

    def close(self) -> None:
        for parts in self.parts.values():
            parts.keeper.close()
        self.world.close()

    def _parts(self, member_id: str) -> Parts:
        member = self.world.member(member_id)
        source = LocalSource(self, member_id)
        publisher = StatusPublisher(
            member.database,
            member_id,
            lambda: member.signing,
            lambda: self.clock(member_id),
            self.life_ms,
        )
        inbox = StatusInbox(member.database, self.world.directory, self.life_ms)
        keeper = StatusKeeper(
            member.database,
            member_id,
            source,
            inbox,
            member.consents.receive,
            lambda: self.clock(member_id),
            lambda: self.instant(member_id),
        )
        freshness = Freshness(member_id, lambda: self.instant(member_id))
        return Parts(member, source, publisher, inbox, keeper, freshness)
