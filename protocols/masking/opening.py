"""The coordinator's side of a round: from masked inputs and answers to the sum."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from protocols.errors import CredenceError
from protocols.masking import prf
from protocols.masking.errors import AnswerWrong, CohortOfFew
from protocols.masking.layout import Layout
from protocols.masking.party import recovery_inputs
from protocols.masking.ring import Ring
from protocols.masking.seeds import add_streams, commitment
from protocols.masking.shares import Deal
from protocols.masking.view import View
from protocols.masking.wire import Masked, Unmasked
from protocols.ristretto import Element


class Opening:
    """Opens one view.

    Args:
        layout: who masks with whom.
        ring: where the sum is computed.
        view: the view that enough members signed.
        inputs: the masked input of each member of the view.
        deals: of all dealers.
    """

    def __init__(
        self,
        layout: Layout,
        ring: Ring,
        view: View,
        inputs: Mapping[str, Masked],
        deals: Mapping[str, Deal],
    ) -> None:
        self._layout = layout
        self._ring = ring
        self._view = view
        self._inputs = inputs
        self._deals = deals
        self._seeds: dict[str, bytes] = {}
        self._pairs: dict[tuple[str, str], bytes] = {}
        self._parts: dict[str, dict[int, prf.Partial]] = {}

    @property
    def missing(self) -> dict[str, bytes]:
        """Members of the view whose masks are not open yet, with the salts of their inputs."""
        return {one: self._inputs[one].salt for one in self._view.members if one not in self._seeds}

    def take(self, member_id: str, answer: Unmasked) -> None:
        """Take a member's answer.

        Raises:
            AnswerWrong: not what it had committed to.
        """
        given = self._inputs[member_id]
        peers = self._layout.neighbours(member_id)
        absent = self._absent(member_id)
        commitments = dict(zip(peers, given.pair_commitments, strict=True))
        opened = dict(zip(absent, answer.pairs, strict=False))
        if len(answer.pairs) != len(absent) or any(
            commitment(seed) != commitments[peer] for peer, seed in opened.items()
        ):
            raise AnswerWrong("the seeds of its pairs are not those committed to")
        if commitment(answer.seed) != given.self_commitment:
            raise AnswerWrong("the seed of its self mask is not the one committed to")
        self._seeds[member_id] = answer.seed
        self._pairs.update({(member_id, peer): seed for peer, seed in opened.items()})

    def take_parts(self, holder: str, parts: Mapping[str, prf.Partial]) -> None:
        """Take what a holder evaluates in place of silent members.

        Raises:
            ProofInvalid, Malformed: a part was not made with the share that was dealt.
        """
        missing = self.missing
        for member_id, partial in parts.items():
            if member_id not in missing:
                continue
            index = self._layout.graph.index(member_id, holder)
            inputs = self._recovery_inputs(member_id)
            prf.check(partial, inputs, self._commitments(member_id), index)
            # By index: a holder that answers twice counts once.
            self._parts.setdefault(member_id, {})[index] = partial

    def recover(self) -> tuple[str, ...]:
        """Open the masks of silent members for whom enough holders stood in.

        Returns:
            Members whose opened masks are not those they had committed to.

        Raises:
            CohortOfFew: too few holders stood in for one of them.
        """
        needed, wrong = self._layout.graph.needed, []
        for member_id in self.missing:
            parts = self._parts.get(member_id, {})
            if len(parts) < needed:
                raise CohortOfFew(f"{len(parts)} of {needed} holders stood in for a silent member")
            chosen = {index: parts[index] for index in sorted(parts)[:needed]}
            seed, *pads = prf.combine(self._recovery_inputs(member_id), chosen)
            try:
                self.take(member_id, Unmasked(seed, self._unwrapped(member_id, pads)))
            except CredenceError:
                wrong.append(member_id)
        return tuple(wrong)

    def total(self) -> NDArray[np.int64]:
        """The sum over the view, int64[n].

        Raises:
            CohortOfFew: the masks of a member are not open.
        """
        if self.missing:
            raise CohortOfFew("the masks of a member of the view are not open")
        first, *others = (self._inputs[one].octets for one in self._view.members)
        words = self._ring.unpack(first)
        for octets in others:
            words += self._ring.unpack(octets)
        # What a member added with a peer that never came is taken away again, and the reverse.
        added = [seed for (one, peer), seed in self._pairs.items() if peer > one]
        taken = [seed for (one, peer), seed in self._pairs.items() if peer < one]
        add_streams(words, taken, [*self._seeds.values(), *added])
        return self._ring.decode(words)

    def _absent(self, member_id: str) -> list[str]:
        peers = self._layout.neighbours(member_id)
        return [peer for peer in peers if peer not in self._view.members]

    def _recovery_inputs(self, member_id: str) -> list[bytes]:
        salt = self._inputs[member_id].salt
        return recovery_inputs(self._layout, self._view, member_id, salt)

    def _commitments(self, member_id: str) -> tuple[Element, ...]:
        return self._deals[member_id].commitments

    def _unwrapped(self, member_id: str, pads: list[bytes]) -> tuple[bytes, ...]:
        peers = self._layout.neighbours(member_id)
        wrapped = dict(zip(peers, self._inputs[member_id].wrapped, strict=True))
        absent = self._absent(member_id)
        return tuple(
            bytes(a ^ b for a, b in zip(pad, wrapped[peer], strict=True))
            for peer, pad in zip(absent, pads, strict=True)
        )


def mismatched(layout: Layout, inputs: Mapping[str, Masked]) -> set[str]:
    """Members whose pair seeds differ from their neighbours': the fewest that explain it.

    A pair whose commitments differ has one that is off, and no one knows which; who is off with
    most goes first, and of two that are only off with each other both go.
    """
    bad: set[str] = set()
    while True:
        counts = dict.fromkeys(set(inputs) - bad, 0)
        for member_id in counts:
            for at, peer in enumerate(layout.neighbours(member_id)):
                if peer in counts and peer > member_id:
                    back = layout.neighbours(peer).index(member_id)
                    ours, theirs = inputs[member_id], inputs[peer]
                    if ours.pair_commitments[at] != theirs.pair_commitments[back]:
                        counts[member_id] += 1
                        counts[peer] += 1
        worst = max(counts.values(), default=0)
        if worst == 0:
            return bad
        bad |= {member_id for member_id, count in counts.items() if count == worst}
