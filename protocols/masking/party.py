"""A member's side of secure aggregation: bytes to bytes; its caller keeps what must last.

All that a member needs for a campaign follows from one random 32-byte secret, so that a process
that was killed comes back as the same party. What must outlive it besides: the roster it fixed and
the view it signed of each round (`Views`).

In a round, for the values x of this member i with neighbours N:

    y = x + stream(b) + sum over j > i of stream(s_ij) - sum over j < i of stream(s_ij)   mod 2^k

b = F(k_i, round, salt) is the self mask's seed, s_ij the pair's. The salt is a pseudorandom
function of x: other values, even after a database was put back, never meet the same self mask. For
each j the submission also carries s_ij wrapped under F(k_i, round, j), so that neighbours can open
it if i sends its input and then falls silent while j never came.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from protocols.canonical import sha256
from protocols.errors import CredenceError
from protocols.keys import SealingKey, SigningKey
from protocols.masking import prf
from protocols.masking.errors import (
    MaskingMalformed,
    MaskingNotReady,
    RosterChanged,
    ViewInconsistent,
    ViewRefused,
)
from protocols.masking.layout import Graph, Layout, Terms
from protocols.masking.roster import Announcement, Roster, Signed, sign_reveal
from protocols.masking.seeds import add_streams, commitment, derive, pair_root, round_context
from protocols.masking.shares import deal, open_share, polynomial, read_deal
from protocols.masking.view import View, check_signatures, check_view
from protocols.masking.wire import Masked, Unmasked, pair_input, self_input
from protocols.ristretto import Scalar


class Views(Protocol):
    """The views this member has signed; they outlive the process."""

    def find(self, number: int) -> bytes | None:
        """The body of the view of a round that was signed, or None."""

    def keep(self, number: int, body: bytes) -> None:
        """Keep it before the signature leaves; there is one a round."""


@dataclass(frozen=True)
class _Input:
    """What this member sent in its latest round."""

    number: int
    model_sha256: bytes
    context: bytes
    salt: bytes
    digest: bytes
    masked: Masked


class Party:
    """One member in one campaign. For one thread at a time.

    Args:
        terms: what the plan says.
        member_id: this member.
        role: its role in the directory.
        secret: 32 random bytes of this campaign.
        views: what it has signed.
    """

    def __init__(
        self, terms: Terms, member_id: str, role: str, secret: bytes, views: Views
    ) -> None:
        self._terms = terms
        self._id = member_id
        self._role = role
        self._secret = secret
        self._views = views
        self._mask_key = SealingKey(derive(secret, "mask-key", terms.name))
        self._view_key = SigningKey(derive(secret, "view-key", terms.name))
        self._seed_part = derive(secret, "seed-part", terms.name)
        self._roster: Roster | None = None
        self._graph: Graph | None = None
        self._layout: Layout | None = None
        self._roots: dict[str, bytes] = {}
        self._shares: dict[str, Scalar] = {}
        self._key: Scalar = b""
        self._input: _Input | None = None
        self._supported = b""

    @property
    def roster_sha256(self) -> bytes | None:
        """The roster that is fixed, or None."""
        return None if self._roster is None else self._roster.sha256

    @property
    def has_input(self) -> bool:
        """Whether this process knows what the member sent last."""
        return self._input is not None

    @property
    def ready(self) -> bool:
        """Whether rounds can be masked."""
        return self._layout is not None

    # Once a campaign.

    def announce(self, key: SigningKey) -> Signed:
        """This member's keys, signed by its own key."""
        return Announcement(
            campaign_id=self._terms.campaign_id,
            plan_sha256=self._terms.plan_sha256,
            member_id=self._id,
            role=self._role,
            mask_key=self._mask_key.public,
            view_key=self._view_key.verify_key.bytes,
            seed_commitment=sha256(self._seed_part),
        ).sign(key)

    def fix_roster(self, roster: Roster) -> Signed:
        """Fix a verified roster for the campaign; this member's part of the joint seed.

        Raises:
            RosterChanged: another one is fixed, or our own keys are not in it as announced.
            CohortOfFew: it is too small.
        """
        self._terms.require(len(roster.ids))
        if self._roster is not None and self._roster.sha256 != roster.sha256:
            raise RosterChanged("another roster is fixed for this campaign")
        own = roster.members.get(self._id)
        ours = (self._mask_key.public, self._view_key.verify_key.bytes)
        if own is None or (own.mask_key, own.view_key) != ours:
            raise RosterChanged("the roster does not hold this member's own keys")
        self._roster = roster
        return sign_reveal(roster, self._id, self._seed_part, self._view_key)

    def deal(self, reveals: Sequence[Signed]) -> Signed:
        """Fix the graph of these parts of the joint seed; this member's shares for it.

        Raises:
            MaskingNotReady: no roster is fixed.
            MaskingMalformed, SignatureInvalid: a part is wrong.
            RosterChanged: another graph is fixed.
            CohortOfFew: too few showed their part.
        """
        if self._roster is None:
            raise MaskingNotReady("no roster is fixed for this campaign")
        graph = Graph.of(self._terms, self._roster, reveals)
        if self._graph is not None and self._graph.seed != graph.seed:
            raise RosterChanged("another graph is fixed for this campaign")
        if self._id not in graph.ids:
            raise RosterChanged("the graph does not hold this member")
        if self._graph is None:
            self._graph = graph
            self._roots = {peer: self._root(peer) for peer in graph.neighbours(self._id)}
        return deal(self._graph, self._id, self._secret, self._share_keys(), self._view_key)

    def start(self, dealers: Sequence[str], deals: Sequence[Signed]) -> tuple[str, ...]:
        """Take the neighbours' shares; from now on rounds can be masked.

        Args:
            dealers: all who mask, sorted.
            deals: those of this member's neighbours among them.

        Returns:
            Neighbours whose share is no good; they are not evaluated for.

        Raises:
            MaskingNotReady: no graph is fixed.
            MaskingMalformed, SignatureInvalid: a deal is wrong, missing or twice.
            RosterChanged: other dealers are fixed.
            CohortOfFew: too few.
        """
        graph = self._fixed_graph()
        layout = Layout(graph, tuple(dealers))
        self._terms.require(len(dealers))
        if self._layout is not None:
            if self._layout.sha256 != layout.sha256:
                raise RosterChanged("other dealers are fixed for this campaign")
            return tuple(set(layout.neighbours(self._id)) - set(self._shares))
        if self._id not in layout.dealers:
            raise RosterChanged("the dealers do not hold this member")
        found = {one.member_id: one for one in (read_deal(graph, signed) for signed in deals)}
        if len(found) != len(deals) or set(found) - {self._id} != set(layout.neighbours(self._id)):
            raise MaskingMalformed("one deal of each neighbour is due")
        share_keys, bad = self._share_keys(), []
        for peer in layout.neighbours(self._id):
            try:
                self._shares[peer] = open_share(graph, found[peer], self._id, share_keys[peer])
            except CredenceError:
                bad.append(peer)
        self._key = polynomial(self._secret, graph.needed)[0]
        self._layout = layout
        return tuple(bad)

    # Each round.

    def mask(self, number: int, model_sha256: bytes, values: NDArray[np.int64]) -> Masked:
        """Mask this member's values; the same input gives the same bytes.

        Args:
            number: the round.
            model_sha256: of the model they were computed with.
            values: int64[n], each of size at most the plan's bound.

        Raises:
            MaskingNotReady: the campaign's masks are not agreed yet.
            RingOverflow: a value is too large.
            ViewRefused: the round was masked already with another input.
        """
        layout = self._fixed_layout()
        digest = sha256(values.astype("<i8").tobytes())
        latest = self._input
        if latest is not None and latest.number == number:
            if (latest.model_sha256, latest.digest) != (model_sha256, digest):
                raise ViewRefused("the round was masked already, with another input")
            return latest.masked
        context = round_context(
            self._terms.campaign_id, self._terms.plan_sha256, layout.sha256, number, model_sha256
        )
        ring = self._terms.ring
        words = ring.encode(values, self._terms.bound)
        salt = derive(self._secret, "salt", context, digest)
        own = prf.value(self._key, self_input(context, self._id, salt))
        peers = layout.neighbours(self._id)
        seeds = {peer: derive(self._roots[peer], "round", context) for peer in peers}
        above = [seeds[peer] for peer in peers if peer > self._id]
        below = [seeds[peer] for peer in peers if peer < self._id]
        add_streams(words, [own, *above], below)
        masked = Masked(
            octets=ring.pack(words),
            context=context,
            salt=salt,
            self_commitment=commitment(own),
            pair_commitments=tuple(commitment(seeds[peer]) for peer in peers),
            wrapped=tuple(self._wrap(context, peer, seeds[peer]) for peer in peers),
        )
        self._input = _Input(number, model_sha256, context, salt, digest, masked)
        return masked

    def sign_view(self, body: bytes) -> bytes:
        """Sign the view of the round that was just masked.

        Checks: 1. to 3. as `check_view`; 4. this member is in it; 5. it is about the input this
        member sent: that round and model; 6. no other view of the round was signed, ever.

        Raises:
            MaskingMalformed, ViewRefused, CohortOfFew, ViewInconsistent: by the check.
        """
        layout = self._fixed_layout()
        view = View.from_body(body)
        # 1. to 3. Campaign, members, enough of them.
        check_view(view, self._terms, layout)
        # 4. This member.
        if self._id not in view.members:
            raise ViewRefused("a view without this member")
        # 5. Its input.
        if self._input is None or view.context != self._input.context:
            raise ViewRefused("a view of another round or model than this member's input")
        # 6. The only one.
        known = self._views.find(view.number)
        if known is None:
            self._views.keep(view.number, body)
        elif known != body:
            raise ViewInconsistent("another view of this round was signed here")
        return view.sign(self._view_key)

    def signed_view(self, number: int) -> bytes:
        """The body of the view of a round that was signed here; empty: none was."""
        return self._views.find(number) or b""

    def unmask(self, body: bytes, signatures: Mapping[str, bytes]) -> Unmasked:
        """Open the signed view: this member's self mask, its pairs with those outside the view.

        Raises:
            ViewRefused: not the view that this member has signed.
            ViewUnsupported: too few signatures.
        """
        view = self._supported_view(body, signatures)
        given = self._input
        if given is None or given.context != view.context:
            raise ViewRefused("this member has no input in that round")
        layout = self._fixed_layout()
        absent = [peer for peer in layout.neighbours(self._id) if peer not in view.members]
        return Unmasked(
            seed=prf.value(self._key, self_input(given.context, self._id, given.salt)),
            pairs=tuple(derive(self._roots[peer], "round", given.context) for peer in absent),
        )

    def stand_in(
        self, body: bytes, signatures: Mapping[str, bytes], missing: Mapping[str, bytes]
    ) -> dict[str, prf.Partial]:
        """Help to open the masks of members of the view that sent their input and fell silent.

        Args:
            body: the view.
            signatures: by member id.
            missing: the salt of each such member's input.

        Returns:
            By member, a part of the values at `recovery_inputs`; none for a member whose share
            this one does not hold.

        Raises:
            ViewRefused: not the view that this member has signed, or somebody outside it.
            ViewUnsupported: too few signatures.
        """
        view = self._supported_view(body, signatures)
        layout = self._fixed_layout()
        if self._id in missing or not set(missing).issubset(view.members):
            raise ViewRefused("only a silent member of the view is stood in for")
        return {
            peer: prf.evaluate(self._shares[peer], recovery_inputs(layout, view, peer, salt))
            for peer, salt in missing.items()
            if peer in self._shares
        }

    def _supported_view(self, body: bytes, signatures: Mapping[str, bytes]) -> View:
        layout = self._fixed_layout()
        view = View.from_body(body)
        check_view(view, self._terms, layout)
        if self._views.find(view.number) != body:
            raise ViewRefused("not the view of this round that was signed here")
        if self._supported != body:
            check_signatures(view, signatures, self._terms, layout)
            self._supported = body
        return view

    def _wrap(self, context: bytes, peer: str, seed: bytes) -> bytes:
        pad = prf.value(self._key, pair_input(context, self._id, peer))
        return bytes(a ^ b for a, b in zip(pad, seed, strict=True))

    def _share_keys(self) -> dict[str, bytes]:
        return {peer: derive(root, "share") for peer, root in self._roots.items()}

    def _root(self, peer: str) -> bytes:
        low, high = sorted((self._id, peer))
        public = self._fixed_graph().roster.members[peer].mask_key
        return pair_root(self._mask_key, public, campaign=self._terms.name, low=low, high=high)

    def _fixed_graph(self) -> Graph:
        if self._graph is None:
            raise MaskingNotReady("no graph is fixed for this campaign")
        return self._graph

    def _fixed_layout(self) -> Layout:
        if self._layout is None:
            raise MaskingNotReady("the campaign's masks are not agreed here yet")
        return self._layout


def recovery_inputs(layout: Layout, view: View, member_id: str, salt: bytes) -> list[bytes]:
    """What is evaluated in place of a silent member of a view: its self mask, then its pairs with
    the neighbours outside the view, in the order of their ids.
    """
    absent = [peer for peer in layout.neighbours(member_id) if peer not in view.members]
    pairs = [pair_input(view.context, member_id, peer) for peer in absent]
    return [self_input(view.context, member_id, salt), *pairs]
