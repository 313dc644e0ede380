"""What a person does about their data, at their own institution.

Every act, in this order; the first check that fails is the answer, and nothing has changed:

  1. the person is known here;
  2. the same form sent again is the same act (its `once` key), and makes nothing new;
  3. what they wrote is text, within its length (`consent.rights.clean_text`);
  4. they have not more than `MAX_OPEN` requests open;
  5. the item, score or request it is about is theirs;
  6. the table allows it.

1 to 6 and the act with its audit leaf, its marks and the notices to other members are one
transaction. A request of somebody else is answered as one that does not exist.
"""

from collections.abc import Callable
from typing import Any

from audit.database import Connection, Database
from consent.right_notices import Topic
from consent.rights import (
    FREE_REPORTS_A_YEAR,
    FREEZE_TRANSITIONS,
    MAX_STATEMENT,
    MAX_TEXT,
    Event,
    Freeze,
    FreezeEvent,
    Kind,
    State,
    clean_text,
    is_free,
    report_year,
)
from node.rights.casework import SUBJECT, Casework
from node.rights.errors import (
    AlreadyDisputed,
    ItemUnknown,
    NoPath,
    ReportNotFree,
    RequestUnknown,
    TooManyRequests,
)
from node.rights.items import Item, Items
from node.rights.mail import Mail
from node.rights.views import FreezeView, Reports, RequestView
from node.storage import credit_reports, freezing, rights, rights_outbox, scores, subjects
from node.storage.credit_reports import Report
from node.storage.freezing import FreezeWord
from node.storage.rights import Request
from node.storage.subjects import UnknownSubject
from protocols.errors import InvalidInput

MAX_OPEN = 30
MAX_ONCE = 64


class PersonRights:
    """The rights of one person at a time; thread-safe."""

    def __init__(
        self,
        *,
        database: Database,
        casework: Casework,
        mail: Mail,
        items: Items,
        member_id: str,
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._casework = casework
        self._mail = mail
        self._items = items
        self._member_id = member_id
        self._clock = clock

    # -- disputes

    def dispute(
        self,
        pseudonym: bytes,
        source: str,
        signal: str,
        text: str,
        *,
        statement: str = "",
        once: str | None = None,
    ) -> Request:
        """Dispute an item; flagged in every answer from now on.

        Raises:
            TextRefused, ItemUnknown, AlreadyDisputed, TooManyRequests, NoPath, UnknownSubject.
        """
        said = clean_text(text)  # 3
        beside = clean_text(statement, MAX_STATEMENT, least=0)  # 3
        now_ms = self._clock()
        with self._database.write() as connection:
            repeated = self._enter(connection, pseudonym, once)  # 1, 2, 4
            if repeated is not None:
                return repeated
            if not self._items.known(connection, pseudonym, source, signal):  # 5
                raise ItemUnknown("no such item of this person")
            for one in rights.of_person(connection, pseudonym, self._member_id):
                same = (one.kind, one.source, one.signal) == (Kind.DISPUTE, source, signal)
                if same and one.ended_at_ms is None:  # 6
                    raise AlreadyDisputed("this item is disputed already")
            draft = self._casework.draft(
                Kind.DISPUTE,
                pseudonym,
                now_ms,
                source=source,
                signal=signal,
                text=said,
                statement=beside,
                once=once,
            )
            opened = self._casework.open(connection, draft, SUBJECT)
            told = self._mail.about_item(connection, opened, Topic.DISPUTE, now_ms)
            if source != self._member_id and source not in told:
                raise NoPath("no consent of this person names the institution that holds the item")
            return self._casework.step(connection, opened, Event.SEND, self._member_id, now_ms)

    def state(self, pseudonym: bytes, request_id: str, statement: str) -> Request:
        """Change what the person states beside a disputed item; empty takes it back.

        Raises:
            TextRefused, RequestUnknown.
        """
        beside = clean_text(statement, MAX_STATEMENT, least=0)  # 3
        now_ms = self._clock()
        with self._database.write() as connection:
            request = self._theirs(connection, pseudonym, request_id)  # 5
            if request.kind is not Kind.DISPUTE or request.state is State.WITHDRAWN:
                raise RequestUnknown("no such dispute of this person")
            if request.statement == beside:  # 2
                return request
            after = self._casework.restate(connection, request, beside, SUBJECT, now_ms)
            self._mail.about_item(connection, after, Topic.STATEMENT, now_ms)
            return after

    def withdraw(self, pseudonym: bytes, request_id: str) -> Request:
        """Take a request back; doing it twice is no error.

        Raises:
            RequestUnknown, RightsConflict: it has ended otherwise.
        """
        now_ms = self._clock()
        with self._database.write() as connection:
            request = self._theirs(connection, pseudonym, request_id)  # 5
            if request.state is State.WITHDRAWN:  # 2
                return request
            after = self._casework.step(connection, request, Event.WITHDRAW, SUBJECT, now_ms)  # 6
            if request.kind is Kind.DISPUTE:
                self._mail.about_item(connection, after, Topic.CLOSED, now_ms)
            return after

    # -- freeze

    def freeze(self, pseudonym: bytes) -> FreezeView:
        """Let nothing be released or scored, in effect here at once; holders are told."""
        return self._turn(pseudonym, FreezeEvent.FREEZE)

    def unfreeze(self, pseudonym: bytes) -> FreezeView:
        """Lift the person's own freeze."""
        return self._turn(pseudonym, FreezeEvent.UNFREEZE)

    def frozen(self, pseudonym: bytes) -> FreezeView:
        """Whether the person is frozen, and who knows."""
        with self._database.read() as connection:
            return self._freeze_view(connection, pseudonym)

    def _turn(self, pseudonym: bytes, event: FreezeEvent) -> FreezeView:
        now_ms = self._clock()
        with self._database.write() as connection:
            self._known(connection, pseudonym)  # 1
            word = self._word(connection, pseudonym)
            state = FREEZE_TRANSITIONS[word.state, event]  # 6
            if state is not word.state:  # 2
                at_ms = max(now_ms, word.at_ms + 1)  # a later word states a later time
                seq = self._casework.note(
                    connection, pseudonym, f"rights.{event.value}", SUBJECT, now_ms
                )
                new = FreezeWord(self._member_id, state, at_ms)
                freezing.put_word(connection, pseudonym, new, seq)
                freezing.set_frozen(connection, pseudonym, new)
                links = self._mail.holders(connection, pseudonym)
                self._mail.about_freeze(connection, pseudonym, state, at_ms, links)
            return self._freeze_view(connection, pseudonym)

    def _word(self, connection: Connection, pseudonym: bytes) -> FreezeWord:
        for word in freezing.words(connection, pseudonym):
            if word.controller == self._member_id:
                return word
        return FreezeWord(self._member_id, Freeze.OPEN, 0)

    def _freeze_view(self, connection: Connection, pseudonym: bytes) -> FreezeView:
        word = self._word(connection, pseudonym)
        told = [
            one
            for one in rights_outbox.told(connection, pseudonym, "")
            if one.topic in {Topic.FREEZE, Topic.UNFREEZE}
        ]
        newest = {one.member_id: one for one in told}  # answers come first, what waits last
        since_ms = word.at_ms if word.state is Freeze.FROZEN else None
        return FreezeView(word.state, since_ms, tuple(newest.values()))

    # -- correction, deletion, review, access

    def correct(
        self, pseudonym: bytes, signal: str, text: str, *, once: str | None = None
    ) -> Request:
        """Ask to correct a record of this very institution (PIPL 46)."""
        said = clean_text(text)  # 3
        with self._database.write() as connection:
            repeated = self._enter(connection, pseudonym, once)
            if repeated is not None:
                return repeated
            if not self._items.known(connection, pseudonym, self._member_id, signal):  # 5
                raise ItemUnknown("this institution holds no such item")
            given = {"source": self._member_id, "signal": signal, "text": said, "once": once}
            return self._open(connection, Kind.CORRECTION, pseudonym, given)

    def delete(self, pseudonym: bytes, text: str = "", *, once: str | None = None) -> Request:
        """Ask to delete what this institution keeps (PIPL 47)."""
        return self._ask(Kind.DELETION, pseudonym, text, least=0, once=once)

    def access(self, pseudonym: bytes, text: str = "", *, once: str | None = None) -> Request:
        """Ask for what this institution keeps, as a copy (PIPL 45)."""
        return self._ask(Kind.ACCESS, pseudonym, text, least=0, once=once)

    def object(
        self, pseudonym: bytes, text: str, *, about: str = "", once: str | None = None
    ) -> Request:
        """Object to a decision made by machine and ask for a human to look (PIPL 24).

        Args:
            pseudonym: the person.
            text: why.
            about: id of a score, or of a request whose outcome is to be looked at; empty: all.
            once: key of the form.
        """
        return self._ask(Kind.REVIEW, pseudonym, text, least=1, once=once, about=about)

    def _ask(
        self,
        kind: Kind,
        pseudonym: bytes,
        text: str,
        *,
        least: int,
        once: str | None,
        about: str = "",
    ) -> Request:
        said = clean_text(text, MAX_TEXT, least=least)  # 3
        with self._database.write() as connection:
            repeated = self._enter(connection, pseudonym, once)
            if repeated is not None:
                return repeated
            if about:
                self._check_about(connection, pseudonym, about)  # 5
            return self._open(
                connection, kind, pseudonym, {"text": said, "about": about, "once": once}
            )

    def _check_about(self, connection: Connection, pseudonym: bytes, about: str) -> None:
        score = scores.find(connection, about)
        person = subjects.find(connection, pseudonym)
        if score is not None and person is not None and score.subject_ref == person.subject_ref:
            return
        self._theirs(connection, pseudonym, about)

    def _open(
        self, connection: Connection, kind: Kind, pseudonym: bytes, given: dict[str, Any]
    ) -> Request:
        now_ms = self._clock()
        same = (given.get("source", ""), given.get("signal", ""), given.get("about", ""))
        for one in rights.of_person(connection, pseudonym, self._member_id):
            asked = (one.source, one.signal, one.about)
            if one.ended_at_ms is None and one.kind is kind and asked == same:  # 6
                raise AlreadyDisputed("the same is asked for already")
        draft = self._casework.draft(kind, pseudonym, now_ms, **given)
        return self._casework.open(connection, draft, SUBJECT)

    # -- reports

    def take_report(self, pseudonym: bytes, *, once: str | None = None) -> Report:
        """Count a report; two of a calendar year are free (CRIR 17).

        Raises:
            ReportNotFree: both were given.
        """
        _check_once(once)
        now_ms = self._clock()
        with self._database.write() as connection:
            self._known(connection, pseudonym)  # 1
            if once is not None:
                repeated = credit_reports.once(connection, pseudonym, once)
                if repeated is not None:  # 2
                    return repeated
            year = report_year(now_ms)
            given = [
                one for one in credit_reports.of_person(connection, pseudonym) if one.year == year
            ]
            number = len(given) + 1
            if not is_free(number):  # 6
                raise ReportNotFree("the free reports of this calendar year were given")
            seq = self._casework.note(
                connection, pseudonym, "rights.report", SUBJECT, now_ms, year=year, number=number
            )
            report = Report(year, number, now_ms, seq)
            credit_reports.add(connection, pseudonym, report, once)
            return report

    def reports(self, pseudonym: bytes) -> Reports:
        """Reports given this calendar year, and how many are still free."""
        year = report_year(self._clock())
        with self._database.read() as connection:
            every = credit_reports.of_person(connection, pseudonym)
        given = tuple(one for one in every if one.year == year)
        return Reports(year, given, max(0, FREE_REPORTS_A_YEAR - len(given)))

    # -- to look at

    def items(self, pseudonym: bytes) -> list[Item]:
        """What is known about the person, item by item, flagged where it is disputed."""
        with self._database.read() as connection:
            return self._items.of_person(connection, pseudonym, self._clock())

    def of_person(self, pseudonym: bytes) -> list[Request]:
        """All requests of the person, the newest first."""
        with self._database.read() as connection:
            return rights.of_person(connection, pseudonym, self._member_id)

    def view(self, pseudonym: bytes, request_id: str) -> RequestView:
        """One request of the person.

        Raises:
            RequestUnknown: there is none, or it is not theirs.
        """
        with self._database.read() as connection:
            request = self._theirs(connection, pseudonym, request_id)
            return RequestView(
                request,
                tuple(rights.events(connection, request_id)),
                tuple(rights_outbox.told(connection, pseudonym, request_id)),
            )

    # -- checks

    def _enter(self, connection: Connection, pseudonym: bytes, once: str | None) -> Request | None:
        _check_once(once)
        self._known(connection, pseudonym)  # 1
        if once is not None:
            repeated = rights.once(connection, pseudonym, once)
            if repeated is not None:  # 2
                return repeated
        if rights.count_open(connection, pseudonym) >= MAX_OPEN:  # 4
            raise TooManyRequests(f"at most {MAX_OPEN} requests are open at a time")
        return None

    def _known(self, connection: Connection, pseudonym: bytes) -> None:
        if not rights.lock_person(connection, pseudonym):
            raise UnknownSubject("no such subject at this node")

    def _theirs(self, connection: Connection, pseudonym: bytes, request_id: str) -> Request:
        request = rights.find(connection, request_id)
        if request is None or request.pseudonym != pseudonym or request.origin != self._member_id:
            raise RequestUnknown("no such request of this person")
        return request


def _check_once(once: str | None) -> None:
    if once is not None and not (1 <= len(once) <= MAX_ONCE and once.isascii()):
        raise InvalidInput("the form's key is not one of ours")
