"""Online reconciliation: each of two members asks for the other's statement, and compares.

A member states its exchanges with the caller and with nobody else, whoever asks; so a statement is
only ever between the two parties of what it is about. Limits: a period of `MAX_PERIOD_MS`, at most
`MAX_ENTRIES` entries, one statement at a time. Who was given one stands in the log, as does what
came of a comparison.

What is checked of the answer, before the comparison of `audit.verifier.reconcile`:

1. it is signed by a key that the member directory names for the member, as is its checkpoint;
   whether that is witnessed (both sides' are looked at) is part of the verdict: `unwitnessed`;
2. it is about exactly the members and the period that were asked for: a shorter one would hide;
3. it was taken now: one that claims to be older would excuse what is missing as not there yet.
"""

import json
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from audit.leaf import Entry
from audit.proofs import LogReader
from audit.verifier.commands import Verdict, verify_reconciliation
from audit.verifier.note import NoteKey
from audit.verifier.policy import Policy
from audit.verifier.reconcile import GRACE_MS
from audit.verifier.report import Outcome
from audit.verifier.statement import MAX_LINE_BYTES, read_statement
from audit.verifier.trust import Trust
from audit.witness_keeper import epoch_of
from node.exchange.statement import write_statement
from node.network.rpc_errors import Overloaded, remote_errors
from node.network.transport import peer_member
from protocols.certificates import member_dns
from protocols.errors import InvalidInput, Malformed
from protocols.keys import VerifyKey
from protocols.v1.reconciliation_pb2 import StatementPart, StatementRequest
from protocols.v1.reconciliation_pb2_grpc import ReconciliationServicer, ReconciliationStub

if TYPE_CHECKING:
    import grpc

MAX_PERIOD_MS = 92 * 86_400_000
MAX_ENTRIES = 20_000
MAX_BYTES = 64 * 1024 * 1024
PART_BYTES = 64 * 1024
TIMEOUT_S = 120.0
STATED, RECONCILED = "exchange.stated", "exchange.reconciled"


class StatementBusy(Overloaded):
    """The member is making another statement."""

    code = "statement_busy"
    next_step = "Ask again in a minute."
    retry_after_ms = 10_000


class StatementOffPoint(Malformed):
    """A member's statement is not what was asked for."""

    code = "statement_off_point"
    next_step = "Ask the member why; keep the file, which it has signed."


class StatementServer(ReconciliationServicer):
    """States this node's exchanges with whoever calls; behind a `MemberGate`."""

    def __init__(self, member_id: str, reader: LogReader) -> None:
        """State as `member_id` what is in the log of `reader`."""
        self._member_id = member_id
        self._reader = reader
        self._one_at_a_time = threading.Lock()

    def State(  # noqa: N802 - the name in the .proto
        self, request: StatementRequest, context: "grpc.ServicerContext"
    ) -> Iterator[StatementPart]:
        """The statement, in parts, once its leaf is committed."""
        peer = peer_member(context)
        check_period(request.since_ms, request.until_ms)
        with tempfile.TemporaryDirectory(prefix="credence-") as folder:
            file = Path(folder) / "statement"
            self._write(peer, request.since_ms, request.until_ms, file)
            with file.open("rb") as stream:
                while data := stream.read(PART_BYTES):
                    yield StatementPart(data=data)

    def _write(self, peer: str, since_ms: int, until_ms: int, file: Path) -> None:
        if not self._one_at_a_time.acquire(blocking=False):
            raise StatementBusy("another statement is being made")
        try:
            period = {"since_ms": since_ms, "until_ms": until_ms}
            note(self._reader, self._member_id, STATED, peer, period)
            write_statement(
                self._reader, self._member_id, peer, since_ms, until_ms, file, most=MAX_ENTRIES
            )
        finally:
            self._one_at_a_time.release()


class Reconciler:
    """Compares this node's exchanges with what others state of them."""

    def __init__(
        self,
        *,
        member_id: str,
        reader: LogReader,
        to_member: "Callable[[str], grpc.Channel]",
        keys_of: Callable[[str], Sequence[VerifyKey]],
        policy_of: Callable[[str, Sequence[NoteKey]], Policy | None],
    ) -> None:
        """Ask as `member_id`.

        Args:
            member_id: this node.
            reader: of its log.
            to_member: a channel to another.
            keys_of: every key that a member has had, by the directory.
            policy_of: whose cosignatures count for the log of a member with these keys; None: no
                witness is asked for.
        """
        self._member_id = member_id
        self._reader = reader
        self._to_member = to_member
        self._keys_of = keys_of
        self._policy_of = policy_of

    def reconcile(self, peer: str, since_ms: int, until_ms: int, folder: Path) -> Verdict:
        """Lay both sides of a period beside each other.

        Args:
            peer: the other member.
            since_ms: start of the period, UTC milliseconds.
            until_ms: its end, not in it; at most 92 days later.
            folder: both statements are left there, as `<member>.statement`.

        Raises:
            InvalidInput: no such period, or more entries than one statement holds.
            UnknownMember, MemberNotActive: it is not to be asked.
            PeerUnreachable, PeerTooSlow: it does not answer.
            StatementOffPoint, Malformed: checks 1 to 3.
        """
        check_period(since_ms, until_ms)
        keys = self._keys_of(peer)
        own, other = (folder / f"{one}.statement" for one in (self._member_id, peer))
        self._fetch(peer, since_ms, until_ms, other)
        write_statement(
            self._reader, self._member_id, peer, since_ms, until_ms, own, most=MAX_ENTRIES
        )
        named = _key_named(other)
        if not epoch_of(named.name, member_dns(peer)):  # 1
            raise StatementOffPoint(f"{peer} states for the log {named.name}")
        theirs = self._trust(peer, [NoteKey(named.name, key) for key in keys])
        ours = self._trust(self._member_id, [self._reader.key])
        verdict = verify_reconciliation(own, other, (ours, theirs))
        if verdict.outcome is not Outcome.INVALID:  # else its signature or a proof does not hold
            self._check_answer(other, peer, since_ms, until_ms, theirs)
        facts = {
            "since_ms": since_ms,
            "until_ms": until_ms,
            "matched": verdict.fields.get("matched", 0),
            "findings": len(verdict.fields.get("findings", ())),
            "outcome": verdict.outcome.name.lower(),
        }
        note(self._reader, self._member_id, RECONCILED, peer, facts)
        return verdict

    def _trust(self, member: str, keys: Sequence[NoteKey]) -> Trust:
        return Trust.of(keys, self._policy_of(member, keys), [])

    def _fetch(self, peer: str, since_ms: int, until_ms: int, file: Path) -> None:
        stub = ReconciliationStub(self._to_member(peer))
        request = StatementRequest(since_ms=since_ms, until_ms=until_ms)
        size = 0
        with file.open("wb") as stream, remote_errors(peer):
            for part in stub.State(request, timeout=TIMEOUT_S):
                size += len(part.data)
                if size > MAX_BYTES:
                    raise Malformed(f"{peer} states more than a statement holds")
                stream.write(part.data)

    def _check_answer(
        self, file: Path, peer: str, since_ms: int, until_ms: int, trust: Trust
    ) -> None:
        said = read_statement(file, trust)
        asked = (peer, self._member_id, since_ms, until_ms)
        if (said.member, said.peer, said.since_ms, said.until_ms) != asked:  # 2
            raise StatementOffPoint(f"{peer} states another period, or of another member")
        if abs(said.taken_at_ms - self._reader.now_ms()) > GRACE_MS:  # 3
            raise StatementOffPoint(f"{peer}'s statement is not of now")


def check_period(since_ms: int, until_ms: int) -> None:
    """Refuse a period that no statement is of.

    Raises:
        InvalidInput: it is empty, or longer than 92 days.
    """
    if not 0 <= since_ms < until_ms or until_ms - since_ms > MAX_PERIOD_MS:
        raise InvalidInput("a period begins before it ends, and has at most 92 days")


def note(
    reader: LogReader, member_id: str, kind: str, peer: str, facts: Mapping[str, int | str]
) -> None:
    """Log a statement that is about to be given, or what came of a comparison."""
    entry = Entry(
        kind=kind,
        actor=member_id,
        purpose="audit",
        correlation=peer,
        payload={"peer": peer, **facts},
        subject=None,
        at_ms=reader.now_ms(),
    )
    with reader.database.write() as connection:
        reader.log.append(connection, entry)


def _key_named(file: Path) -> NoteKey:
    """The key that a statement names itself; whether it is the member's is check 1."""
    with file.open("rb") as stream:
        line = stream.readline(MAX_LINE_BYTES)
    try:
        return NoteKey.parse(str(json.loads(line)["key"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Malformed("this is no statement") from error
