"""The board of a key ceremony: announced, posted to, read, closed round by round, judged.

The coordinator decides nothing about the key: it applies the public rules of `protocols.dkg` to
the entries, as every trustee does, and signs the result that the trustees confirmed.
"""

from collections.abc import Callable, Mapping, Sequence

from audit.database import Connection, Database
from audit.leaf import Entry
from audit.store import AuditLog
from coordinator.ceremonies.lifecycle import FINAL, Event, advance, is_closed
from coordinator.storage import ceremonies as rows
from coordinator.storage import documents
from coordinator.storage.ceremonies import CeremonyRow, EntryRow
from protocols import dkg
from protocols.canonical import sha256
from protocols.ceremony import (
    KEY_KIND,
    PLAN_KIND,
    check_round,
    make_key,
    plan_body,
    read_plan,
    verify_entry,
)
from protocols.directory import Directory
from protocols.dkg_entries import ROUNDS, Ceremony, Round
from protocols.documents import Document, sign_document
from protocols.errors import CredenceError, InvalidInput, NotFound, StateConflict
from protocols.identifiers import new_id
from protocols.keys import SigningKey

ACTOR = "coordinator"
DEFAULT_ROUND_MS = 60_000
MAX_ROUND_MS = 24 * 3_600_000


class CeremonyUnfinished(StateConflict):
    """Another ceremony is under way."""

    code = "ceremony_unfinished"
    next_step = "Wait for its end: `credence ceremony status HOME`."


class RoundClosed(StateConflict):
    """The round takes no entries, or cannot be read yet."""

    code = "ceremony_round_closed"
    next_step = "Ask for the ceremony's state and take part in the round that is open."


class EntryStands(StateConflict):
    """The trustee has posted another entry in this round."""

    code = "ceremony_entry_stands"
    next_step = "An entry is never replaced; go on with the one that stands."


class NotYours(CredenceError):
    """A member posts in another's name."""

    code = "ceremony_entry_not_yours"
    category = "forbidden"
    next_step = "Post your own entries only."


class Board:
    """Ceremonies, each change one transaction with its audit leaf."""

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        directory: Callable[[], Directory],
        key: SigningKey,
    ) -> None:
        self._database = database
        self._audit = audit
        self._directory = directory
        self._key = key

    def announce(
        self,
        threshold: int,
        trustees: Sequence[str],
        now_ms: int,
        *,
        round_ms: int = DEFAULT_ROUND_MS,
    ) -> Ceremony:
        """Announce a ceremony for the next epoch.

        Args:
            threshold: how many trustees an evaluation will need.
            trustees: member ids; none: every active member.
            now_ms: UTC milliseconds.
            round_ms: how long a round stays open for those who are late.

        Raises:
            InvalidInput: the numbers do not fit.
            UnknownMember, MemberNotActive: a trustee is no active member.
            CeremonyUnfinished: there is one under way.
        """
        if not 100 <= round_ms <= MAX_ROUND_MS:
            raise InvalidInput("a round stays open for a tenth of a second to a day")
        directory = self._directory()
        chosen = tuple(trustees) or tuple(m.member_id for m in directory.members if m.active)
        for member_id in chosen:
            directory.active_member(member_id)
        with self._database.write() as connection:
            last = rows.newest(connection)
            if last is not None and last.state not in FINAL:
                raise CeremonyUnfinished(f"ceremony {last.ceremony_id} is {last.state}")
            ceremony = Ceremony(new_id("cer"), _epoch(last), threshold, chosen)
            if last is not None:  # the newest is found by its time
                now_ms = max(now_ms, last.created_at_ms + 1)
            plan = sign_document(PLAN_KIND, plan_body(ceremony), self._key)
            rows.add(connection, CeremonyRow(
                ceremony.ceremony_id, ceremony.epoch, plan.body, plan.signature, plan.key_id,
                "announced", round_ms, 0, "", None, now_ms, None,
            ))  # fmt: skip
            facts = {"epoch": ceremony.epoch, "threshold": threshold, "trustees": list(chosen)}
            self._log(connection, "ceremony.announced", ceremony.ceremony_id, now_ms, facts)
        return ceremony

    def current(self) -> tuple[CeremonyRow, Document | None]:
        """The newest ceremony, and its result when it has one.

        Raises:
            NotFound: none was ever announced.
        """
        with self._database.read() as connection:
            row = rows.newest(connection)
            if row is None:
                raise NotFound("no key ceremony was announced yet")
            result = documents.newest(connection, KEY_KIND) if row.state == "completed" else None
        return row, result

    def post(self, peer: str, ceremony_id: str, entry: EntryRow, now_ms: int) -> None:
        """Take a trustee's entry.

        Checks: 1. it is the caller's own; 2. the ceremony is there; 3. the signature, over this
        ceremony, round, name and body; 4. the same entry stands already: nothing more to do;
        5. the round is open; 6. no other entry stands.

        Raises:
            NotYours: 1.
            NotFound: 2.
            InvalidInput, SignatureInvalid: 3.
            EntryStands: 6.
            RoundClosed: 5.
        """
        round_ = check_round(entry.round)
        if entry.member_id != peer:  # 1
            raise NotYours("a member posts in another's name")
        with self._database.write() as connection:
            row = self._known(connection, ceremony_id)  # 2
            keys = self._directory().active_member(peer).verify_keys(now_ms)
            ceremony = self.ceremony(row)
            verify_entry(ceremony, round_, peer, entry.body, entry.signature, keys)  # 3
            standing = [e for e in rows.entries(connection, ceremony_id, round_)
                        if e.member_id == peer]  # fmt: skip
            if standing and standing[0].body == entry.body:  # 4
                return
            if standing:  # 6
                raise EntryStands("another entry of this trustee stands in this round")
            if row.state != round_ or now_ms >= row.deadline_ms:  # 5
                raise RoundClosed(f"the ceremony is in {row.state}")
            rows.post(connection, ceremony_id, entry, now_ms)

    def read(self, ceremony_id: str, round_name: str) -> list[EntryRow]:
        """The entries of a closed round, in the order of the trustees.

        Raises:
            NotFound: no such ceremony.
            RoundClosed: the round is still open: nobody sees an entry before all are in.
        """
        round_ = check_round(round_name)
        with self._database.read() as connection:
            row = self._known(connection, ceremony_id)
            if not is_closed(row.state, round_):
                raise RoundClosed(f"the entries of {round_} are shown when the round is closed")
            found = rows.entries(connection, ceremony_id, round_)
        order = self.ceremony(row).trustees
        return sorted(found, key=lambda entry: order.index(entry.member_id))

    def turn(self, now_ms: int) -> bool:
        """Close the open round when it is complete or late; whether anything changed."""
        with self._database.read() as connection:
            last = rows.newest(connection)
        if last is None or last.state in FINAL:
            return False
        with self._database.write() as connection:
            row = rows.newest(connection)
            if row is None or row.state in FINAL:
                return False
            if row.state == "announced":
                self._move(connection, row, "close", now_ms, {})
                return True
            ceremony, board, signatures = self._entries(connection, row)
            here = board.get(check_round(row.state), {})
            waited = _expected(ceremony, board, check_round(row.state))
            if now_ms < row.deadline_ms and waited - here.keys():
                return False
            facts = {member: sha256(body).hex() for member, body in here.items()}
            if row.state == "confirmation":
                self._settle(connection, row, ceremony, board, signatures, now_ms)
            elif len(here) < ceremony.threshold and row.state != "answer":
                self._fail(connection, row, now_ms, f"{len(here)} entries in {row.state}",
                           dict.fromkeys(waited - here.keys(), "silent"))  # fmt: skip
            else:
                self._move(connection, row, "close", now_ms, {"entries": facts})
            return True

    def ceremony(self, row: CeremonyRow) -> Ceremony:
        """What the trustees of a stored ceremony agree on."""
        return read_plan(row.document, self._key.verify_key)

    def progress(self, row: CeremonyRow) -> dict[str, list[str]]:
        """Who has posted in each round."""
        with self._database.read() as connection:
            found = rows.entries(connection, row.ceremony_id)
        return {r: [e.member_id for e in found if e.round == r] for r in ROUNDS}

    def _settle(
        self,
        connection: Connection,
        row: CeremonyRow,
        ceremony: Ceremony,
        board: Mapping[Round, Mapping[str, bytes]],
        signatures: Mapping[str, bytes],
        now_ms: int,
    ) -> None:
        try:
            judgement = dkg.judge(ceremony, board)
            dkg.settle(judgement, board)
        except dkg.CeremonyFailed as error:
            self._fail(connection, row, now_ms, error.message, error.blamed)
            return
        except dkg.TranscriptDiverged as error:
            self._fail(connection, row, now_ms, f"{error.code}: {error.message}", {})
            return
        version = documents.newest_version(connection, KEY_KIND) + 1
        made = make_key(version, ceremony, judgement, signatures)
        documents.publish(connection, sign_document(KEY_KIND, made.to_body(), self._key), now_ms)
        detail = _blame(judgement.blamed)
        self._move(connection, row, "complete", now_ms,
                   {"public_key": made.public_key.hex(), "transcript": made.transcript.hex(),
                    "blamed": judgement.blamed},
                   detail=detail, key_version=version, finished_at_ms=now_ms)  # fmt: skip

    def _fail(
        self,
        connection: Connection,
        row: CeremonyRow,
        now_ms: int,
        why: str,
        blamed: Mapping[str, str],
    ) -> None:
        detail = "; ".join(part for part in (why, _blame(blamed)) if part)
        self._move(connection, row, "fail", now_ms, {"why": why, "blamed": dict(blamed)},
                   detail=detail, finished_at_ms=now_ms)  # fmt: skip

    def _move(
        self,
        connection: Connection,
        row: CeremonyRow,
        event: Event,
        now_ms: int,
        facts: dict[str, object],
        **changes: object,
    ) -> None:
        state = advance(row.state, event)
        deadline = 0 if state in FINAL else now_ms + row.round_ms
        rows.move(connection, row.ceremony_id, state=state, deadline_ms=deadline, **changes)
        self._log(connection, f"ceremony.{state}", row.ceremony_id, now_ms, facts)

    def _entries(
        self, connection: Connection, row: CeremonyRow
    ) -> tuple[Ceremony, dict[Round, dict[str, bytes]], dict[str, bytes]]:
        board: dict[Round, dict[str, bytes]] = {}
        signatures = {}
        for entry in rows.entries(connection, row.ceremony_id):
            board.setdefault(check_round(entry.round), {})[entry.member_id] = entry.body
            if entry.round == "confirmation":
                signatures[entry.member_id] = entry.signature
        return self.ceremony(row), board, signatures

    def _known(self, connection: Connection, ceremony_id: str) -> CeremonyRow:
        row = rows.find(connection, ceremony_id)
        if row is None:
            raise NotFound("no key ceremony by that id")
        return row

    def _log(
        self,
        connection: Connection,
        kind: str,
        ceremony_id: str,
        now_ms: int,
        facts: dict[str, object],
    ) -> None:
        self._audit.append(
            connection,
            Entry(kind=kind, actor=ACTOR, purpose="pseudonyms", correlation=ceremony_id,
                  payload=facts, subject=None, at_ms=now_ms),
        )  # fmt: skip


def _expected(
    ceremony: Ceremony, board: Mapping[Round, Mapping[str, bytes]], round_: Round
) -> set[str]:
    """Whom an open round waits for: those who were there in the round before."""
    if round_ == "commitment":
        return set(ceremony.trustees)
    if round_ == "confirmation":
        try:
            return set(dkg.judge(ceremony, board).qualified)
        except dkg.CeremonyFailed:
            return set()
    before = ROUNDS[ROUNDS.index(round_) - 1]
    return set(board.get(before, {}))


def _epoch(last: CeremonyRow | None) -> int:
    if last is None:
        return 1
    return last.epoch + 1 if last.state == "completed" else last.epoch


def _blame(blamed: Mapping[str, str]) -> str:
    return ", ".join(f"{name}: {what}" for name, what in sorted(blamed.items()))
