"""How the members of a campaign agree their masks, once: keys, joint seed, shares.

The coordinator carries what members sign or seal for each other and keeps it, so that a process
that was killed goes on with the same. At every stage some may fall out; below the plan's threshold
or quorum the campaign ends before any data is touched. Who sends what does not verify is left out
and named in the log.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from coordinator.federation.masking_steps import MaskingSteps
from coordinator.storage.masking import MaskingRow
from protocols import federation as names
from protocols.canonical import canonical_json
from protocols.directory import Directory
from protocols.errors import CredenceError
from protocols.masking.errors import MaskKeyForeign
from protocols.masking.layout import Graph, Layout, Terms
from protocols.masking.roster import Roster, Signed, joint_seed, read_roster
from protocols.masking.shares import Deal, read_deal
from protocols.masking.wire import join, split


@dataclass(frozen=True)
class Agreement:
    """What a campaign's members agreed on.

    Attributes:
        layout: who masks with whom.
        deals: of every dealer, verified.
        signed: the same as they travel.
    """

    layout: Layout
    deals: Mapping[str, Deal]
    signed: Mapping[str, bytes]

    def start_body(self, member_id: str) -> bytes:
        """What a member needs to begin."""
        dealers = canonical_json(list(self.layout.dealers))
        peers = self.layout.neighbours(member_id)
        return join([dealers, *(self.signed[peer] for peer in peers)])


class MaskingSetup:
    """Brings one campaign's members to an agreement.

    Args:
        terms: what the plan says.
        steps: asks members.
        directory: the member directory in force.
        now_ms: the clock, UTC milliseconds.
        keep: keeps how far it has come, before anybody hears of it.
        excluded: told whom was left out and why.
    """

    def __init__(
        self,
        terms: Terms,
        steps: MaskingSteps,
        *,
        directory: Callable[[], Directory],
        now_ms: Callable[[], int],
        keep: Callable[[MaskingRow], None],
        excluded: Callable[[str, str], None],
    ) -> None:
        self._terms = terms
        self._steps = steps
        self._directory = directory
        self._now_ms = now_ms
        self._keep = keep
        self._excluded = excluded

    def agree(self, row: MaskingRow) -> Agreement:
        """Go on from `row` to the end.

        Raises:
            CohortOfFew: too few members are left at a stage.
        """
        if not row.announcements:
            row = replace(row, announcements=self._announcements())
            self._keep(row)
        roster = self._roster([Signed.from_bytes(part) for part in split(row.announcements)], None)
        if not row.reveals:
            row = replace(row, reveals=self._reveals(roster, row.announcements))
            self._keep(row)
        reveals = [Signed.from_bytes(part) for part in split(row.reveals)]
        graph = Graph.of(self._terms, roster, reveals)
        if not row.deals:
            row = replace(row, deals=self._deals(graph, row.reveals))
            self._keep(row)
        signed = {read_deal(graph, Signed.from_bytes(one)).member_id: one
                  for one in split(row.deals)}  # fmt: skip
        deals = {key: read_deal(graph, Signed.from_bytes(one)) for key, one in signed.items()}
        return Agreement(Layout(graph, tuple(sorted(deals))), deals, signed)

    def _announcements(self) -> bytes:
        found = self._steps.ask(names.KEYS_STEP, dict.fromkeys(self._steps.present(), b""))
        directory = self._directory()

        def verified(member_id: str, part: bytes) -> None:
            roster = self._roster([Signed.from_bytes(part)], directory)
            if roster.ids != (member_id,):
                raise MaskKeyForeign("mask keys of another member than the sender")

        good = self._checked(found, verified)
        # Together: no two members announce one key.
        self._roster([Signed.from_bytes(part) for part in good], directory)
        return join(good)

    def _reveals(self, roster: Roster, announcements: bytes) -> bytes:
        found = self._steps.ask(names.ROSTER_STEP, dict.fromkeys(roster.ids, announcements))

        def verified(member_id: str, part: bytes) -> None:
            ids, _ = joint_seed(roster, [Signed.from_bytes(part)])
            if ids != (member_id,):
                raise MaskKeyForeign("a part of the joint seed of another member than the sender")

        return join(self._checked(found, verified))

    def _deals(self, graph: Graph, reveals: bytes) -> bytes:
        found = self._steps.ask(names.DEAL_STEP, dict.fromkeys(graph.ids, reveals))

        def verified(member_id: str, part: bytes) -> None:
            if read_deal(graph, Signed.from_bytes(part)).member_id != member_id:
                raise MaskKeyForeign("a deal of another member than the sender")

        return join(self._checked(found, verified))

    def _checked(
        self, found: Mapping[str, bytes], verify: Callable[[str, bytes], None]
    ) -> list[bytes]:
        for member_id, code in self._steps.refusals.items():
            self._excluded(member_id, code)
        good = []
        for member_id, body in found.items():
            try:
                (part,) = split(body)
                verify(member_id, part)
            except (CredenceError, ValueError) as error:
                code = error.code if isinstance(error, CredenceError) else "masking_malformed"
                self._excluded(member_id, code)
            else:
                good.append(part)
        self._terms.require(len(good))
        return good

    def _roster(self, announcements: list[Signed], directory: Directory | None) -> Roster:
        return read_roster(
            announcements,
            campaign_id=self._terms.campaign_id,
            plan_sha256=self._terms.plan_sha256,
            plan_members=self._terms.members,
            directory=directory,
            now_ms=self._now_ms(),
        )
