"""What a person may do at their institution, and what they may not."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from consent.rights import DAY_MS, Kind, RightsConflict, State, TextRefused
from node.rights.errors import (
    AlreadyDisputed,
    ItemUnknown,
    ReportNotFree,
    RequestUnknown,
    TooManyRequests,
)
from node.rights.person import MAX_OPEN
from node.rights.steps import Action
from node.storage import pseudonyms
from node.storage.subjects import UnknownSubject
from tests.network import person
from tests.postgresql import on_each_database
from tests.rights.world import ANNA, BANK, BEN, HOLDER, RightsWorld, open_rights


@pytest.fixture
def there(tmp_path: Path, database_url: str) -> Iterator[RightsWorld]:
    with open_rights(tmp_path, database_url=database_url) as world:
        yield world


@on_each_database
def test_two_parallel_requests_for_the_last_free_report_give_one(there: RightsWorld) -> None:
    """Sixteen at once: exactly two reports are given, numbered 1 and 2, the rest is not free."""
    one, _ = there.person(1)

    def take(_: int) -> int:
        try:
            return there.bank.person.take_report(one).number
        except ReportNotFree:
            return 0

    with ThreadPoolExecutor(16) as pool:
        numbers = sorted(pool.map(take, range(16)))
    assert numbers == [0] * 14 + [1, 2]
    assert there.leaves(BANK, one).count("rights.report") == 2


def test_the_third_report_says_that_the_price_is_the_institutions(there: RightsWorld) -> None:
    """Not free, with what to do; the same form again gives the report it gave."""
    one, _ = there.person(1)
    first = there.bank.person.take_report(one, once="a")
    assert there.bank.person.take_report(one, once="a") == first
    there.bank.person.take_report(one, once="b")
    with pytest.raises(ReportNotFree) as refused:
        there.bank.person.take_report(one, once="c")
    assert "price" in refused.value.next_step
    assert there.bank.person.reports(one).free_left == 0


def test_a_new_calendar_year_has_two_free_reports_again(
    there: RightsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The count begins anew with the year."""
    one, _ = there.person(1)
    there.bank.person.take_report(one)
    there.bank.person.take_report(one)
    clock = there.bank.person._clock
    monkeypatch.setattr(there.bank.person, "_clock", lambda: clock() + 366 * DAY_MS)
    assert there.bank.person.take_report(one).number == 1


def test_anothers_request_looks_like_none(there: RightsWorld) -> None:
    """View, statement, withdrawal, review: the same error as for an id that does not exist."""
    one, _ = there.person(1)
    other, _ = there.person(2)
    theirs = there.bank.dispute(one, HOLDER, "paid_ratio_1m", "No.").request_id
    said = []
    for request_id in (theirs, "rgt_" + "a" * 26):
        for act in (
            lambda found: there.bank.person.view(other, found),
            lambda found: there.bank.person.state(other, found, "x"),
            lambda found: there.bank.person.withdraw(other, found),
            lambda found: there.bank.person.object(other, "x", about=found),
        ):
            with pytest.raises(RequestUnknown) as refused:
                act(request_id)
            said.append(refused.value.message)
    assert said[:4] == said[4:]


def test_a_furnishers_case_is_not_its_own_customers_request(there: RightsWorld) -> None:
    """The holder keeps a case of the bank's customer; its own portal does not show it."""
    one, _ = there.person(1)
    there.bank.dispute(one, HOLDER, "paid_ratio_1m", "No.")
    (case,) = there.holder.desk.waiting(ANNA)
    assert there.holder.person.of_person(one) == []
    with pytest.raises(RequestUnknown):
        there.holder.person.view(one, case.request_id)


@on_each_database
def test_one_item_is_disputed_once_at_a_time(there: RightsWorld) -> None:
    """A second dispute is refused while the first is open, and possible after."""
    one, _ = there.person(1)
    first = there.bank.dispute(one, HOLDER, "paid_ratio_1m", "No.")
    with pytest.raises(AlreadyDisputed):
        there.bank.dispute(one, HOLDER, "paid_ratio_1m", "No again.")
    there.bank.person.withdraw(one, first.request_id)
    assert there.bank.person.withdraw(one, first.request_id).state is State.WITHDRAWN
    assert there.bank.dispute(one, HOLDER, "paid_ratio_1m", "No.").request_id != first.request_id


@pytest.mark.parametrize(
    ("source", "signal"),
    [
        (HOLDER, "credit_limit"),  # not of its classes
        (BANK, "paid_ratio_1m"),
        (HOLDER, "no_such_signal"),
        ("nobody", "paid_ratio_1m"),
        ("", ""),
        (HOLDER, "x" * 64),
    ],
)
def test_an_item_that_is_not_theirs_is_not_disputed(
    there: RightsWorld, source: str, signal: str
) -> None:
    """Only what an institution in their consents, or their own, may hold."""
    one, _ = there.person(1)
    with pytest.raises(ItemUnknown):
        there.bank.dispute(one, source, signal, "No.")
    assert there.bank.person.of_person(one) == []


def test_without_a_consent_that_names_the_holder_its_items_are_not_disputed_here(
    there: RightsWorld,
) -> None:
    """Who never consented to the holder has no item of it at this institution."""
    (one,) = there.world.enrol(9)
    with pytest.raises(ItemUnknown):
        there.bank.dispute(one, HOLDER, "paid_ratio_1m", "No.")


def test_a_stranger_has_no_rights_here(there: RightsWorld) -> None:
    """Nobody known by the pseudonym: nothing is opened, counted or frozen."""
    stranger = person(99)
    for act in (
        lambda: there.bank.person.freeze(stranger),
        lambda: there.bank.person.take_report(stranger),
        lambda: there.bank.person.delete(stranger),
        lambda: there.bank.dispute(stranger, BANK, "credit_limit", "No."),
    ):
        with pytest.raises(UnknownSubject):
            act()
    assert there.leaves(BANK, stranger) == []


def test_open_requests_are_bounded(there: RightsWorld) -> None:
    """A person cannot fill the desk."""
    one, _ = there.person(1)
    for number in range(MAX_OPEN):
        asked = there.bank.person.access(one, f"Copy {number}", once=f"k{number}")
        with there.world.node.database.write() as connection:
            from node.storage import rights

            rights.change(connection, asked.request_id, about=f"n{number}")
    with pytest.raises(TooManyRequests):
        there.bank.person.object(one, "Look.")


def test_what_was_refused_left_nothing(there: RightsWorld) -> None:
    """A text that is refused, or a dispute that goes nowhere, changes neither rows nor log."""
    one, _ = there.person(1)
    before = there.world.leaves()
    for text in ("", "x" * 2001, "a\x00b"):
        with pytest.raises(TextRefused):
            there.bank.dispute(one, HOLDER, "paid_ratio_1m", text)
    with pytest.raises(TextRefused):
        there.bank.dispute(one, HOLDER, "paid_ratio_1m", "fine", statement="s" * 201)
    assert there.world.leaves() == before


def test_a_review_is_pending_in_scores_until_it_is_decided(there: RightsWorld) -> None:
    """`review_pending` from the request to the written outcome."""
    one, terms = there.person(1)
    scored = there.world.score(one, terms)
    asked = there.bank.person.object(one, "Look at it.", about=scored.score_id)
    assert there.world.score(one, terms).answer["review_pending"] is True
    there.bank.act(BEN, asked.request_id, Action.TAKE)
    done = there.bank.act(BEN, asked.request_id, Action.CHANGE, "We looked and grant the credit.")
    assert done.state is State.CHANGED
    assert there.world.score(one, terms).answer["review_pending"] is False


@on_each_database
def test_a_change_of_pseudonyms_keeps_every_right(there: RightsWorld) -> None:
    """After a key change the flag, the freeze, the requests and the reports are the person's."""
    one, terms = there.person(1)
    there.bank.dispute(one, BANK, "credit_limit", "No.")
    there.bank.freeze(one)
    there.bank.person.take_report(one)
    becomes = person(77)
    with there.world.node.database.write() as connection:
        pseudonyms.rename(connection, {one: becomes})
    assert there.bank.person.frozen(becomes).since_ms is not None
    assert [asked.kind for asked in there.bank.person.of_person(becomes)] == [Kind.DISPUTE]
    assert there.bank.person.reports(becomes).free_left == 1
    items = {item.signal: item.status for item in there.bank.person.items(becomes)}
    assert items["credit_limit"] == "disputed"
    assert there.bank.person.of_person(one) == []
    assert terms.pseudonym == one


def test_an_ended_request_cannot_be_withdrawn(there: RightsWorld) -> None:
    """What was decided stays decided."""
    one, _ = there.person(1)
    asked = there.bank.person.access(one)
    there.bank.act(ANNA, asked.request_id, Action.FULFIL, "Here it is.")
    with pytest.raises(RightsConflict):
        there.bank.person.withdraw(one, asked.request_id)
