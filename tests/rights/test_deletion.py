"""What a deletion reaches beside signals: the account, the records, both names of a key change."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.leaf import Entry
from audit.shredding import PayloadErased
from models.catalogue import load_default
from node.enrolment.rotation import Rotation
from node.people.accounts import ActivationRefused
from node.people.browser import Browser
from node.people.sessions import PORTAL
from node.people.wiring import make_people
from node.records.errors import RecordsUnwritable
from node.rights.deletion import Deletion, Plan
from node.rights.holdings import NodeHoldings
from node.settings import make_settings
from node.storage import marks, outcomes, people, signals, subjects
from node.storage.marks import MarkKind
from node.storage.signals import OWN
from node.storage.subjects import Subject
from protocols.passwords import PasswordCost
from tests.node.ingest_world import MEMBER, NOW_MS, World, bank_tables, write_tables
from tests.trustees import make_trustees

BROWSER = Browser("192.0.2.1", "test", "en", None)
RECORDS = ("accounts", "statements", "outcomes")


def payment_tables() -> dict[str, list[list[object]]]:
    """The same customers at an institution of which law says to keep nothing."""
    tables = bank_tables()
    del tables["accounts"]
    tables["statements"] = [
        [customer, "card", month, "", 100, 90]
        for customer in ("c1", "c2", "c3")
        for month in ("2025-04", "2025-05", "2025-06")
    ]
    return tables


class Place:
    """One institution: its ingest, its accounts, its deletions."""

    def __init__(self, home: Path, tables: dict[str, list[list[object]]]) -> None:
        self.world = World(home / "home")
        self.inbox = write_tables(home / "inbox", **tables)
        self.world.trustees.made = make_trustees(epochs=2).made[:1]
        self.ingest()
        self.world.trustees.made = make_trustees(epochs=2).made
        self.people = make_people(
            make_settings(member_id=MEMBER, name="Bank", role="bank"),
            home=self.world.home,
            kek=b"k" * 32,
            database=self.world.database,
            audit=self.world.audit,
            clock=lambda: NOW_MS,
            cost=PasswordCost(memory_kib=64, passes=1, lanes=1),
        )
        self.deletion = Deletion(
            MEMBER,
            self.world.audit,
            load_default,
            NodeHoldings(self.people.accounts, self.world.home / "records"),
        )

    def ingest(self) -> None:
        self.world.service.ingest_directory(self.inbox, now_ms=NOW_MS)

    def person(self, customer: str = "c1") -> Subject:
        with self.world.database.read() as connection:
            return subjects.by_customer(connection, customer)

    def delete(self, customer: str = "c1") -> Plan:
        one = self.person(customer).pseudonym
        with self.world.database.write() as connection:
            return self.deletion.perform(connection, one, "bank-a rgt_1", "stf_cara", NOW_MS)

    def note(self, subject: bytes) -> int:
        """An entry of the log about somebody; its number."""
        entry = Entry("test.note", MEMBER, "rights", "", {"said": "it"}, subject, NOW_MS)
        with self.world.database.write() as connection:
            return self.world.audit.append(connection, entry).seq

    def known(self, customer: str) -> tuple[bool, bool, bool]:
        """Whether own signals, an outcome, and records beside the customer's line are there."""
        one = self.person(customer).pseudonym
        with self.world.database.read() as connection:
            vector = signals.find(connection, one, MEMBER, OWN, NOW_MS)
            outcome = outcomes.of_subject(connection, one)
        rows = self.world.store.of_customer(customer)
        return vector is not None, outcome is not None, any(rows.get(one) for one in RECORDS)


@pytest.fixture(params=["kept", "erased"])
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    """A bank, whose records law says to keep, and one of whose nothing is kept."""
    made = Place(tmp_path, bank_tables() if request.param == "kept" else payment_tables())
    yield made
    made.world.close()


@pytest.fixture
def free(tmp_path: Path) -> Iterator[Place]:
    """Nothing has to be kept there."""
    made = Place(tmp_path, payment_tables())
    yield made
    made.world.close()


def test_a_deletion_closes_the_account_and_ends_its_sessions(place: Place) -> None:
    """Whether data are kept or not, nothing the person had opens the portal any more."""
    accounts = place.people.accounts
    token = accounts.activate(PORTAL, "c1", accounts.issue_for_customer("c1").code, BROWSER)
    other = accounts.activate(PORTAL, "c2", accounts.issue_for_customer("c2").code, BROWSER)
    waiting = accounts.issue_for_customer("c1").code
    place.delete()
    assert place.people.sessions.person(token) is None
    assert place.people.sessions.person(other) is not None
    with place.world.database.read() as connection:
        account = people.by_login(connection, PORTAL, place.person().subject_ref)
    assert account is not None
    assert account.closed_at_ms == NOW_MS
    with pytest.raises(ActivationRefused):
        accounts.activate(PORTAL, "c1", waiting, BROWSER)


def test_a_code_that_nobody_used_ends_with_a_deletion(place: Place) -> None:
    """Also of a person who never had an account."""
    code = place.people.accounts.issue_for_customer("c1").code
    place.delete()
    with pytest.raises(ActivationRefused):
        place.people.accounts.activate(PORTAL, "c1", code, BROWSER)


def test_where_nothing_is_kept_records_go_and_no_ingest_brings_them_again(free: Place) -> None:
    """Signals, outcome and rows stay gone; others keep theirs; the line in `customers` stays."""
    assert free.known("c1") == (True, True, True)
    assert not free.delete().kept
    for again in range(3):
        assert free.known("c1") == (False, False, False), again
        assert free.known("c2") == (True, True, True)
        assert len(free.world.store.load().customers) == 3
        free.ingest()


def test_what_law_keeps_stays_without_outcome_and_beyond_it_nothing_returns(tmp_path: Path) -> None:
    """Credit records stay as they are; the payment signals and the label do not come back."""
    tables = bank_tables()
    tables["statements"] = [[*row[:4], 100, 90] for row in tables["statements"]]
    place = Place(tmp_path, tables)
    catalogue = load_default()
    assert set(place.delete().kept) == {"credit_account"}
    for _ in range(2):
        assert place.known("c1") == (True, False, True)
        assert place.known("c2") == (True, True, True)
        with place.world.database.read() as connection:
            vector = signals.find(connection, place.person().pseudonym, MEMBER, OWN, NOW_MS)
        assert vector is not None
        assert {catalogue.signal(one).source_class for one in vector.signals} == {"credit_account"}
        place.ingest()
    place.world.close()


def test_who_is_erased_while_an_ingest_runs_is_not_brought_by_it(free: Place) -> None:
    """The ingest had read the person before: it looks again in the transaction that writes."""

    def progress(stage: str) -> None:
        if stage == "store":  # between what the ingest read and what it writes
            free.delete()

    free.world.service.ingest_directory(free.inbox, now_ms=NOW_MS, progress=progress)
    assert free.known("c1") == (False, False, False)
    assert free.known("c2") == (True, True, True)


def test_a_deletion_whose_records_cannot_go_did_not_happen(free: Place) -> None:
    """Nothing says "deleted" of what is still there, and agreeing again completes it."""
    leaf = free.note(free.person().pseudonym)
    damaged = free.world.home / "records" / "statements.parquet"
    good = damaged.read_bytes()
    damaged.write_bytes(b"not what was written")
    with pytest.raises(RecordsUnwritable):
        free.delete()
    damaged.write_bytes(good)
    assert free.known("c1") == (True, True, True)
    assert free.world.audit.payload(leaf) == {"said": "it"}
    with free.world.database.read() as connection:
        assert not marks.people_with(connection, MarkKind.ERASED)
    free.delete()
    assert free.known("c1") == (False, False, False)


@pytest.mark.parametrize("switched", [False, True])
def test_during_a_key_change_the_keys_under_both_names_are_destroyed(
    free: Place, switched: bool
) -> None:
    """Before the switch and after it, nothing in the log about either pseudonym can be read."""
    world = free.world
    before, other = free.person(), free.person("c2")
    rotation = Rotation(
        world.database,
        world.audit,
        world.pseudonyms,
        MEMBER,
        lambda: world.store.load().customers["identifier"].to_pylist(),
    )
    new = rotation.enrol(2).pseudonyms[0]
    leaves = [free.note(before.pseudonym), free.note(new)]
    kept = free.note(other.pseudonym)
    if switched:
        rotation.switch(2, NOW_MS)
        assert free.person().pseudonym == new
    free.delete()
    for leaf in leaves:
        with pytest.raises(PayloadErased):
            world.audit.payload(leaf)
    assert world.audit.payload(kept) == {"said": "it"}
    for name in (before.pseudonym, new):
        assert world.audit.about(name) == []


def test_who_was_erased_is_still_known_as_such_after_a_key_change(free: Place) -> None:
    """Everybody can still be renamed, and an ingest under the new names brings nothing again."""
    free.delete()
    world = free.world
    rotation = Rotation(
        world.database,
        world.audit,
        world.pseudonyms,
        MEMBER,
        lambda: world.store.load().customers["identifier"].to_pylist(),
    )
    rotation.enrol(2)
    rotation.switch(2, NOW_MS)
    free.ingest()
    assert free.known("c1") == (False, False, False)
    assert free.known("c2") == (True, True, True)
