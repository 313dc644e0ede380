"""The holder's side: verify a request, decide on each subject, record, and only then answer.

A holder checks, in this order; the first that fails is the answer:

  1. the caller's certificate is the current one of an active member (`node.transport.MemberGate`);
  2. the request: sender, signature, audience, time, shape (`protocols.envelope.verify_request`);
  3. its nonce is new. Identical bytes again get the identical answer and leave no new trace, other
     bytes under a used nonce are refused;
  then for every subject asked about
  4. the consent is kept here (its signatures and terms were verified when it was delivered), the
     token names its subject, and it allows this release now (`consent.policy.decide`);
  5. of the signals asked for, those whose source class was granted and that this node holds;
  6. a use is counted, and the release or refusal is recorded with its audit leaf.

3 to 6 are one transaction, which also stores the sealed answer beside the nonce: what was checked
is still true when it commits, and nothing is sent before. A refused request (1 to 3) changes
nothing and is logged once, by the transport, without anything that it said.
"""

import hmac
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from audit.database import Connection, Database
from audit.leaf import Entry
from audit.store import AuditLog
from consent.policy import Decision, ReleaseFacts, Terms, decide
from models.catalogue import Catalogue
from node.exchange.selection import Selection
from node.pairwise import PairKeys
from node.storage import consents, signals
from node.storage import exchange as storage
from node.storage.exchange import OUT, Claim, Release
from node.storage.signals import SignalVector
from protocols.directory import Directory
from protocols.envelope import Limits, VerifiedRequest, seal_answer, verify_request
from protocols.errors import StateConflict
from protocols.keys import SigningKey
from protocols.pseudonyms import query_token
from protocols.v1.exchange_pb2 import AnswerBody, SealedAnswer, SealedRequest, SubjectAnswer

FORGET_EVERY_MS = 30_000


class NonceReused(StateConflict):
    """A nonce came a second time, under other bytes."""

    code = "nonce_reused"
    next_step = "Make a new request with a fresh nonce; if you did not, your key may be misused."


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What one subject's query came to; `terms` only when the request is truly about them."""

    consent_hash: bytes
    terms: Terms | None
    decision: Decision
    answer: SubjectAnswer


class ExchangeService:
    """Answers other members' requests from this node's own signals; thread-safe."""

    def __init__(
        self,
        *,
        member_id: str,
        holds: Sequence[str],
        signing_key: SigningKey,
        database: Database,
        audit: AuditLog,
        directory: Callable[[], Directory],
        catalogue: Callable[[], Catalogue],
        pair_keys: PairKeys,
        limits: Limits,
    ) -> None:
        self._member_id = member_id
        self._holds = frozenset(holds)
        self._key = signing_key
        self._database = database
        self._audit = audit
        self._directory = directory
        self._catalogue = catalogue
        self._pair_keys = pair_keys
        self._limits = limits
        self._forget_at_ms = 0
        self._forgetting = threading.Lock()

    def answer(self, message: SealedRequest, peer: str, now_ms: int) -> SealedAnswer:
        """Answer one request of 1 to 256 subjects; see the module's checks.

        Args:
            message: as received.
            peer: member id of the mutual-TLS caller (check 1).
            now_ms: UTC milliseconds.

        Raises:
            Malformed, SuiteUnsupported, UnknownMember, MemberNotActive, SenderMismatch,
            SignatureInvalid, WrongAudience, RequestExpired, RequestFromFuture: check 2.
            NonceReused: check 3.
            DatabaseUnavailable: nothing could be recorded, so nothing is answered.
        """
        request = verify_request(  # 2
            message,
            own_id=self._member_id,
            directory=self._directory(),
            now_ms=now_ms,
            peer_id=peer,
            limits=self._limits,
        )
        nonce = request.body.nonce
        with self._database.write() as connection:
            self._forget(connection, now_ms)
            earlier = storage.claimed(connection, peer, nonce)  # 3
            if earlier is not None:
                return _same_answer(earlier, request)
            sealed = self._release(connection, request, now_ms)  # 4, 5, 6
            used = Claim(request.request_hash, sealed.SerializeToString())
            storage.claim(connection, peer, nonce, used, request.nonce_until_ms)
        return sealed

    def _release(
        self, connection: Connection, request: VerifiedRequest, now_ms: int
    ) -> SealedAnswer:
        selection = Selection(self._catalogue(), self._holds, request.body.signals)
        outcomes = self._decide_all(connection, request, selection, now_ms)
        released = [o.terms for o in outcomes if o.terms is not None and o.decision.allowed]
        uses = {terms.consent_id: 1 for terms in released}
        if consents.count_uses(connection, uses) != len(uses):
            raise StateConflict("a consent changed while it was decided on; nothing was released")
        self._record(connection, request, outcomes, now_ms)
        body = AnswerBody(
            request_id=request.body.request_id,
            holder=self._member_id,
            answered_at_ms=now_ms,
            catalogue_version=str(selection.catalogue_version),
            answers=[outcome.answer for outcome in outcomes],
        )
        return seal_answer(request, body, self._key, self._limits)

    def _decide_all(
        self,
        connection: Connection,
        request: VerifiedRequest,
        selection: Selection,
        now_ms: int,
    ) -> list[_Outcome]:
        queries = request.body.queries
        known = consents.terms_by_hash(connection, [query.consent_hash for query in queries])
        vectors = self._own_vectors(connection, known, now_ms)
        pair_key = self._pair_keys.with_member(request.sender.member_id)
        outcomes = []
        for query in queries:
            terms = known.get(query.consent_hash)
            matches = terms is not None and hmac.compare_digest(
                query.token, query_token(pair_key, terms.pseudonym, terms.consent_hash)
            )
            facts = ReleaseFacts(
                terms=terms,
                requester=request.sender.member_id,
                requester_active=request.sender.active,
                holder=self._member_id,
                purpose=request.body.purpose,
                categories=selection.categories,
                subject_matches=matches,
            )
            decision = decide(facts, now_ms)  # 4
            subject = terms if matches else None
            vector = vectors.get(subject.pseudonym) if subject else None
            answer = _answered(query.consent_hash, decision, selection, vector, now_ms)  # 5
            outcomes.append(_Outcome(query.consent_hash, subject, decision, answer))
        return outcomes

    def _own_vectors(
        self, connection: Connection, known: Mapping[bytes, Terms], now_ms: int
    ) -> dict[bytes, SignalVector]:
        people = [terms.pseudonym for terms in known.values()]
        return signals.of_pseudonyms(connection, people, self._member_id, signals.OWN, now_ms)

    def _record(
        self,
        connection: Connection,
        request: VerifiedRequest,
        outcomes: Sequence[_Outcome],
        now_ms: int,
    ) -> None:
        body, peer = request.body, request.sender.member_id
        request_hash = request.request_hash.hex()
        entries = [
            Entry(
                kind="exchange.released" if outcome.decision.allowed else "exchange.refused",
                actor=self._member_id,
                purpose=body.purpose,
                correlation=body.request_id,
                payload={
                    "consent_hash": outcome.consent_hash.hex(),
                    "peer": peer,
                    "refusal": outcome.decision.refusal or "",
                    "request_hash": request_hash,
                    "signals": [signal.signal for signal in outcome.answer.signals],
                },
                subject=outcome.terms.pseudonym if outcome.terms else None,
                at_ms=now_ms,
            )
            for outcome in outcomes
        ]
        leaves = self._audit.append_many(connection, entries)
        storage.record(
            connection,
            [
                Release(
                    direction=OUT,
                    request_id=body.request_id,
                    consent_id=outcome.terms.consent_id if outcome.terms else "",
                    peer=peer,
                    purpose=body.purpose,
                    refusal=outcome.decision.refusal or "",
                    signal_count=len(outcome.answer.signals),
                    at_ms=now_ms,
                    leaf_seq=leaf.seq,
                )
                for outcome, leaf in zip(outcomes, leaves, strict=True)
            ],
        )

    def _forget(self, connection: Connection, now_ms: int) -> None:
        """Delete old nonces now and then; two threads never both do."""
        with self._forgetting:
            if now_ms < self._forget_at_ms:
                return
            self._forget_at_ms = now_ms + FORGET_EVERY_MS
        storage.forget_claims(connection, now_ms)


def _same_answer(earlier: Claim, request: VerifiedRequest) -> SealedAnswer:
    if not hmac.compare_digest(earlier.request_hash, request.request_hash):
        raise NonceReused("this nonce was used for another request")
    return SealedAnswer.FromString(earlier.answer)


def _answered(
    consent_hash: bytes,
    decision: Decision,
    selection: Selection,
    vector: SignalVector | None,
    now_ms: int,
) -> SubjectAnswer:
    if decision.refusal is not None:
        return SubjectAnswer(consent_hash=consent_hash, refusal=decision.refusal.value)
    values = selection.values(decision.categories, vector, now_ms)
    return SubjectAnswer(consent_hash=consent_hash, signals=values)
