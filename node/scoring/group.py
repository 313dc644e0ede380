"""Scores for the node's API clients: consent first, then signals, then the model, then the log.

A group of calls is answered in one transaction. Of each call, in this order, the first check that
fails is its answer:

  1. the client is valid still, where the call says which it was; the subject is known here, and
     the client has the product it names, for this purpose;
  2. the consent is kept here, is the subject's own, is in force, names this node as a recipient
     and grants the purpose (`consent.policy.decide`), with the uses that calls before it in the
     group take; after holders were asked, it is still the version they were asked under;
  3. signals: this node's own and those released to it under this very consent and purpose and
     still within their data life. When another holder that the consent names has not been asked,
     the call leaves the group to ask it (`Ask`) and comes back. Only source classes that the
     consent grants and the directory says that the source holds are read. What was released
     longer ago than the product allows counts as not here;
  4. every source that the product insists on gave something;
  5. the active bundle, verified when it is loaded, gives points, PD, band and reasons; or an
     exclusion in their place, where too few signals say something: no number is made up;
  6. where the consent names this node as a holder, a use of its own signals; the audit leaf; the
     score's row; sealed, what it was computed from. An exclusion is recorded just so.
Nothing is answered before that commits. Then the challenger, if there is one, is scored in the
answer's shadow (`node.scoring.shadow`).

Where something that concerns one call breaks the group, each is answered alone: only when it broke
before the commit was tried, for otherwise a call might be given two scores, and not when it is the
database that refuses, which it would do to each of them again.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from audit.database import Connection, Database, DatabaseUnavailable
from audit.store import AuditLog
from consent.policy import Refusal, ReleaseFacts
from consent.refusals import refusal_error
from models.evaluate import Scorer
from node.access.presented import TokenRefused
from node.exchange.report import HolderReport
from node.scoring.active_model import ActiveModel
from node.scoring.consent import Granted, ScoreConsent
from node.scoring.evaluation import (
    Evaluated,
    evaluate_many,
    merge,
)
from node.scoring.flags import flagged
from node.scoring.inputs import ScoreInputs
from node.scoring.outcome import Ready, entry_of, facts_of, input_of, row_of
from node.scoring.products import check_mandatory, fresh_enough, product_of
from node.scoring.requests import IdempotencyKeyReused, Scored, ScoreRequest
from node.scoring.result import ScoreReceipt
from node.scoring.shadow import Shadow
from node.scoring.sources import AskedUnder, Kept, ScoreSources
from node.storage import clients, products, scores, subjects
from node.storage.products import ProductRow
from node.storage.scores import ScoreRow
from node.storage.subjects import Subject, UnknownSubject
from node.telemetry.measures import Measure
from node.telemetry.telemetry import Telemetry
from protocols.errors import CredenceError

REPEAT_MS = 24 * 3600 * 1000

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """What holders said to a call that left its group.

    Attributes:
        consent_hash: the version of the consent that they were asked under.
        reports: by holder; the signals themselves are kept in the database.
    """

    consent_hash: bytes
    reports: Mapping[str, HolderReport]

    @property
    def gave(self) -> frozenset[str]:
        """Holders that answered with signals."""
        return frozenset(name for name, report in self.reports.items() if report.answered)


@dataclass(frozen=True, slots=True)
class Call:
    """One score call, before or after holders were asked."""

    request: ScoreRequest
    asked: Asked | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """Holders that have to be asked before the call can be answered."""

    person: AskedUnder
    purpose: str


Answered = Scored | Ask
Outcome = Answered | Exception


@dataclass(frozen=True, slots=True)
class _Read:
    """What the transaction says about everybody in the group."""

    generations: Mapping[str, int]
    known: Mapping[str, Subject]
    repeats: Mapping[tuple[str, str], ScoreRow]
    facts: Mapping[int, ReleaseFacts]
    products: Mapping[tuple[str, str], ProductRow]
    kept: Kept
    now_ms: int


@dataclass(frozen=True, slots=True)
class _Decided:
    """What a group's transaction is about to commit, and what is done once it has."""

    outcomes: Mapping[int, "Outcome | int"]
    beside: Callable[[], None] = lambda: None


class ScoreGroups:
    """Answers groups of calls; one at a time."""

    def __init__(
        self,
        *,
        database: Database,
        audit: AuditLog,
        model: ActiveModel,
        consent: ScoreConsent,
        sources: ScoreSources,
        shadow: Shadow,
        inputs: ScoreInputs,
        now_ms: Callable[[], int],
        promise: Callable[[int, bytes], bytes],
        telemetry: Telemetry,
    ) -> None:
        # `promise`: the log's signature over a leaf's place and hash (`audit.verifier.promise`).
        self._database = database
        self._audit = audit
        self._model = model
        self._consent = consent
        self._sources = sources
        self._shadow = shadow
        self._inputs = inputs
        self._now_ms = now_ms
        self._promise = promise
        self._telemetry = telemetry

    def answer(self, calls: Sequence[Call]) -> list[Outcome]:
        """The outcome of each call, in their order.

        Raises:
            DatabaseUnavailable: nothing could be recorded, so nothing is answered.
        """
        self._telemetry.measures.observe(Measure.GROUP_CALLS, len(calls))
        with self._telemetry.tracer.span("score.group") as note:
            note("credence.calls", len(calls))
            return self._answer(calls)

    def _answer(self, calls: Sequence[Call]) -> list[Outcome]:
        decided: _Decided | None = None
        try:
            with self._database.write() as connection:
                decided = self._record(connection, calls)
                committing = time.perf_counter()
        except DatabaseUnavailable:
            raise
        except Exception as error:
            if decided is not None:  # whether it is on disk is not known
                raise
            if len(calls) == 1:
                return [error]
            return [self._answer([call])[0] for call in calls]
        taken = time.perf_counter() - committing
        self._telemetry.measures.observe(Measure.COMMIT_SECONDS, taken)
        self._look_beside(decided)
        return [_of(decided.outcomes, place) for place in range(len(calls))]

    def _record(self, connection: Connection, calls: Sequence[Call]) -> "_Decided":
        read = self._read(connection, calls)
        scorer, challenger = self._scorers(connection)
        outcomes, ready = self._decide(calls, read, scorer)
        if not isinstance(scorer, Scorer):
            return _Decided(outcomes)
        merged = [one.merged for one in ready]
        evaluated = evaluate_many(scorer, merged, [one.request.language for one in ready])  # 5
        given = self._give(connection, read, ready, evaluated, scorer)  # 6
        outcomes |= dict(zip([one.place for one in ready], given, strict=True))
        if challenger is None:
            return _Decided(outcomes)
        return _Decided(
            outcomes, lambda: self._shadow.observe(scorer, challenger, merged, evaluated)
        )

    def _look_beside(self, decided: "_Decided") -> None:
        """Score the challenger; what is on disk is answered, whatever comes of that."""
        try:
            decided.beside()
        except Exception as error:  # noqa: BLE001 - the scores have been given
            log.warning("challenger.failed", error=type(error).__name__)

    def _read(self, connection: Connection, calls: Sequence[Call]) -> _Read:
        now_ms = self._now_ms()
        requests = [call.request for call in calls]
        known = subjects.by_refs(connection, [one.subject_ref for one in requests])
        named = [one.named for one in requests if one.named is not None]
        people = {
            place: known[one.subject_ref]
            for place, one in enumerate(requests)
            if one.subject_ref in known
        }
        facts = self._consent.facts(
            connection, [(people[place], requests[place]) for place in people], now_ms
        )
        named_clients = {one.client_id for one in requests if one.generation is not None}
        return _Read(
            generations=clients.generations(connection, sorted(named_clients)),
            known=known,
            repeats=scores.under_keys(connection, named) if named else {},
            facts=dict(zip(people, facts, strict=True)),
            products=products.every(connection),
            kept=self._sources.kept_of(
                connection, [one.pseudonym for one in known.values()], now_ms
            ),
            now_ms=now_ms,
        )

    def _scorers(self, connection: Connection) -> tuple[Scorer | CredenceError, Scorer | None]:
        # A failure waits for the first call that comes to need a model.
        try:
            return self._model.with_challenger(connection)
        except CredenceError as error:
            return error, None

    def _decide(
        self, calls: Sequence[Call], read: _Read, scorer: Scorer | CredenceError
    ) -> tuple[dict[int, "Outcome | int"], list[Ready]]:
        """Outcomes by place, and who is to be scored; a number: as the call at that place."""
        outcomes: dict[int, Outcome | int] = {}
        ready: list[Ready] = []
        firsts: dict[tuple[str, str], int] = {}
        uses: Counter[str] = Counter()
        for place, call in enumerate(calls):
            try:
                first = firsts.setdefault(call.request.named or ("", str(place)), place)
                if first != place and outcomes.get(first) is None:
                    _same(call.request, calls[first].request.digest())
                    outcomes[place] = first
                    continue
                found = self._one(place, call, read, scorer, uses)
            except CredenceError as error:
                outcomes[place] = error
                continue
            if isinstance(found, Ready):
                ready.append(found)
                if self._consent.counts(found.granted):
                    uses[found.granted.terms.consent_id] += 1
            else:
                outcomes[place] = found
        return outcomes, ready

    def _one(
        self,
        place: int,
        call: Call,
        read: _Read,
        scorer: Scorer | CredenceError,
        uses: Mapping[str, int],
    ) -> "Ready | Answered":
        request = call.request
        valid = request.generation in {None, read.generations.get(request.client_id)}
        if not valid:  # 1
            raise TokenRefused("the client is not valid any more")
        if request.subject_ref not in read.known:
            raise UnknownSubject("no such subject here")
        product = product_of(read.products, request.client_id, request.product, request.purpose)
        facts = read.facts[place]
        repeat = self._repeat(request, read)
        if repeat is not None:
            return self._as_now(repeat, self._consent.reading(facts, read.now_ms), read, scorer)
        taken = uses.get(request.consent_id, 0)
        granted = self._consent.granting(facts.with_uses(taken), read.now_ms)  # 2
        if call.asked is not None and call.asked.consent_hash != granted.terms.consent_hash:
            raise refusal_error(Refusal.CONSENT_SUPERSEDED)
        if isinstance(scorer, CredenceError):
            raise scorer
        readable = self._sources.readable(granted.terms, granted.decision, scorer.encoder.catalogue)
        just_asked = call.asked.gave if call.asked is not None else frozenset[str]()
        kept = fresh_enough(  # 3
            product,
            read.kept.under(granted.terms, request.purpose),
            granted.terms.data_life_s,
            read.now_ms,
            just_asked,
        )
        missing = self._sources.others(readable) - frozenset(kept)
        if missing and call.asked is None:
            terms = granted.terms
            person = AskedUnder(terms.consent_id, terms.consent_hash, terms.pseudonym, missing)
            return Ask(person, request.purpose)
        reports = call.asked.reports if call.asked is not None else {}
        contributions = self._sources.contributions(readable, kept, reports)
        check_mandatory(
            product, [one.source for one in contributions if one.vector is not None]
        )  # 4
        return Ready(place, request, granted, contributions, merge(contributions))

    def _repeat(self, request: ScoreRequest, read: _Read) -> Scored | None:
        row = None if request.named is None else read.repeats.get(request.named)
        if row is None or read.now_ms - row.at_ms >= REPEAT_MS:
            return None
        _same(request, row.request_sha256)
        return Scored(row.score_id, row.result, repeated=True)

    def _as_now(
        self, scored: Scored, granted: Granted, read: _Read, scorer: Scorer | CredenceError
    ) -> Scored:
        """A score given before, with what is disputed and under review now."""
        if isinstance(scorer, CredenceError):
            raise scorer
        catalogue = scorer.encoder.catalogue
        readable = self._sources.readable(granted.terms, granted.decision, catalogue)
        body = flagged(scored.body, read.kept.marks(granted.terms.pseudonym), readable)
        return Scored(scored.score_id, body, scored.repeated)

    def _give(
        self,
        connection: Connection,
        read: _Read,
        ready: Sequence[Ready],
        evaluated: Sequence[Evaluated],
        scorer: Scorer,
    ) -> list[Scored]:
        """Count the uses, append the leaves, store the rows."""
        if not ready:
            return []
        granted = [one.granted for one in ready]
        self._consent.use(connection, granted)
        told = [
            facts_of(
                one,
                result,
                scorer,
                read.kept.marks(one.granted.terms.pseudonym),
                read.now_ms,
                counted=self._consent.counts(one.granted),
            )
            for one, result in zip(ready, evaluated, strict=True)
        ]
        texts = [one.to_text() for one in told]
        entries = [
            entry_of(one, facts, text) for one, facts, text in zip(ready, told, texts, strict=True)
        ]
        appended = self._audit.append_many(connection, entries)
        head = self._audit.head(connection)
        given: list[ScoreRow] = []
        for one, facts, text, leaf in zip(ready, told, texts, appended, strict=True):
            receipt = ScoreReceipt(
                log=self._audit.origin,
                seq=leaf.seq,
                leaf_hash=leaf.leaf_hash.hex(),
                tree_size=head.size,
                root=head.root.hex(),
                signature=self._promise(leaf.seq, leaf.leaf_hash).hex(),
            )
            body = f'{text[:-1]},"receipt":{receipt.to_text()}}}'
            named = one.request.named
            if named is not None and named in read.repeats:  # its day is over
                scores.free_key(connection, *named)
            given.append(row_of(one.request, facts, body, leaf.seq))
        scores.add_many(connection, given)
        people = [one.granted.terms.pseudonym for one in ready]
        kept = [input_of(one, facts) for one, facts in zip(ready, told, strict=True)]
        self._inputs.keep(connection, list(zip(people, kept, strict=True)))
        return [Scored(row.score_id, row.result) for row in given]


def _of(outcomes: Mapping[int, Outcome | int], place: int) -> Outcome:
    found = outcomes[place]
    if not isinstance(found, int):
        return found
    first = _of(outcomes, found)
    return Scored(first.score_id, first.body, repeated=True) if isinstance(first, Scored) else first


def _same(request: ScoreRequest, digest: bytes) -> None:
    if request.digest() != digest:
        raise IdempotencyKeyReused("this idempotency key stands for another request")
