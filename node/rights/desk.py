"""The institution's desk: staff look at what people ask for, answer, and decide.

A member of staff may take a step when

  1. the request is here;
  2. they have a role that the step needs;
  3. the table of the request's kind knows it (`consent.rights`);
  4. where it touches data, another member of staff proposed it (four eyes); a review is decided by
     who took it, and taken by nobody who acted on what is reviewed;
  5. what goes to the person is in writing, within its length.

1 to 5, the act, its audit leaf and the notices to other members are one transaction. Whoever looks
at a person leaves a leaf too (Credit Reporting Industry Regulation, article 22).
"""

import json
from collections.abc import Callable, Mapping

from audit.database import Connection, Database
from consent.right_notices import Finding, Topic
from consent.rights import (
    MAX_TEXT,
    TRANSITIONS,
    Event,
    Kind,
    RightsConflict,
    State,
    clean_text,
    is_four_eyes,
)
from node.rights.casework import Casework
from node.rights.corrections import correct
from node.rights.deletion import Deletion
from node.rights.errors import FourEyes, RequestUnknown, StaffRoleMissing
from node.rights.items import Items
from node.rights.mail import Mail
from node.rights.steps import EITHER, STEPS, WRITTEN, Action, Clerk, require
from node.rights.views import CaseView, PersonFile
from node.storage import corrections, rights, rights_outbox, subjects
from node.storage.corrections import Correction
from node.storage.rights import Request
from protocols.errors import InvalidInput

MAX_REASON = 200
_FOUND = frozenset({State.ANSWERED, State.CORRECTED, State.REJECTED})


class RightsDesk:
    """What staff do; thread-safe."""

    def __init__(
        self,
        *,
        database: Database,
        casework: Casework,
        mail: Mail,
        items: Items,
        deletion: Deletion,
        member_id: str,
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._casework = casework
        self._mail = mail
        self._items = items
        self._deletion = deletion
        self._member_id = member_id
        self._clock = clock

    # -- looking

    def waiting(self, clerk: Clerk, *kinds: Kind) -> list[Request]:
        """What waits, by deadline; it names nobody.

        Raises:
            StaffRoleMissing: check 2.
        """
        require(clerk, EITHER)
        with self._database.read() as connection:
            return rights.open_requests(connection, kinds or tuple(Kind))

    def ended(self, clerk: Clerk) -> list[Request]:
        """What was ended, the newest first; it names nobody."""
        require(clerk, EITHER)
        with self._database.read() as connection:
            return rights.ended_requests(connection)

    def stated(self, clerk: Clerk) -> list[Request]:
        """Disputes with a statement of the person, the newest first; it names nobody."""
        require(clerk, EITHER)
        with self._database.read() as connection:
            return rights.stated_requests(connection)

    def counts(self, clerk: Clerk) -> dict[Kind, tuple[int, int]]:
        """Waiting and overdue, by kind."""
        require(clerk, EITHER)
        with self._database.read() as connection:
            return rights.counts(connection, self._clock())

    def view(self, clerk: Clerk, request_id: str) -> CaseView:
        """One request with its person; logged as a query of that person.

        Raises:
            StaffRoleMissing, RequestUnknown.
        """
        require(clerk, EITHER)  # 2
        now_ms = self._clock()
        with self._database.write() as connection:
            request = self._find(connection, request_id)  # 1
            self._query(connection, clerk, request.pseudonym, "request", request_id, now_ms)
            deletes = request.kind is Kind.DELETION and request.ended_at_ms is None
            return CaseView(
                request=request,
                person=subjects.find(connection, request.pseudonym),
                happened=tuple(rights.events(connection, request_id)),
                told=tuple(rights_outbox.told(connection, request.pseudonym, request_id)),
                proposal=json.loads(request.proposal) if request.proposal else {},
                actions=self._actions(connection, clerk, request),
                plan=self._deletion.plan(connection, request.pseudonym, now_ms)
                if deletes
                else None,
            )

    def look_up(self, clerk: Clerk, subject_ref: str, reason: str) -> PersonFile:
        """A person's file; logged with the reason.

        Raises:
            StaffRoleMissing, TextRefused, UnknownSubject.
        """
        require(clerk, EITHER)  # 2
        why = clean_text(reason, MAX_REASON)  # 5
        now_ms = self._clock()
        with self._database.write() as connection:
            person = subjects.by_ref(connection, subject_ref)
            self._query(connection, clerk, person.pseudonym, "file", why, now_ms)
            return PersonFile(
                person,
                tuple(self._items.of_person(connection, person.pseudonym, now_ms)),
                tuple(rights.of_person(connection, person.pseudonym, self._member_id)),
            )

    def _query(
        self,
        connection: Connection,
        clerk: Clerk,
        pseudonym: bytes,
        what: str,
        why: str,
        now_ms: int,
    ) -> None:
        self._casework.note(
            connection, pseudonym, "staff.query", clerk.staff_id, now_ms, what=what, reason=why
        )

    # -- acting

    def act(
        self,
        clerk: Clerk,
        request_id: str,
        action: Action,
        text: str = "",
        value: float | None = None,
    ) -> Request:
        """Take a step.

        Args:
            clerk: who.
            request_id: of what.
            action: which.
            text: what the person is told in writing.
            value: of a proposed correction: the right one; None: there is nothing on record.

        Raises:
            RequestUnknown: 1. StaffRoleMissing: 2. RightsConflict: 3. FourEyes: 4.
            TextRefused: 5. ConsentsStillLive, ItemUnknown: it cannot be carried out.
        """
        require(clerk, EITHER)  # 2
        action, now_ms = Action(action), self._clock()
        said = clean_text(text, MAX_TEXT, least=int(action in WRITTEN))  # 5
        with self._database.write() as connection:
            request = self._find(connection, request_id)  # 1
            event = self._may(connection, clerk, request, action)  # 2, 4
            if action is Action.APPROVE:
                return self._approve(connection, clerk, request, event, now_ms)
            changes = _changes(clerk, request, action, said, value)
            after = self._step(connection, clerk, request, event, now_ms, changes)  # 3
            return self._follow_up(connection, clerk, after, now_ms)

    def _may(self, connection: Connection, clerk: Clerk, request: Request, action: Action) -> Event:
        step = STEPS.get((request.kind, action))
        if step is None:
            raise InvalidInput(f"a {request.kind} does not know {action}")
        event, roles = step
        require(clerk, roles)  # 2
        if not self._is_ours(request, action):  # 3
            raise RightsConflict("who furnished the item finds, the consent node closes")
        # 4
        if is_four_eyes(request.kind, event) and request.proposed_by == clerk.staff_id:
            raise FourEyes("who proposed it cannot agree to it")
        if action is Action.TAKE and clerk.staff_id in self._acted(connection, request):
            raise FourEyes("who decided it cannot review it")
        deciding = action in {Action.UPHOLD, Action.CHANGE}
        if deciding and request.state is State.IN_REVIEW and request.taken_by != clerk.staff_id:
            raise FourEyes("who took the review decides it")
        return event

    def _acted(self, connection: Connection, request: Request) -> frozenset[str]:
        """Who acted on what a review is about: of a score nobody did, a machine decided."""
        reviewed = rights.find(connection, request.about) if request.about else None
        if reviewed is None:
            return frozenset()
        happened = rights.events(connection, reviewed.request_id)
        acted = {one.actor for one in happened}
        return frozenset(acted | {reviewed.proposed_by, reviewed.decided_by, reviewed.taken_by}) - {
            ""
        }

    def _step(
        self,
        connection: Connection,
        clerk: Clerk,
        request: Request,
        event: Event,
        now_ms: int,
        changes: Mapping[str, str],
    ) -> Request:
        return self._casework.step(
            connection, request, event, clerk.staff_id, now_ms, **dict(changes)
        )

    def _approve(
        self, connection: Connection, clerk: Clerk, request: Request, event: Event, now_ms: int
    ) -> Request:
        proposal = json.loads(request.proposal) if request.proposal else {}
        changes = {
            "decided_by": clerk.staff_id,
            "proposal": "",
            "outcome": str(proposal.get("text", "")),
        }
        if request.kind is Kind.DELETION:
            if request.state is not State.PROPOSED:
                return self._step(connection, clerk, request, event, now_ms, changes)  # 3 refuses
            plan = self._deletion.perform(
                connection, request.pseudonym, request.cause, clerk.staff_id, now_ms
            )
            if plan.kept:
                event = Event.APPROVE_RESTRICTION
            else:
                changes["outcome"] = ""
            return self._step(connection, clerk, request, event, now_ms, changes)
        changes["finding"] = Finding.CORRECTED.value
        after = self._step(connection, clerk, request, event, now_ms, changes)  # 3
        self._correct(connection, after, proposal.get("value"), clerk, now_ms)
        return self._follow_up(connection, clerk, after, now_ms)

    def _correct(
        self,
        connection: Connection,
        request: Request,
        value: float | None,
        clerk: Clerk,
        now_ms: int,
    ) -> None:
        made = correct(
            connection, self._member_id, request.pseudonym, request.signal, value, now_ms
        )
        seq = self._casework.note(
            connection,
            request.pseudonym,
            "rights.corrected",
            clerk.staff_id,
            now_ms,
            request_id=request.origin_request,
            signal=request.signal,
            **made.to_json(),
        )
        one = Correction(
            request.signal, made.as_of_ms, made.old, made.new, request.request_id, now_ms, seq
        )
        corrections.add(connection, request.pseudonym, one)

    def _follow_up(
        self, connection: Connection, clerk: Clerk, request: Request, now_ms: int
    ) -> Request:
        """What a finding leads to: the reply to the consent node, or the end of an own dispute."""
        if request.kind is not Kind.DISPUTE:
            return request
        own, ours = request.origin == self._member_id, request.source == self._member_id
        if request.state in _FOUND and ours:
            if not own:
                self._mail.reply(connection, request, now_ms)
                return request
            # The person has the outcome in writing in the same act.
            request = self._step(connection, clerk, request, Event.CLOSE, now_ms, {})
        if request.state is State.CLOSED and own:
            self._mail.about_item(connection, request, Topic.CLOSED, now_ms)
        return request

    def _actions(
        self, connection: Connection, clerk: Clerk, request: Request
    ) -> tuple[Action, ...]:
        found = []
        table = TRANSITIONS[request.kind]
        for (kind, action), (event, _) in STEPS.items():
            if kind is not request.kind or (request.state, event) not in table:
                continue
            try:
                self._may(connection, clerk, request, action)
            except (StaffRoleMissing, FourEyes, RightsConflict):
                continue
            found.append(action)
        return tuple(found)

    def _is_ours(self, request: Request, action: Action) -> bool:
        """Findings are the furnisher's, the end is the consent node's."""
        if request.kind is not Kind.DISPUTE:
            return True
        if action is Action.CLOSE:
            return request.origin == self._member_id
        return request.source == self._member_id

    def _find(self, connection: Connection, request_id: str) -> Request:
        request = rights.find(connection, request_id)
        if request is None:
            raise RequestUnknown("no such request at this desk")
        return request


def _changes(
    clerk: Clerk, request: Request, action: Action, text: str, value: float | None
) -> dict[str, str]:
    if action is Action.PROPOSE:
        proposal: dict[str, object] = {"text": text}
        if request.kind is not Kind.DELETION:
            proposal["value"] = value
        return {
            "proposal": json.dumps(proposal, ensure_ascii=False),
            "proposed_by": clerk.staff_id,
        }
    if action is Action.RETURN:
        return {"proposal": "", "proposed_by": "", "taken_by": ""}
    if action is Action.TAKE:
        return {"taken_by": clerk.staff_id}
    changes = {"outcome": text, "decided_by": clerk.staff_id}
    if request.kind is Kind.DISPUTE and action in {Action.ANSWER, Action.REJECT}:
        finding = Finding.ANSWERED if action is Action.ANSWER else Finding.REJECTED
        changes["finding"] = finding.value
    return changes
