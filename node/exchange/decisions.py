"""What a holder decides on each subject of a request, from facts read in one transaction."""

import hmac
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from audit.database import Connection
from consent.policy import Decision, ReleaseFacts, Terms, decide
from models.catalogue import Catalogue
from node.consents.freshness import UNPROVEN, Fresh, Freshness
from node.exchange import lenders
from node.exchange.selection import Selection
from node.network.pairwise import PairKeys
from node.storage import consents, marks, pseudonyms, signals
from node.storage.marks import NO_MARKS, Marks
from node.storage.signals import SignalVector
from protocols.envelope import VerifiedRequest
from protocols.pseudonyms import query_token
from protocols.v1.exchange_pb2 import AnswerBody, SubjectAnswer, SubjectQuery

MAX_SELECTIONS = 64


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one subject's query came to.

    Attributes:
        consent_hash: the consent that was named.
        terms: its terms; None unless the query is truly about its subject.
        refusal: stable code, or empty.
        answer: what is answered.
        flagged_at_ms: since when the newest dispute about an item of this node's is flagged; 0:
            there is none.
    """

    consent_hash: bytes
    terms: Terms | None
    refusal: str
    answer: SubjectAnswer
    flagged_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """What the decisions of one transaction rest on.

    Attributes:
        terms: by consent hash.
        vectors: this node's own signals, by pseudonym.
        marks: what is frozen, disputed or restricted, by pseudonym.
        aliases: pseudonyms of another key of the same people, while members change over.
        fresh: for how long each consent is proven not to be withdrawn.
        uses: uses that were decided in this transaction and are not stored yet, by consent id.
        pair_keys: keys that a sender may have used, by its member id.
    """

    terms: Mapping[bytes, Terms]
    vectors: Mapping[bytes, SignalVector]
    marks: Mapping[bytes, Marks] = field(default_factory=dict)
    aliases: Mapping[bytes, Sequence[bytes]] = field(default_factory=dict)
    uses: Counter[str] = field(default_factory=Counter)
    fresh: Fresh = UNPROVEN
    pair_keys: dict[str, tuple[bytes, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decided:
    """A request with what every subject's query came to, in order, and the answer to seal."""

    request: VerifiedRequest
    at_ms: int
    outcomes: Sequence[Outcome]
    answer: AnswerBody

    def uses(self) -> Counter[str]:
        """Uses that this answer takes, by consent id."""
        return Counter(
            outcome.terms.consent_id
            for outcome in self.outcomes
            if outcome.terms is not None and not outcome.refusal
        )


class Decider:
    """Decides on requests; stateless but for what it is given."""

    def __init__(
        self,
        *,
        member_id: str,
        holds: Sequence[str],
        catalogue: Callable[[], Catalogue],
        pair_keys: PairKeys,
        freshness: Freshness,
    ) -> None:
        self._member_id = member_id
        self._freshness = freshness
        self._holds = frozenset(holds)
        self._catalogue = catalogue
        self._pair_keys = pair_keys

        self._selections: dict[tuple[int, tuple[str, ...]], Selection] = {}

    def facts(
        self, connection: Connection, requests: Iterable[VerifiedRequest], now_ms: int
    ) -> Facts:
        """Read, once for all of them, what deciding on `requests` needs."""
        hashes = {query.consent_hash for request in requests for query in request.body.queries}
        terms = consents.terms_by_hash(connection, hashes)
        people = sorted({one.pseudonym for one in terms.values()})
        vectors = signals.of_pseudonyms(connection, people, self._member_id, signals.OWN, now_ms)
        marked = marks.of_people(connection, people)
        shown = {one: _shown(vector, marked.get(one)) for one, vector in vectors.items()}
        aliases = pseudonyms.aliases_of(connection, people)
        fresh = self._freshness.read(connection, terms.values(), now_ms)
        return Facts(terms, shown, marked, aliases, fresh=fresh)

    def decide(self, request: VerifiedRequest, facts: Facts, now_ms: int) -> Decided:
        """Decide on every subject of one request (checks 4 and 5 of `node.exchange.service`)."""
        body = request.body
        selection = self._selection(tuple(body.signals))
        sender = request.sender.member_id
        pair_keys = facts.pair_keys.get(sender)
        if pair_keys is None:
            pair_keys = facts.pair_keys[sender] = self._pair_keys.candidates(sender)
        outcomes = [
            self._outcome(request, query, facts, selection, pair_keys, now_ms)
            for query in body.queries
        ]
        answer = AnswerBody(
            request_id=body.request_id,
            holder=self._member_id,
            answered_at_ms=now_ms,
            catalogue_version=str(selection.catalogue_version),
            answers=[outcome.answer for outcome in outcomes],
        )
        return Decided(request, now_ms, outcomes, answer)

    def _selection(self, asked: tuple[str, ...]) -> Selection:
        """Resolving names costs more than one subject's answer; most requests name the same."""
        catalogue = self._catalogue()
        name = (catalogue.version, asked)
        found = self._selections.get(name)
        if found is None:
            if len(self._selections) >= MAX_SELECTIONS:
                self._selections.clear()
            found = self._selections[name] = Selection(catalogue, self._holds, asked)
        return found

    def _outcome(
        self,
        request: VerifiedRequest,
        query: SubjectQuery,
        facts: Facts,
        selection: Selection,
        pair_keys: tuple[bytes, ...],
        now_ms: int,
    ) -> Outcome:
        terms = facts.terms.get(query.consent_hash)
        matches = terms is not None and _names(query.token, pair_keys, terms, facts)
        marked = facts.marks.get(terms.pseudonym, NO_MARKS) if terms is not None else NO_MARKS
        asked = ReleaseFacts(
            terms=terms,
            requester=request.sender.member_id,
            requester_active=request.sender.active,
            holder=self._member_id,
            purpose=request.body.purpose,
            categories=selection.categories,
            subject_matches=matches,
            status_proof_until_ms=facts.fresh.proof(terms),
            frozen=marked.frozen,
        )
        if terms is not None:
            asked = asked.with_uses(facts.uses[terms.consent_id])
        decision = decide(asked, now_ms)  # 4
        subject = terms if matches else None
        answer = _answer(query.consent_hash, decision, selection, subject, facts, now_ms)  # 5
        if subject is not None and not answer.refusal and request.body.purpose == lenders.PURPOSE:
            answer.lenders = self._lenders(subject, decision, facts, request.sender.member_id)
        flagged_at_ms = marked.flagged_at_ms(self._member_id)
        return Outcome(query.consent_hash, subject, _code(decision), answer, flagged_at_ms)

    def _lenders(self, terms: Terms, decision: Decision, facts: Facts, recipient: str) -> bytes:
        if lenders.ACCOUNTS not in decision.categories:
            return b""
        return lenders.said(
            self._member_id,
            terms,
            facts.vectors.get(terms.pseudonym),
            recipient=recipient,
            catalogue=self._catalogue(),
            pair_keys=self._pair_keys,
            epoch=self._pair_keys.epoch,
        )


def _shown(vector: SignalVector, marked: Marks | None) -> SignalVector:
    return vector if marked is None else marked.over(vector)


def _names(token: bytes, pair_keys: Sequence[bytes], terms: Terms, facts: Facts) -> bool:
    """Whether the token is of the consent's person, under any key and pseudonym in use."""
    names = (terms.pseudonym, *facts.aliases.get(terms.pseudonym, ()))
    return any(
        hmac.compare_digest(token, query_token(key, name, terms.consent_hash))
        for name in names
        for key in pair_keys
    )


def _answer(
    consent_hash: bytes,
    decision: Decision,
    selection: Selection,
    subject: Terms | None,
    facts: Facts,
    now_ms: int,
) -> SubjectAnswer:
    if decision.refusal is not None or subject is None:
        return SubjectAnswer(consent_hash=consent_hash, refusal=_code(decision))
    vector = facts.vectors.get(subject.pseudonym)
    values = selection.values(decision.categories, vector, now_ms)
    return SubjectAnswer(consent_hash=consent_hash, signals=values)


def _code(decision: Decision) -> str:
    return decision.refusal.value if decision.refusal is not None else ""
