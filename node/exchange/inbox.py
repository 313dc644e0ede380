"""What a recipient does with an opened answer: keep what it may keep, record all of it.

Signals are kept only while the consent, as this node has it at that moment, still allows the
purpose; only of source classes that it grants and that the catalogue knows; and no longer than its
data life. The vectors, the release records and their audit leaves are one transaction.

Answers that come together share it, as those of several holders about one person do. Where one of
them breaks it before the commit was tried, each is kept alone: a holder costs its own answers only.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from audit.database import Connection, Database, DatabaseUnavailable
from consent.policy import Decision, Refusal, ReleaseFacts, Terms, decide
from models.catalogue import Catalogue
from node.consents.freshness import Fresh, Freshness
from node.exchange import lenders
from node.exchange.pipeline import Consented, Sent
from node.exchange.records import Act, ReleaseRecorder, answer_mac
from node.group_commit import GroupCommit
from node.storage import consents, monitors, signals
from node.storage.exchange import IN
from node.storage.signals import SignalVector
from protocols.lender_tokens import MAX_BYTES
from protocols.v1.exchange_pb2 import AnswerBody, SubjectAnswer

GROUP_SUBJECTS = 256  # answered in one transaction, as many as one answer may be about


@dataclass(frozen=True, slots=True)
class Received:
    """One subject's answer, judged by this node; `vector` is None when `refusal` says why."""

    asked: Consented
    refusal: str
    vector: SignalVector | None


@dataclass(frozen=True, slots=True)
class _Opened:
    sent: Sent
    answer: AnswerBody
    now_ms: int


class Inbox:
    """Stores answers; thread-safe."""

    def __init__(
        self,
        *,
        member_id: str,
        database: Database,
        catalogue: Callable[[], Catalogue],
        recorder: ReleaseRecorder,
        freshness: Freshness,
    ) -> None:
        self._member_id = member_id
        self._freshness = freshness
        self._database = database
        self._catalogue = catalogue
        self._recorder = recorder
        self._groups = GroupCommit[_Opened, list[Received]](self._store, GROUP_SUBJECTS)

    @property
    def waiting(self) -> int:
        """Answers that wait for the transaction after the one under way."""
        return self._groups.waiting

    def store(self, sent: Sent, answer: AnswerBody, now_ms: int) -> list[Received]:
        """Keep one opened answer.

        Args:
            sent: the request it answers.
            answer: opened and checked by `protocols.envelope.open_answer`.
            now_ms: UTC milliseconds.

        Returns:
            One entry for each subject, in order.
        """
        opened = _Opened(sent, answer, now_ms)
        return self._groups.submit(opened, len(sent.people), sent.request.body.to)

    def _store(self, group: Sequence[_Opened]) -> Sequence[list[Received] | Exception]:
        committing = False
        try:
            with self._database.write() as connection:
                received = self._keep(connection, group)
                committing = True
        except DatabaseUnavailable:
            raise
        except Exception as error:
            if committing:  # whether it is on disk is not known
                raise
            if len(group) == 1:
                return [error]
            return [self._store([one])[0] for one in group]
        return received

    def _keep(self, connection: Connection, group: Sequence[_Opened]) -> list[list[Received]]:
        now_ms = max(one.now_ms for one in group)
        hashes = {asked.consent_hash for one in group for asked in one.sent.people}
        in_force = consents.terms_by_hash(connection, hashes)
        fresh = self._freshness.read(connection, in_force.values(), now_ms)
        kept: dict[tuple[bytes, str, str], SignalVector] = {}
        acts: list[Act] = []
        received: list[list[Received]] = []
        for opened in group:
            sent, answer = opened.sent, opened.answer
            mine = [
                self._judge(sent, one, in_force.get(one.consent_hash), item, answer, fresh, now_ms)
                for one, item in zip(sent.people, answer.answers, strict=True)
            ]
            received.append(mine)
            # Of two about one person from one source, the later stands.
            kept |= {
                (one.vector.pseudonym, one.vector.source, one.vector.purpose): one.vector
                for one in mine
                if one.vector
            }
            if sent.request.body.purpose == lenders.PURPOSE:
                _keep_lenders(connection, sent.request.body.to, mine, answer)
            acts += [
                _act(sent, place, one, item, now_ms)
                for place, (one, item) in enumerate(zip(mine, answer.answers, strict=True))
            ]
        signals.put_many(connection, kept.values())
        self._recorder.record(connection, acts)
        return received

    def _judge(
        self,
        sent: Sent,
        asked: Consented,
        terms: Terms | None,
        item: SubjectAnswer,
        answer: AnswerBody,
        fresh: Fresh,
        now_ms: int,
    ) -> Received:
        if item.refusal:
            return Received(asked, item.refusal, None)
        holder, purpose = sent.request.body.to, sent.request.body.purpose
        decision = self._still_allowed(terms, holder, purpose, fresh, now_ms)
        if decision.refusal is not None:
            return Received(asked, decision.refusal.value, None)
        vector = SignalVector(
            pseudonym=asked.pseudonym,
            source=holder,
            purpose=purpose,
            as_of_ms=max((signal.as_of_ms for signal in item.signals), default=now_ms),
            catalogue_version=_version(answer.catalogue_version),
            signals=self._kept(item, decision.categories),
            consent_id=asked.consent_id,
            expires_at_ms=decision.expires_at_ms,
        )
        return Received(asked, "", vector)

    def _still_allowed(
        self, terms: Terms | None, holder: str, purpose: str, fresh: Fresh, now_ms: int
    ) -> Decision:
        """A withdrawal may have come while the answer was under way."""
        facts = ReleaseFacts(
            terms=terms,
            requester=self._member_id,
            requester_active=True,
            holder=holder,
            purpose=purpose,
            categories=frozenset(),
            subject_matches=True,
            status_proof_until_ms=fresh.proof(terms),
        )
        decision = decide(facts, now_ms)
        if terms is not None and decision.refusal is Refusal.USES_EXHAUSTED:
            # Uses are counted where data is released: by the holder.
            return decide(facts.with_uses(-terms.uses), now_ms)
        return decision

    def _kept(
        self, item: SubjectAnswer, granted: frozenset[str]
    ) -> Mapping[str, tuple[int, float]]:
        catalogue = self._catalogue()
        allowed = {spec.id for spec in catalogue.held_by(*granted)}
        return {
            signal.signal: (int(signal.status), signal.value)
            for signal in item.signals
            if signal.signal in allowed
        }


def _keep_lenders(
    connection: Connection, holder: str, received: Sequence[Received], answer: AnswerBody
) -> None:
    for one, item in zip(received, answer.answers, strict=True):
        if one.vector is not None and one.vector.expires_at_ms is not None:
            consent_id, rows = one.asked.consent_id, item.lenders[:MAX_BYTES]
            monitors.put_lenders(connection, consent_id, holder, rows, one.vector.expires_at_ms)


def _act(sent: Sent, place: int, one: Received, item: SubjectAnswer, now_ms: int) -> Act:
    body = sent.request.body
    return Act(
        direction=IN,
        peer=body.to,
        purpose=body.purpose,
        request_id=body.request_id,
        request_hash=sent.request.request_hash,
        consent_id=one.asked.consent_id,
        consent_hash=one.asked.consent_hash,
        subject=one.asked.pseudonym,
        refusal=one.refusal,
        signals=list(one.vector.signals) if one.vector else [],
        answered=answer_mac(
            body, sent.request.request_hash, place, item.SerializeToString(deterministic=True)
        ),
        at_ms=now_ms,
    )


def _version(text: str) -> int:
    """The holder's catalogue version; 0 when it is no small whole number."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
