"""What other members say about people's rights, verified, stored, and only then acknowledged.

A notice is taken when

  1. the mutual-TLS peer is an active member, is its sender, and signed it; it is for this node;
  2. its id is new; the same bytes again are acknowledged again, other bytes refused;
  3. the consents it names are kept here and are of one person;
  4. the sender may say it: a consent node about its own customers, a furnisher about a dispute that
     this node sent it;
  5. the item is one that its furnisher holds, and the same is not disputed already;
  6. it is not older than what was heard since (freezes), and the table allows it (replies).

2 to 6 and the act with its audit leaf and marks are one transaction. A refusal is a stable code in
the signed acknowledgement. A peer can open no more than one dispute for each item of each person
whose consents it keeps.
"""

import hmac
from collections.abc import Callable

import structlog

from audit.database import Connection, Database
from consent.right_notices import (
    Acknowledgement,
    Finding,
    Notice,
    Topic,
    acknowledge,
    verify_notice,
)
from consent.rights import DEADLINES, Event, Freeze, Kind
from node.rights.casework import Casework
from node.rights.errors import (
    AlreadyDisputed,
    ConsentNotHere,
    ItemUnknown,
    NoticeReused,
    NotTheirs,
    RequestUnknown,
    WordOutdated,
)
from node.storage import consent_lists, consents, freezing, marks, rights, rights_outbox, signals
from node.storage.freezing import FreezeWord
from node.storage.marks import Mark, MarkKind
from node.storage.rights import Request
from protocols.canonical import sha256
from protocols.directory import Directory
from protocols.errors import CredenceError
from protocols.keys import SigningKey

log = structlog.get_logger("node.rights")

_EVENT_OF = {
    Finding.ANSWERED: Event.ANSWER,
    Finding.CORRECTED: Event.HEAR_CORRECTED,
    Finding.REJECTED: Event.REJECT,
}
_STAYS = frozenset({Finding.ANSWERED, Finding.REJECTED})


class RightsInbox:
    """Takes notices; thread-safe."""

    def __init__(
        self,
        *,
        database: Database,
        casework: Casework,
        member_id: str,
        signing_key: Callable[[], SigningKey],
        directory: Callable[[], Directory],
        furnishes: Callable[[str, str], bool],
        clock: Callable[[], int],
    ) -> None:
        """Wire the parts.

        Args:
            database: the node's.
            casework: writes requests.
            member_id: this node.
            signing_key: signs acknowledgements.
            directory: gives the member directory in force.
            furnishes: whether (member id, signal) is an item that the member holds.
            clock: UTC milliseconds now.
        """
        self._database = database
        self._casework = casework
        self._member_id = member_id
        self._key = signing_key
        self._directory = directory
        self._furnishes = furnishes
        self._clock = clock

    def receive(self, peer: str, body: bytes, signature: bytes) -> Acknowledgement:
        """Take one notice of the mutual-TLS peer `peer`.

        Raises:
            Malformed, SignatureInvalid, UnknownMember, MemberNotActive, NotTheirs: check 1.
            DatabaseUnavailable: nothing was stored, and nothing is acknowledged.
        """
        now_ms = self._clock()
        sender = self._directory().active_member(peer)
        notice = verify_notice(body, signature, sender, now_ms)  # 1
        if (notice.sender, notice.receiver) != (peer, self._member_id):  # 1
            raise NotTheirs("the notice is of another sender, or for another member")
        refusal, at_ms = "", now_ms
        try:
            with self._database.write() as connection:
                at_ms = self._take(connection, notice, body, now_ms)
        except CredenceError as error:
            if error.retryable:
                raise
            refusal = error.code
        log.info("rights.heard", peer=peer, topic=notice.topic.value, refusal=refusal)
        return acknowledge(body, refusal, at_ms, self._key())

    def _take(self, connection: Connection, notice: Notice, body: bytes, now_ms: int) -> int:
        earlier = rights_outbox.heard(connection, notice.sender, notice.message_id)
        if earlier is not None:  # 2
            if not hmac.compare_digest(earlier[0], sha256(body)):
                raise NoticeReused("this id was used for another notice")
            return earlier[1]
        controller = self._member_id if notice.topic is Topic.REPLY else notice.sender
        person = self._person(connection, notice, controller)  # 3, 4
        take = {
            Topic.DISPUTE: self._dispute,
            Topic.STATEMENT: self._statement,
            Topic.CLOSED: self._closed,
            Topic.REPLY: self._reply,
            Topic.FREEZE: self._freeze,
            Topic.UNFREEZE: self._freeze,
        }[notice.topic]
        take(connection, person, notice, now_ms)
        rights_outbox.remember(connection, notice, body, now_ms)
        return now_ms

    def _person(self, connection: Connection, notice: Notice, controller: str) -> bytes:
        known = consents.terms_by_hash(connection, notice.consents).values()
        people = {one.pseudonym for one in known}
        if not people:  # 3
            raise ConsentNotHere("none of the consents is kept here")
        if len(people) != 1:  # 3
            raise NotTheirs("the consents are not of one person")
        if any(one.controller != controller for one in known):  # 4
            raise NotTheirs("the consents are of another consent node")
        parties = [one.holders | one.recipients for one in known]
        other = notice.sender if notice.topic is Topic.REPLY else self._member_id
        if not any(other in one for one in parties):  # 4
            raise NotTheirs("the consents do not name who speaks")
        return people.pop()

    def _dispute(self, connection: Connection, person: bytes, notice: Notice, now_ms: int) -> None:
        if not self._furnishes(notice.furnisher, notice.signal):  # 5
            raise ItemUnknown("the furnisher holds no such item")
        cause = f"{notice.sender}:{notice.request_id}"
        if notice.furnisher != self._member_id:
            # A recipient only flags what it received.
            if notice.furnisher == notice.sender or self._holds(connection, person, notice):
                self._mark(connection, person, MarkKind.DISPUTED, notice, cause, now_ms)
                self._log(connection, person, notice, now_ms)
                return
            raise NotTheirs("the consents do not name the furnisher")  # 4
        for one in rights.of_person(connection, person, notice.sender):
            if one.ended_at_ms is None and one.signal == notice.signal:  # 5
                raise AlreadyDisputed("this item is disputed already")
        draft = self._casework.draft(
            Kind.DISPUTE,
            person,
            now_ms,
            origin=notice.sender,
            origin_request=notice.request_id,
            source=self._member_id,
            signal=notice.signal,
            text=notice.text,
            statement=notice.statement,
            # The person's days do not begin anew because an institution passed the matter on.
            due_at_ms=min(notice.due_at_ms, DEADLINES[Kind.DISPUTE].due_at_ms(now_ms)),
        )
        opened = self._casework.open(connection, draft, notice.sender)
        self._casework.step(connection, opened, Event.SEND, notice.sender, now_ms)

    def _statement(
        self, connection: Connection, person: bytes, notice: Notice, now_ms: int
    ) -> None:
        request = self._case(connection, person, notice)
        if request is not None:
            self._casework.restate(connection, request, notice.statement, notice.sender, now_ms)
            return
        cause = f"{notice.sender}:{notice.request_id}"
        marks.restate(connection, person, cause, notice.statement)
        self._log(connection, person, notice, now_ms)

    def _closed(self, connection: Connection, person: bytes, notice: Notice, now_ms: int) -> None:
        request = self._case(connection, person, notice)
        if request is not None:
            if request.ended_at_ms is None:
                event = Event.CLOSE if request.finding else Event.WITHDRAW
                self._casework.step(connection, request, event, notice.sender, now_ms)
            return
        cause = f"{notice.sender}:{notice.request_id}"
        marks.remove(connection, person, MarkKind.DISPUTED, cause)
        if notice.statement and notice.finding in _STAYS:
            self._mark(connection, person, MarkKind.STATED, notice, cause, now_ms)
        # What was received before may be wrong: it is asked for anew.
        signals.delete_fetched(connection, person, notice.furnisher)
        self._log(connection, person, notice, now_ms)

    def _reply(self, connection: Connection, person: bytes, notice: Notice, now_ms: int) -> None:
        request = rights.of_origin(connection, self._member_id, notice.request_id)
        if request is None or request.pseudonym != person:
            raise RequestUnknown("no such dispute")
        if (request.source, request.signal) != (notice.sender, notice.signal):  # 4
            raise NotTheirs("another member furnished this item")
        event = _EVENT_OF[Finding(notice.finding)]
        self._casework.step(  # 6
            connection,
            request,
            event,
            notice.sender,
            now_ms,
            finding=notice.finding,
            outcome=notice.text,
            decided_by=notice.sender,
        )
        if event is Event.HEAR_CORRECTED:
            signals.delete_fetched(connection, person, notice.sender)

    def _freeze(self, connection: Connection, person: bytes, notice: Notice, now_ms: int) -> None:
        state = Freeze.FROZEN if notice.topic is Topic.FREEZE else Freeze.OPEN
        for word in freezing.words(connection, person):
            if word.controller != notice.sender:
                continue
            if (word.state, word.at_ms) == (state, notice.at_ms):
                return  # told to us once for each consent
            if word.at_ms >= notice.at_ms:  # 6
                raise WordOutdated("a newer word is in effect")
        seq = self._log(connection, person, notice, now_ms)
        word = FreezeWord(notice.sender, state, notice.at_ms)
        freezing.put_word(connection, person, word, seq)
        freezing.set_frozen(connection, person, word)

    def _case(self, connection: Connection, person: bytes, notice: Notice) -> Request | None:
        request = rights.of_origin(connection, notice.sender, notice.request_id)
        if request is not None and request.pseudonym != person:
            raise NotTheirs("the dispute is of another person")
        return request

    def _holds(self, connection: Connection, person: bytes, notice: Notice) -> bool:
        kept = consent_lists.kept_by(connection, person, notice.sender)
        return any(notice.furnisher in one.holders for one in kept)

    def _mark(
        self,
        connection: Connection,
        person: bytes,
        kind: MarkKind,
        notice: Notice,
        cause: str,
        now_ms: int,
    ) -> None:
        mark = Mark(kind, notice.furnisher, notice.signal, cause, now_ms, notice.statement)
        marks.put(connection, person, mark)

    def _log(self, connection: Connection, person: bytes, notice: Notice, now_ms: int) -> int:
        return self._casework.note(
            connection,
            person,
            f"rights.heard.{notice.topic.value}",
            notice.sender,
            now_ms,
            request_id=notice.request_id,
            furnisher=notice.furnisher,
            signal=notice.signal,
            statement=notice.statement,
        )
