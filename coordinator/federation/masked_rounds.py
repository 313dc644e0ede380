"""Opens the sums of masked rounds, and only sums: the coordinator's part, over Flower's grid.

A round is masked inputs, a view that enough members sign, and answers to the signed view; if some
fall silent then, others stand in for them. What is asked again (after a pause, by a process that
was killed) is the same round: members give the same bytes, and sign no other view. A round whose
view cannot be opened any more is lost: its noise is spent, nothing of it was seen.

What offends is left out, by code: a reply that does not parse or is of another length or round; a
second, different input; masks that do not fit the neighbours'; a seed or share that is not the one
committed to; shares that so many of their holders complain of that nobody could stand in. What a
member lies about within its own values is not seen here: a value can be anything the ring holds.
The clip bounds what an honest member's row adds, the check on the opened sum
(`models.aggregation.check_total`) what a dishonest one can do to a round that counts.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import structlog
from numpy.typing import NDArray

from coordinator.federation.flower import ArrayRecord, ConfigRecord, Message, MetricRecord
from coordinator.federation.masking_setup import Agreement
from coordinator.federation.masking_steps import MaskingSteps
from protocols import federation as names
from protocols.errors import CredenceError, Malformed, StateConflict
from protocols.masking import prf
from protocols.masking.errors import (
    AnswerWrong,
    CohortOfFew,
    MaskingMalformed,
    MaskMismatch,
    ShareInvalid,
)
from protocols.masking.layout import Terms
from protocols.masking.opening import Opening, mismatched
from protocols.masking.view import VIEW_DOMAIN, View, check_view
from protocols.masking.wire import Masked, Unmasked, join, join_map, split, split_map
from protocols.tensors import read_tensor

log = structlog.get_logger(__name__)

VIEW_ATTEMPTS = 2


class RoundLost(StateConflict):
    """A round was charged and signed for, and its sum cannot be used."""

    code = "round_lost"
    next_step = "The campaign goes on with the next round."


class InputChanged(StateConflict):
    """A member sent two different inputs to one round."""

    code = "round_input_changed"
    next_step = "It takes no further part in the campaign; look at its version."


@dataclass(frozen=True)
class Opened:
    """The sum of a round.

    Attributes:
        total: int64[n].
        members: whose values are in it.
        epsilon: where the furthest of their ledgers stands.
    """

    total: NDArray[np.int64]
    members: tuple[str, ...]
    epsilon: float


@dataclass(frozen=True)
class _Given:
    masked: Masked
    parts: bytes
    epsilon: float


class MaskedRounds:
    """The rounds of one campaign.

    Args:
        terms: what the plan says.
        agreement: who masks with whom.
        steps: asks members.
        numbers: member id by Flower node id.

    Attributes:
        refusals: code by member id, of who did not count in the last round.
    """

    def __init__(
        self,
        terms: Terms,
        agreement: Agreement,
        steps: MaskingSteps,
        numbers: Mapping[int, str],
    ) -> None:
        self._terms = terms
        self._agreement = agreement
        self._steps = steps
        self._numbers = dict(numbers)
        self._started: set[str] = set()
        self._complaints: dict[str, set[str]] = {}
        self._number = -1
        self._given: dict[str, _Given] = {}
        self._view: View | None = None
        self._failed = 0
        self.refusals: dict[str, str] = {}

    def ready(self) -> list[int]:
        """Flower node ids of the members that can mask now; who came late is started first."""
        dealers = self._agreement.layout.dealers
        late = [one for one in self._steps.present() if one in dealers and one not in self._started]
        if late:
            bodies = {one: self._agreement.start_body(one) for one in late}
            for member_id, answer in self._steps.ask(names.START_STEP, bodies).items():
                self._started.add(member_id)
                self._note_complaints(member_id, answer)
        present = set(self._steps.present())
        return [key for key, one in self._numbers.items() if one in self._started & present]

    def unusable(self) -> set[str]:
        """Dealers whose shares are no good: fewer holders are content than it takes.

        One holder's complaint is not enough where one may be spared: it may be the liar.
        """
        graph = self._agreement.layout.graph
        return {
            dealer
            for dealer, holders in self._complaints.items()
            if len(graph.holders(dealer)) - len(holders) < graph.needed
        }

    def open(
        self, number: int, model_sha256: bytes, replies: list[Message], length: int
    ) -> Opened | None:
        """Open a round's sum, or None: below the quorum, and it may be tried again.

        Raises:
            RoundLost: it may not.
        """
        self.refusals = {}
        if number != self._number:
            self._number, self._given, self._view, self._failed = number, {}, None, 0
        context_view = self._view_of(number, model_sha256, ())
        self._take(replies, context_view.context, length)
        try:
            view, signatures = self._signed_view(number, model_sha256)
            opening = Opening(
                self._agreement.layout,
                self._terms.ring,
                view,
                {one: self._given[one].masked for one in view.members},
                self._agreement.deals,
            )
            self._unmask(opening, view, signatures)
            total = opening.total()
        except CohortOfFew as error:
            log.info("masking.not_opened", round=number, reason=error.message)
            self._count_failure()
            return None
        epsilon = max(self._given[one].epsilon for one in view.members)
        return Opened(total, view.members, epsilon)

    def _note_complaints(self, holder: str, answer: bytes) -> None:
        layout = self._agreement.layout
        try:
            dealers = {name.decode() for name in split(answer)}
        except (CredenceError, UnicodeDecodeError) as error:
            self._offends(holder, error)
            return
        for dealer in dealers & set(layout.neighbours(holder)):
            log.warning("masking.share_refused", dealer=dealer, holder=holder)
            self._complaints.setdefault(dealer, set()).add(holder)

    # Inputs.

    def _take(self, replies: list[Message], context: bytes, length: int) -> None:
        for reply in replies:
            member_id = self._numbers[reply.metadata.src_node_id]
            if reply.has_error():
                self.refusals[member_id] = reply.error.reason or CredenceError.code
                continue
            try:
                given = self._read(reply, member_id, context, length)
                known = self._given.get(member_id)
                if known is not None and not _same(known, given):
                    raise InputChanged("a member sent another input to the same round")
            except CredenceError as error:
                log.warning("masking.input_rejected", member=member_id, code=error.code)
                self.refusals[member_id] = error.code
                if self._view is None:
                    self._given.pop(member_id, None)
                continue
            self._given[member_id] = given

    def _read(self, reply: Message, member_id: str, context: bytes, length: int) -> _Given:
        update, mask = reply.content.get(names.UPDATE), reply.content.get(names.MASK)
        if not isinstance(update, ArrayRecord) or set(update) != {names.UPDATE}:
            raise MaskingMalformed("a masked input is one tensor")
        if not isinstance(mask, ConfigRecord):
            raise MaskingMalformed("a masked input comes with its commitments")
        shape = (length, self._terms.ring.width)
        octets = read_tensor(update[names.UPDATE].data, "uint8", shape)
        found, parts = mask.get(names.CONTEXT), mask.get(names.MASK_PARTS)
        if not isinstance(found, bytes) or not isinstance(parts, bytes):
            raise MaskingMalformed("a masked input comes with its commitments")
        masked = Masked.from_parts(octets, found, parts)
        masked.check(context, len(self._agreement.layout.neighbours(member_id)), shape)
        ledger = reply.content.get(names.LEDGER)
        epsilon = ledger.get(names.EPSILON) if isinstance(ledger, MetricRecord) else None
        if not isinstance(epsilon, float) or not math.isfinite(epsilon) or epsilon < 0:
            raise Malformed("an update says where the node's ledger stands")
        return _Given(masked, parts, epsilon)

    # The view.

    def _view_of(self, number: int, model_sha256: bytes, members: tuple[str, ...]) -> View:
        return View(
            campaign_id=self._terms.campaign_id,
            plan_sha256=self._terms.plan_sha256,
            roster_sha256=self._agreement.layout.sha256,
            number=number,
            model_sha256=model_sha256,
            members=members,
        )

    def _signed_view(self, number: int, model_sha256: bytes) -> tuple[View, dict[str, bytes]]:
        view = self._view
        if view is None:
            view = self._view_of(number, model_sha256, self._fitting())
        self._require_inputs(view)
        signatures, others = self._signatures(view)
        if len(signatures) < self._terms.threshold and others:
            # A process before this one had asked for another view: that one is the round's.
            view = Counter(others).most_common(1)[0][0]
            self._require_inputs(view)
            signatures, _ = self._signatures(view)
        self._view = view
        if len(signatures) < self._terms.threshold:
            raise CohortOfFew(f"{len(signatures)} members signed the view of round {number}")
        return view, signatures

    def _fitting(self) -> tuple[str, ...]:
        inputs = {member_id: given.masked for member_id, given in self._given.items()}
        bad = mismatched(self._agreement.layout, inputs)
        self.refusals.update(dict.fromkeys(bad, MaskMismatch.code))
        unusable = self.unusable()
        self.refusals.update(dict.fromkeys(unusable & set(inputs), ShareInvalid.code))
        return tuple(sorted(set(inputs) - bad - unusable))

    def _require_inputs(self, view: View) -> None:
        check_view(view, self._terms, self._agreement.layout)
        if not set(view.members).issubset(self._given):
            raise CohortOfFew("the input of a member of the signed view is not here")

    def _signatures(self, view: View) -> tuple[dict[str, bytes], list[View]]:
        body = join([view.to_body()])
        answers = self._steps.ask(names.VIEW_STEP, dict.fromkeys(view.members, body))
        self.refusals.update(self._steps.refusals)
        signatures: dict[str, bytes] = {}
        others: list[View] = []
        for member_id, answer in answers.items():
            try:
                kind, data = split(answer)
                if kind == names.OTHER:
                    other = View.from_body(data)
                    check_view(other, self._terms, self._agreement.layout)
                    if other.context == view.context:
                        others.append(other)
                    continue
                key = self._agreement.layout.graph.roster.view_key(member_id)
                key.verify(VIEW_DOMAIN, view.to_body(), data)
                signatures[member_id] = data
            except (CredenceError, ValueError) as error:
                self._offends(member_id, error)
        return signatures, others

    # The answers.

    def _unmask(self, opening: Opening, view: View, signatures: dict[str, bytes]) -> None:
        body = join([view.to_body(), join_map(signatures)])
        answers = self._steps.ask(names.UNMASK_STEP, dict.fromkeys(view.members, body))
        self.refusals.update(self._steps.refusals)
        for member_id, answer in answers.items():
            try:
                seed, *pairs = split(answer)
                opening.take(member_id, Unmasked(seed, tuple(pairs)))
            except (CredenceError, ValueError) as error:
                self._offends(member_id, error)
        missing = opening.missing
        if not missing:
            return
        body = join([view.to_body(), join_map(signatures), join_map(missing)])
        standing = [one for one in view.members if one not in missing]
        answers = self._steps.ask(names.STAND_IN_STEP, dict.fromkeys(standing, body))
        self.refusals.update(self._steps.refusals)
        for member_id, answer in answers.items():
            try:
                (parts,) = split(answer)
                found = split_map(parts)
                partials = {key: prf.Partial.from_bytes(data) for key, data in found.items()}
                opening.take_parts(member_id, partials)
            except (CredenceError, ValueError) as error:
                self._offends(member_id, error)
        wrong = opening.recover()
        for member_id in wrong:
            self.refusals[member_id] = AnswerWrong.code
        if wrong:
            raise RoundLost("a member's masks are not those it had committed to")

    def _count_failure(self) -> None:
        if self._view is not None:
            self._failed += 1
            if self._failed >= VIEW_ATTEMPTS:
                raise RoundLost("too few members of the signed view are left to open it")

    def _offends(self, member_id: str, error: Exception) -> None:
        code = error.code if isinstance(error, CredenceError) else MaskingMalformed.code
        log.warning("masking.answer_rejected", member=member_id, code=code)
        self.refusals[member_id] = code


def _same(one: _Given, other: _Given) -> bool:
    return one.parts == other.parts and np.array_equal(one.masked.octets, other.masked.octets)
