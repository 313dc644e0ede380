"""Members of one masked campaign and the coordinator's half of it, without a network."""

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from protocols.canonical import sha256
from protocols.directory import Directory, MemberEntry
from protocols.keys import SealingKey, SigningKey
from protocols.masking.layout import Graph, Layout, Terms
from protocols.masking.opening import Opening
from protocols.masking.party import Party
from protocols.masking.ring import Ring
from protocols.masking.roster import Roster, Signed, read_roster
from protocols.masking.shares import Deal, read_deal
from protocols.masking.view import View
from protocols.masking.wire import Masked

CAMPAIGN, PLAN = "camp-1", sha256(b"the plan")
MODEL = sha256(b"the model")
BOUND = 2**38
NOW_MS = 1_000


class Views(dict[int, bytes]):
    """Signed views that outlive a party."""

    def find(self, number: int) -> bytes | None:
        """The view of a round."""
        return self.get(number)

    def keep(self, number: int, body: bytes) -> None:
        """Keep it."""
        assert number not in self
        self[number] = body


def member_ids(count: int) -> tuple[str, ...]:
    """Ids in order."""
    return tuple(f"bank-{at:03d}" for at in range(count))


def terms(count: int, threshold: int, quorum: int | None = None) -> Terms:
    """The terms of a campaign of `count` members."""
    members = member_ids(count)
    return Terms(CAMPAIGN, PLAN, members, threshold, quorum or threshold, Ring(48), BOUND)


def directory(keys: Mapping[str, SigningKey]) -> Directory:
    """A directory with these members, all banks."""
    entries = tuple(
        MemberEntry(
            member_id=member_id,
            name=member_id.title(),
            role="bank",
            licence="",
            contact="",
            holds=(),
            signing_key=keys[member_id].verify_key.bytes,
            sealing_key=SealingKey.generate().public,
            certificate_sha256=bytes(32),
            endpoint=None,
            status="active",
            joined_at_ms=0,
        )
        for member_id in sorted(keys)
    )
    return Directory(1, 0, 0, entries, SigningKey.generate().verify_key.bytes)


@dataclass
class Cohort:
    """All members of a campaign; `agree` brings them to masks."""

    terms: Terms
    keys: dict[str, SigningKey] = field(init=False)
    secrets: dict[str, bytes] = field(init=False)
    views: dict[str, Views] = field(init=False)
    parties: dict[str, Party] = field(init=False)
    directory: Directory = field(init=False)
    graph: Graph = field(init=False)
    layout: Layout = field(init=False)
    signed: dict[str, Signed] = field(init=False)
    deals: dict[str, Deal] = field(init=False)
    reveals: list[Signed] = field(init=False)
    roster: Roster = field(init=False)

    def __post_init__(self) -> None:
        ids = self.terms.members
        self.keys = {one: SigningKey.generate() for one in ids}
        self.secrets = {one: secrets.token_bytes(32) for one in ids}
        self.views = {one: Views() for one in ids}
        self.parties = {one: self.reborn(one) for one in ids}
        self.directory = directory(self.keys)

    def reborn(self, member_id: str) -> Party:
        """A member's process after a restart: nothing but secret and views survive."""
        return Party(self.terms, member_id, "bank", self.secrets[member_id], self.views[member_id])

    def read(self, announcements: list[Signed]) -> Roster:
        """The roster of some announcements."""
        return read_roster(
            announcements,
            campaign_id=CAMPAIGN,
            plan_sha256=PLAN,
            plan_members=self.terms.members,
            directory=self.directory,
            now_ms=NOW_MS,
        )

    def agree(
        self,
        *,
        no_keys: Collection[str] = (),
        no_reveal: Collection[str] = (),
        no_deal: Collection[str] = (),
    ) -> "Cohort":
        """Keys, joint seed, shares; some may fall out at each stage."""
        announcements = [
            party.announce(self.keys[one])
            for one, party in self.parties.items()
            if one not in no_keys
        ]
        self.roster = self.read(announcements)
        self.reveals = [
            self.parties[one].fix_roster(self.roster)
            for one in self.roster.ids
            if one not in no_reveal
        ]
        self.graph = Graph.of(self.terms, self.roster, self.reveals)
        self.signed = {
            one: self.parties[one].deal(self.reveals)
            for one in self.graph.ids
            if one not in no_deal
        }
        self.layout = Layout(self.graph, tuple(self.signed))
        self.deals = {one: read_deal(self.graph, deal) for one, deal in self.signed.items()}
        for one in self.layout.dealers:
            assert self.start(one, self.parties[one]) == ()
        return self

    def start(self, member_id: str, party: Party) -> tuple[str, ...]:
        """Give a member the shares dealt to it."""
        deals = [self.signed[peer] for peer in self.layout.neighbours(member_id)]
        return party.start(self.layout.dealers, deals)

    def values(self, seed: int, size: int = 50) -> dict[str, NDArray[np.int64]]:
        """Some values for every dealer."""
        rng = np.random.default_rng(seed)
        return {one: rng.integers(-BOUND, BOUND, size) for one in self.layout.dealers}

    def inputs(
        self,
        values: Mapping[str, NDArray[np.int64]],
        absent: Collection[str] = (),
        number: int = 1,
        model: bytes = MODEL,
    ) -> dict[str, Masked]:
        """Masked inputs of a round."""
        return {
            one: self.parties[one].mask(number, model, values[one])
            for one in self.layout.dealers
            if one not in absent
        }

    def view(self, members: Collection[str], number: int = 1, model: bytes = MODEL) -> View:
        """A view of a round."""
        names = tuple(sorted(members))
        return View(CAMPAIGN, PLAN, self.layout.sha256, number, model, names)

    def sign(self, view: View, silent: Collection[str] = ()) -> dict[str, bytes]:
        """The signatures of a view's members."""
        body = view.to_body()
        return {one: self.parties[one].sign_view(body) for one in view.members if one not in silent}

    def open(
        self,
        inputs: Mapping[str, Masked],
        *,
        unsigned: Collection[str] = (),
        silent: Collection[str] = (),
        number: int = 1,
    ) -> NDArray[np.int64]:
        """The sum of a round; some do not sign, some do not answer afterwards."""
        view = self.view(inputs, number)
        body, signatures = view.to_body(), self.sign(view, unsigned)
        opening = Opening(self.layout, self.terms.ring, view, inputs, self.deals)
        standing = [one for one in view.members if one not in {*silent, *unsigned}]
        for one in standing:
            opening.take(one, self.parties[one].unmask(body, signatures))
        missing = opening.missing
        if missing:
            for one in standing:
                opening.take_parts(one, self.parties[one].stand_in(body, signatures, missing))
            assert opening.recover() == ()
        return opening.total()
