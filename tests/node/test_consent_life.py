"""The whole life of consents at the real services: every state reached, none but by the table.

A bank with its portal, a holder, a line that is sometimes cut, and time. A model keeps what the
table says; the services have to agree after every step, and the holder in the end.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
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

from consent.authority import PASSKEY
from consent.lifecycle import ENDED, TRANSITIONS, Event, State
from consent.policy import ReleaseFacts, decide
from consent.templates import DAY_MS
from node.consents.personal import (
    AccountProof,
    GrantChoice,
    PasskeyProof,
    PasskeySigner,
    PersonalConsents,
)
from node.consents.service import OfferTerms
from node.storage import consents
from protocols.errors import CredenceError
from protocols.passkeys import RelyingParty
from tests.node.consent_world import ConsentWorld, person
from tests.passkey_device import PasskeyDevice, es256

SITE = RelyingParty("bank-a.example", ("https://my.bank-a.example",), "Bank A")
DEVICE = PasskeyDevice(rp_id=SITE.rp_id, origin=SITE.origins[0], key=es256())
APP = AccountProof("password_totp")
PEOPLE = (1, 2)
MAX_CONSENTS = 4
PURPOSES = [("score",), ("score", "train"), ("monitor",)]
UNHEARD = {State.REQUESTED, State.REFUSED, State.LAPSED}


@dataclass
class Expected:
    """One consent as the table has it."""

    number: int
    passkey: bool
    state: State
    ends_at_ms: int
    hashes: list[bytes] = field(default_factory=list)
    delivered: bool = False


class Life(RuleBasedStateMachine):
    """What people, the desk and time do to consents."""

    ids = Bundle("ids")

    @initialize()
    def open(self):
        self.directory = tempfile.TemporaryDirectory()
        self.world = ConsentWorld(Path(self.directory.name), ("bank-a", "payments"))
        self.bank, self.holder = self.world.member("bank-a"), self.world.member("payments")
        for member in (self.bank, self.holder):
            member.enrol(*PEOPLE)
        self.mine = portal(self.world)
        self.model: dict[str, Expected] = {}
        self.leaves = 0

    # -- beginnings

    @precondition(lambda self: len(self.model) < MAX_CONSENTS)
    @rule(target=ids, number=st.sampled_from(PEOPLE), passkey=st.booleans())
    def grant(self, number, passkey):
        found = give(self.mine, number, GrantChoice(OfferTerms(valid_days=2)), passkey=passkey)
        self._entered(found.consent_id, Expected(number, passkey, State.ACTIVE, 0), found, days=2)
        return found.consent_id

    @precondition(lambda self: len(self.model) < MAX_CONSENTS)
    @rule(target=ids, number=st.sampled_from(PEOPLE), passkey=st.booleans())
    def ask(self, number, passkey):
        asked = self.bank.consents.ask(
            person(number), OfferTerms(), requested_by="desk", message="", days=1
        )
        ends = self.world.now_ms + DAY_MS
        self.model[asked.consent_id] = Expected(number, passkey, State.REQUESTED, ends)
        self.leaves += 1
        return asked.consent_id

    # -- answers

    @rule(one=ids)
    def grant_what_was_asked(self, one):
        known = self.model[one]
        choice = GrantChoice(OfferTerms(valid_days=2), request=one)
        in_time = self.world.now_ms < known.ends_at_ms

        def act():
            return give(self.mine, known.number, choice, passkey=known.passkey)

        if known.state is State.REQUESTED and in_time:
            self._entered(one, known, act(), days=2)
        else:
            self._refused(act)

    @rule(one=ids)
    def refuse(self, one):
        self._step(one, Event.REFUSE, lambda: self.mine.refuse(self._who(one), one))

    # -- changes

    @rule(one=ids, purposes=st.sampled_from(PURPOSES), passkey=st.booleans())
    def change(self, one, purposes, passkey):
        known = self.model[one]
        choice = GrantChoice(OfferTerms(purposes=purposes, valid_days=2), changes=one)
        self.world.tick(1)

        def act():
            return give(self.mine, known.number, choice, passkey=passkey)

        if known.state in {State.ACTIVE, State.PAUSED} and passkey is known.passkey:
            self._entered(one, known, act(), days=2)
        else:
            self._refused(act)

    @rule(one=ids)
    def pause(self, one):
        self.world.tick(1)
        self._step(one, Event.PAUSE, lambda: self.mine.pause(self._who(one), one, APP).state)

    @rule(one=ids)
    def resume(self, one):
        self.world.tick(1)
        self._step(one, Event.RESUME, lambda: self._resumed(one))

    @rule(one=ids)
    def withdraw(self, one):
        self._step(one, Event.WITHDRAW, lambda: self.mine.withdraw(self._who(one), one, APP).state)

    @rule(one=ids)
    def invalidate(self, one):
        def act():
            return self.bank.consents.invalidate(one, "identity_error", "desk").state

        self._step(one, Event.INVALIDATE, act)

    # -- time and the line

    @rule(ms=st.sampled_from([1, 60_000, DAY_MS, 2 * DAY_MS]))
    def wait(self, ms):
        self.world.tick(ms)

    @rule()
    def sweep(self):
        due = [one for one in self.model.values() if self.world.now_ms >= one.ends_at_ms]
        ended = 0
        for known in due:
            event = Event.LAPSE if known.state is State.REQUESTED else Event.EXPIRE
            after = TRANSITIONS.get((known.state, event))
            if after is not None:
                known.state, ended = after, ended + 1
        assert self.bank.consents.expire_due() == ended
        self.leaves += ended
        self.holder.consents.expire_due()

    @rule(cut=st.booleans())
    def change_the_line(self, cut):
        self.bank.courier.cut = {"payments"} if cut else set()

    @rule()
    def push(self):
        self.world.tick(5_000)
        self.bank.consents.push_pending()

    # -- what holds always

    @invariant()
    def the_bank_is_where_the_table_says(self):
        for consent_id, known in getattr(self, "model", {}).items():
            assert self.bank.consents.get(consent_id).terms.state is known.state
        assert self.bank.leaves() == self.leaves

    @invariant()
    def no_version_but_the_last_is_in_force(self):
        for consent_id, known in getattr(self, "model", {}).items():
            with self.bank.database.read() as connection:
                found = consents.terms_by_hash(connection, known.hashes)
            for old in known.hashes[:-1]:
                assert found[old].state is State.SUPERSEDED
                assert found[old].consent_id == consent_id

    @invariant()
    def the_holder_releases_nothing_that_it_heard_the_end_of(self):
        for consent_id, known in getattr(self, "model", {}).items():
            with self.holder.database.read() as connection:
                stored = consents.find(connection, consent_id)
            if stored is None or known.state in UNHEARD:
                assert stored is None
                continue
            heard = consent_id not in self._waiting()
            allowed = decide(facts(stored.terms), self.world.now_ms).allowed
            if allowed and heard:
                assert known.state is State.ACTIVE

    def teardown(self):
        try:
            self.both_come_to_agree()
        finally:
            self.world.close()
            self.directory.cleanup()

    def both_come_to_agree(self):
        self.bank.courier.cut = set()
        for _ in range(5):
            self.world.tick(3_600_000)
            self.bank.consents.expire_due()
            self.bank.consents.push_pending()
        assert self.bank.consents.waiting() == {}
        self.holder.consents.expire_due()
        with self.holder.database.read() as connection:
            held = consents.find_many(connection, self.model)
        for consent_id, stored in held.items():
            mine = self.bank.consents.get(consent_id)
            # A holder that time overtook while the line was cut stays ended: an ended consent is
            # not brought back. Whatever it would release on is what the bank has in force.
            if stored.terms.state in ENDED:
                assert mine.terms.state in ENDED or stored.terms.state is State.EXPIRED
                continue
            assert stored.terms.state is mine.terms.state
            assert stored.terms.consent_hash == mine.terms.consent_hash

    # -- steps

    def _who(self, one):
        return person(self.model[one].number)

    def _resumed(self, one):
        who = self._who(one)
        with self.bank.database.read() as connection:
            granted_by = consents.find(connection, one).auth_method
        if granted_by != PASSKEY:
            return self.mine.resume(who, one, APP).state
        ready = self.mine.prepare_event(who, one, Event.RESUME)
        return self.mine.apply(who, ready.body, PasskeyProof(DEVICE.get(ready.challenge))).state

    def _step(self, one, event: Event, act: Callable[[], State]):
        known = self.model[one]
        after = TRANSITIONS.get((known.state, event))
        if after is None:
            self._refused(act)
            return
        assert act() is after
        self.leaves += after is not known.state
        known.state = after

    def _refused(self, act):
        before = self.bank.leaves()
        with pytest.raises(CredenceError):
            act()
        assert self.bank.leaves() == before

    def _entered(self, one, known, recorded, *, days):
        known.state, known.ends_at_ms = State.ACTIVE, self.world.now_ms + days * DAY_MS
        known.hashes.append(recorded.consent_hash)
        self.model[one] = known
        self.leaves += 1

    def _waiting(self):
        with self.bank.database.read() as connection:
            rows = connection.exec_driver_sql("SELECT consent_id FROM consent_outbox")
            return {row[0] for row in rows}


def portal(world):
    bank = world.member("bank-a")
    return PersonalConsents(
        database=bank.database,
        service=bank.consents,
        member_id="bank-a",
        signing_key=lambda: bank.signing,
        relying_party=SITE,
        clock=lambda: world.now_ms,
    )


def give(mine, number, choice, *, passkey):
    if not passkey:
        ready = mine.prepare(person(number), choice, APP)
        return mine.grant(person(number), ready.body, APP)
    ready = mine.prepare(person(number), choice, PasskeySigner(DEVICE.public_key))
    return mine.grant(person(number), ready.body, PasskeyProof(DEVICE.get(ready.challenge)))


def facts(terms):
    return ReleaseFacts(
        terms=terms,
        requester="bank-a",
        requester_active=True,
        holder="payments",
        purpose=min(terms.purposes),
        categories=frozenset(),
        subject_matches=True,
        status_proof_until_ms=None,
    )


Life.TestCase.settings = settings(
    max_examples=12,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestLife = Life.TestCase


def test_every_state_is_reached_at_the_real_services(tmp_path):
    """All nine, each by what people, the desk or time do."""
    world = ConsentWorld(tmp_path, ("bank-a", "payments"))
    bank = world.member("bank-a")
    bank.enrol(1)
    world.member("payments").enrol(1)
    mine, who, seen = portal(world), person(1), set()

    def see(*ids):
        for one in ids:
            stored = bank.consents.get(one)
            with bank.database.read() as connection:
                found = consents.terms_by_hash(connection, hashes | {stored.terms.consent_hash})
            seen.update(terms.state for terms in found.values())

    hashes: set[bytes] = set()
    ask = {"requested_by": "desk", "message": "", "days": 1}
    asked = [bank.consents.ask(who, OfferTerms(), **ask).consent_id for _ in range(2)]
    given = []
    for _ in range(4):
        recorded = give(mine, 1, GrantChoice(OfferTerms(valid_days=2)), passkey=True)
        given.append(recorded.consent_id)
        hashes.add(recorded.consent_hash)
    see(*asked, *given)
    world.tick(1)
    mine.refuse(who, asked[0])
    mine.pause(who, given[0], APP)
    mine.withdraw(who, given[1], APP)
    bank.consents.invalidate(given[2], "not_informed", "privacy-officer")
    give(mine, 1, GrantChoice(OfferTerms(valid_days=2), changes=given[3]), passkey=True)
    see(*asked, *given)
    world.tick(2 * DAY_MS)
    assert bank.consents.expire_due() == 3
    see(*asked, *given)
    assert seen == set(State)
    assert {bank.consents.get(one).terms.state for one in given} <= ENDED
    world.close()
