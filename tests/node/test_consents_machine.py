"""The life of consents at two nodes under lost lines, lost answers, replays and passing time.

Safety, after every step: the consent node is in the state that the table gives; no version and no
ended consent ever comes back at the holder; every change has its leaf. Liveness, in the end: once
the line holds, both nodes agree.
"""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from consent.delivery import Delivery
from consent.lifecycle import ENDED, TRANSITIONS, Event, State, TransitionInvalid
from node.storage import consents
from protocols.errors import CredenceError
from tests.node.consent_world import ConsentWorld

PEOPLE = (1, 2)
MAX_CONSENTS = 2  # few, so that much happens to each
# Withdrawals end a consent's story: rarer than what goes on with it.
SAID = [Event.PAUSE, Event.RESUME, Event.PAUSE, Event.RESUME, Event.WITHDRAW]


class ConsentMachine(RuleBasedStateMachine):
    """A bank, a holder, and a line between them that does what it likes."""

    granted = Bundle("granted")

    def __init__(self):
        super().__init__()
        self.log: list[Delivery] = []
        self.expected: dict[str, State] = {}

    @initialize()
    def open(self):
        self.directory = tempfile.TemporaryDirectory()
        self.world = ConsentWorld(Path(self.directory.name), ("bank-a", "payments"))
        self.bank, self.holder = self.world.member("bank-a"), self.world.member("payments")
        for member in (self.bank, self.holder):
            member.enrol(*PEOPLE)
        self.seen: dict[str, tuple[int, State]] = {}
        self.leaves = 0
        deliver = self.bank.courier.deliver

        def recorded(member_id, deliveries):
            self.log.extend(deliveries)
            return deliver(member_id, deliveries)

        self.bank.courier.deliver = recorded

    @precondition(lambda self: len(self.expected) < MAX_CONSENTS)
    @rule(target=granted, number=st.sampled_from(PEOPLE))
    def grant(self, number):
        consent_id = self.world.grant("bank-a", number, push=False)
        self.expected[consent_id] = State.ACTIVE
        self.leaves += 1
        return consent_id, number

    @rule(one=granted, event=st.sampled_from(SAID))
    def say(self, one, event):
        consent_id, number = one
        self.world.tick(1)
        said = self.world.said("bank-a", consent_id, number, event)
        before = self.expected[consent_id]
        after = TRANSITIONS.get((before, event))
        if after is None:
            with pytest.raises(TransitionInvalid):
                self.bank.consents.apply(consent_id, said)
            return
        assert self.bank.consents.apply(consent_id, said).state is after
        self.expected[consent_id] = after
        self.leaves += after is not before

    @rule(one=granted, purposes=st.sampled_from([["score"], ["score", "train"]]))
    def renew(self, one, purposes):
        consent_id, number = one
        first = self.world.artefact_of("bank-a", consent_id)
        renewed = self.world.signed("bank-a", number, replaces=first, purposes=purposes)
        try:
            self.bank.consents.record_many([renewed])
        except CredenceError:
            assert self.expected[consent_id] in ENDED
            return
        assert self.expected[consent_id] not in ENDED
        self.expected[consent_id] = State.ACTIVE
        self.leaves += 1

    @rule(cut=st.booleans(), lose=st.booleans())
    def change_the_line(self, cut, lose):
        self.bank.courier.cut = {"payments"} if cut else set()
        self.bank.courier.lose_answers = {"payments"} if lose else set()

    @rule(ms=st.sampled_from([1, 300, 6_000]))
    def wait_and_push(self, ms):
        self.world.tick(ms)
        self.bank.consents.push_pending()

    @precondition(lambda self: self.log)
    @rule(data=st.data())
    def replay(self, data):
        again = data.draw(st.lists(st.sampled_from(self.log), min_size=1, max_size=3))
        self.holder.consents.receive("bank-a", again)

    @invariant()
    def the_consent_node_is_where_the_table_says(self):
        for consent_id, state in self.expected.items():
            assert self.bank.consents.get(consent_id).terms.state is state
        assert self.bank.leaves() == self.leaves

    @invariant()
    def nothing_comes_back_at_the_holder(self):
        with self.holder.database.read() as connection:
            held = consents.find_many(connection, self.expected)
        for consent_id, stored in held.items():
            version, state = self.seen.get(consent_id, (0, State.ACTIVE))
            assert stored.version >= version
            if state in ENDED:
                assert stored.terms.state is state
            self.seen[consent_id] = (stored.version, stored.terms.state)

    @invariant()
    def who_acknowledged_an_end_lives_by_it(self):
        for consent_id, state in self.expected.items():
            if state is not State.WITHDRAWN:
                continue
            (end,) = [
                one
                for one in self.bank.consents.receipt(consent_id)["events"]
                if one["event"] == "withdraw"
            ]
            if any(one["outcome"] == "in_effect" for one in end["confirmed_by"]):
                assert self.seen.get(consent_id, (0, State.WITHDRAWN))[1] is State.WITHDRAWN

    def teardown(self):
        try:
            self.check_that_both_come_to_agree()
        finally:
            self.world.close()
            self.directory.cleanup()

    def check_that_both_come_to_agree(self):
        self.bank.courier.cut = self.bank.courier.lose_answers = set()
        for _ in range(5):
            self.world.tick(3_600_000)
            self.bank.consents.push_pending()
        assert self.bank.consents.waiting() == {}
        with self.holder.database.read() as connection:
            held = consents.find_many(connection, self.expected)
        for consent_id, state in self.expected.items():
            if consent_id not in held:
                assert state is State.WITHDRAWN
                continue
            assert held[consent_id].terms.state is state
            mine = self.bank.consents.get(consent_id)
            if state not in ENDED:
                assert held[consent_id].terms.consent_hash == mine.terms.consent_hash


ConsentMachine.TestCase.settings = settings(
    max_examples=20,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestConsentMachine = ConsentMachine.TestCase
