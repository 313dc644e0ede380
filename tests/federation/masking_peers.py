"""A Flower grid whose nodes are bare parties in this process; a test may make one of them lie."""

from collections.abc import Callable, Iterable

import numpy as np

from coordinator.federation.flower import (
    Array,
    ArrayRecord,
    ConfigRecord,
    Error,
    Grid,
    Message,
    MetricRecord,
    RecordDict,
    Run,
    enter_run,
)
from coordinator.federation.masked_rounds import MaskedRounds, Opened
from coordinator.federation.masking_setup import Agreement, MaskingSetup
from coordinator.federation.masking_steps import MaskingSteps
from coordinator.storage.masking import MaskingRow
from models.plan import CampaignPlan
from protocols import federation as names
from protocols.canonical import parse_canonical
from protocols.errors import CredenceError
from protocols.masking.errors import ViewInconsistent
from protocols.masking.roster import Signed
from protocols.masking.view import View
from protocols.masking.wire import Masked, join, join_map, split, split_map
from protocols.tensors import tensor_bytes
from tests.protocols.masking_cohort import MODEL, Cohort

SIZE = 40
Twist = Callable[[bytes], bytes | None]


class Peers(Grid):
    """All members of a cohort, reachable; `silent` and `twists` make some of them fail or lie."""

    def __init__(self, cohort: Cohort) -> None:
        self.cohort = cohort
        self.numbers = {at + 10: one for at, one in enumerate(cohort.terms.members)}
        self.away: set[str] = set()
        self.silent: set[tuple[str, str]] = set()  # member, step
        self.twists: dict[tuple[str, str], Twist] = {}
        self.set_run(Run.create_empty(1))

    def set_run(self, run: Run) -> None:
        self._run = run
        enter_run(run.run_id)

    @property
    def run(self) -> Run:
        return self._run

    def get_node_ids(self) -> Iterable[int]:
        return [number for number, one in self.numbers.items() if one not in self.away]

    def create_message(self, content, message_type, dst_node_id, group_id, ttl=None) -> Message:
        message = Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)
        message.metadata.__dict__["_message_id"] = "m"
        return message

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        raise NotImplementedError

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        raise NotImplementedError

    def send_and_receive(self, messages, *, timeout=None) -> Iterable[Message]:
        replies = [self._answer(message) for message in messages]
        return [reply for reply in replies if reply is not None]

    def _answer(self, message: Message) -> Message | None:
        member_id = self.numbers[message.metadata.dst_node_id]
        record = message.content[names.MASKING]
        step, body = str(record[names.STEP]), bytes(record[names.BODY])
        if (member_id, step) in self.silent:
            return None
        try:
            answer = join(self._act(member_id, step, split(body)))
        except CredenceError as error:
            return Message(Error(2, error.code), reply_to=message)
        twist = self.twists.get((member_id, step))
        if twist is not None:
            twisted = twist(answer)
            if twisted is None:
                return Message(RecordDict(), reply_to=message)
            answer = twisted
        content = RecordDict({names.MASKING: ConfigRecord({names.BODY: answer})})
        return Message(content, reply_to=message)

    def _act(self, member_id: str, step: str, parts: list[bytes]) -> list[bytes]:
        party = self.cohort.parties[member_id]
        if step == names.KEYS_STEP:
            return [party.announce(self.cohort.keys[member_id]).to_bytes()]
        if step == names.ROSTER_STEP:
            roster = self.cohort.read([Signed.from_bytes(part) for part in parts])
            return [party.fix_roster(roster).to_bytes()]
        if step == names.DEAL_STEP:
            return [party.deal([Signed.from_bytes(part) for part in parts]).to_bytes()]
        if step == names.START_STEP:
            dealers = parse_canonical(parts[0], max_bytes=10**6)
            deals = [Signed.from_bytes(part) for part in parts[1:]]
            return [name.encode() for name in party.start(dealers, deals)]
        if step == names.VIEW_STEP:
            try:
                return [names.SIGNED, party.sign_view(parts[0])]
            except ViewInconsistent:
                return [names.OTHER, party.signed_view(View.from_body(parts[0]).number)]
        if step == names.UNMASK_STEP:
            opened = party.unmask(parts[0], split_map(parts[1]))
            return [opened.seed, *opened.pairs]
        found = party.stand_in(parts[0], split_map(parts[1]), split_map(parts[2]))
        return [join_map({key: part.to_bytes() for key, part in found.items()})]


class Coordinator:
    """One coordinator process of a campaign: its setup and its rounds."""

    def __init__(self, peers: Peers, plan: CampaignPlan, row: MaskingRow | None = None) -> None:
        self.peers = peers
        self.row = row or MaskingRow()
        self.excluded: list[tuple[str, str]] = []
        terms = peers.cohort.terms
        steps = MaskingSteps(peers, plan, terms.plan_sha256, peers.numbers)
        self.setup = MaskingSetup(
            terms,
            steps,
            directory=lambda: peers.cohort.directory,
            now_ms=lambda: 1000,
            keep=self._keep,
            excluded=lambda one, code: self.excluded.append((one, code)),
        )
        self.agreement: Agreement = self.setup.agree(self.row)
        self.rounds = MaskedRounds(terms, self.agreement, steps, peers.numbers)
        self.rounds.ready()

    def _keep(self, row: MaskingRow) -> None:
        self.row = row

    def values(self, number: int) -> dict[str, np.ndarray]:
        """What each dealer has to say in a round."""
        rng = np.random.default_rng(number)
        return {one: rng.integers(-1000, 1000, SIZE) for one in self.agreement.layout.dealers}

    def inputs(self, number: int) -> dict[str, Masked]:
        """The masked inputs of all dealers."""
        values = self.values(number)
        parties = self.peers.cohort.parties
        return {one: parties[one].mask(number, MODEL, values[one]) for one in values}

    def open(self, number: int, inputs: dict[str, Masked]) -> Opened | None:
        """Open a round from these inputs."""
        replies = [self.reply(one, masked) for one, masked in inputs.items()]
        return self.rounds.open(number, MODEL, replies, SIZE)

    def reply(self, member_id: str, masked: Masked, epsilon: object = 0.5) -> Message:
        """A member's reply to a round."""
        by_member = {one: number for number, one in self.peers.numbers.items()}
        asked = self.peers.create_message(RecordDict(), "train", by_member[member_id], "1")
        octets = masked.octets
        array = Array(str(octets.dtype), octets.shape, "numpy.ndarray", tensor_bytes(octets))
        mask = {names.CONTEXT: masked.context, names.MASK_PARTS: masked.parts()}
        content = RecordDict(
            {
                names.UPDATE: ArrayRecord({names.UPDATE: array}),
                names.MASK: ConfigRecord({**mask}),
                names.LEDGER: MetricRecord({names.EPSILON: epsilon}),
            }
        )
        return Message(content, reply_to=asked)
