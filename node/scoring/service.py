"""Scores for the node's API clients: consent first, then signals, then the model, then the log.

A score call, in this order; the first check that fails is the answer:

  0. the log is witnessed well enough (`audit.witness_state`);
  1. the subject is known here;
  2. the consent is kept here, is the subject's own, is in force, names this node as a recipient
     and grants the purpose (`consent.policy.decide`);
  3. signals: this node's own and those released to it under this very consent and purpose and
     still within their data life; every other holder that the consent names is asked, all at once,
     under one deadline. Only source classes that the consent grants and the directory says that
     the source holds are read;
  4. at least one signal says something, else there is no score rather than a made-up one;
  5. the active bundle, verified when it is loaded, gives points, PD, band and reasons;
  6. in one transaction: check 2 again, on the same version of the consent; where the consent names
     this node as a holder, a use of its own signals; the audit leaf; the score's row.
Nothing is answered before that commits. Then the challenger, if there is one, is scored in the
answer's shadow (`node.scoring.shadow`).
"""

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from audit.database import Connection, Database
from audit.leaf import Entry
from audit.store import AuditLog
from models.evaluate import Scorer
from models.reasons import LANGUAGES
from node.scoring.active_model import ActiveModel
from node.scoring.consent import Granted, ScoreConsent
from node.scoring.evaluation import (
    Contribution,
    Evaluated,
    coverage,
    disputes,
    evaluate,
    merge,
)
from node.scoring.flags import flagged
from node.scoring.result import ScoreFacts, ScoreReceipt, ScoreVersions
from node.scoring.shadow import Shadow
from node.scoring.sources import ScoreSources
from node.storage import marks, scores, subjects
from node.storage.marks import Marks
from node.storage.scores import ScoreRow
from node.storage.signals import SignalVector
from protocols.canonical import canonical_json, sha256
from protocols.errors import CredenceError, InvalidInput, NotFound
from protocols.identifiers import new_id

REPEAT_MS = 24 * 3600 * 1000
_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")


class IdempotencyKeyReused(CredenceError):
    """The client used this idempotency key for another request."""

    code = "idempotency_key_reused"
    category = "invalid"
    next_step = "Use a fresh key for every new request, the same key only to repeat one."


class ScoreUnknown(NotFound):
    """This client was given no score by that id."""

    code = "score_unknown"


class ScoreExpired(NotFound):
    """The score's life is over."""

    code = "score_expired"
    next_step = "Ask for a new score; the consent says how long data may be used."


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """One score call.

    Attributes:
        subject_ref: the subject, as this node refers to them.
        consent_id: the consent it rests on.
        purpose: purpose of the consent.
        client_id: who asks.
        language: of the reasons' texts, one of `models.reasons.LANGUAGES`.
        idempotency_key: the client's name for this call, or None.
    """

    subject_ref: str
    consent_id: str
    purpose: str
    client_id: str
    language: str = "en"
    idempotency_key: str | None = None

    def digest(self) -> bytes:
        """SHA-256 of what is asked, without the client and its key."""
        asked = [self.subject_ref, self.consent_id, self.purpose, self.language]
        return sha256(canonical_json(asked))


@dataclass(frozen=True, slots=True)
class Scored:
    """A score given out.

    Attributes:
        score_id: its id.
        body: the answer, JSON.
        repeated: whether this is the answer that an earlier, equal call was given.
    """

    score_id: str
    body: str
    repeated: bool = False

    @property
    def answer(self) -> dict[str, Any]:
        """The answer as an object; fields as in `node.scoring.result`."""
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed


@dataclass(frozen=True, slots=True)
class _Start:
    """What one snapshot says at the beginning of a call."""

    granted: Granted
    scorer: Scorer
    challenger: Scorer | None
    kept: dict[str, SignalVector]


def _clock() -> int:
    return int(time.time() * 1000)


class ScoringService:
    """Scores subjects for API clients; thread-safe."""

    def __init__(
        self,
        *,
        database: Database,
        audit: AuditLog,
        model: ActiveModel,
        consent: ScoreConsent,
        sources: ScoreSources,
        shadow: Shadow,
        now_ms: Callable[[], int] = _clock,
        admit: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._audit = audit
        self._model = model
        self._consent = consent
        self._sources = sources
        self._shadow = shadow
        self._now_ms = now_ms
        self._admit = admit

    def score(self, request: ScoreRequest) -> Scored:
        """Score a subject; see the module's checks.

        Raises:
            InvalidInput: a field of the wrong form.
            LogUnwitnessed, LogQuarantined: 0.
            UnknownSubject: 1.
            ReleaseRefused: 2 or 6, one class a reason.
            InsufficientData: 4.
            NoModel, BundleInvalid, SignatureInvalid: 5.
            IdempotencyKeyReused: the key stands for another request.
            DatabaseUnavailable: nothing could be recorded, so nothing is answered.
        """
        _check_form(request)
        self._admit()  # 0
        with self._database.read() as connection:
            now_ms = self._now_ms()
            subject = subjects.by_ref(connection, request.subject_ref)  # 1
            repeat = self._repeat(connection, request, now_ms)
            if repeat is not None:
                granted = self._consent.check_reading(connection, subject, request, now_ms)
                return self._as_now(connection, repeat, granted)
            granted = self._consent.check(connection, subject, request, now_ms)  # 2
            scorer, challenger = self._model.with_challenger(connection)
            start = _Start(
                granted=granted,
                scorer=scorer,
                challenger=challenger,
                kept=self._sources.kept(connection, granted.terms, request.purpose, now_ms),
            )
        contributions = self._sources.gather(  # 3
            granted.terms,
            granted.decision,
            start.kept,
            request.purpose,
            start.scorer.encoder.catalogue,
            self._now_ms,
        )
        merged = merge(contributions)
        evaluated = evaluate(start.scorer, merged, request.language)  # 4, 5
        with self._database.write() as connection:  # 6
            scored = self._give(connection, request, start, contributions, evaluated)
        if start.challenger is not None and not scored.repeated:
            self._shadow.observe(start.scorer, start.challenger, merged, evaluated)
        return scored

    def read(self, score_id: str, client_id: str) -> Scored:
        """A score that the client was given before, while it may still be used.

        Raises:
            ScoreUnknown: none by that id was given to this client.
            ScoreExpired: its life is over.
            ReleaseRefused: the consent is not in force any more.
        """
        with self._database.write() as connection:
            now_ms = self._now_ms()
            row = scores.find(connection, score_id)
            if row is None or row.client_id != client_id:
                raise ScoreUnknown("no such score was given to this client")
            subject = subjects.by_ref(connection, row.subject_ref)
            request = ScoreRequest(row.subject_ref, row.consent_id, row.purpose, client_id)
            granted = self._consent.check_reading(connection, subject, request, now_ms)
            scored = Scored(row.score_id, row.result, repeated=True)
            if now_ms >= scored.answer["expires_at_ms"]:
                raise ScoreExpired("this score may not be used any more")
            entry = Entry(
                kind="score.read",
                actor=client_id,
                purpose=row.purpose,
                correlation=score_id,
                payload={"score_id": score_id},
                subject=subject.pseudonym,
                at_ms=now_ms,
            )
            self._audit.append(connection, entry)
            return self._as_now(connection, scored, granted)

    def check_model(self) -> str:
        """The version of the model in use.

        Raises:
            NoModel, BundleInvalid, SignatureInvalid: there is none that can be used.
        """
        with self._database.read() as connection:
            return self._model.get(connection).bundle.version

    def _as_now(self, connection: Connection, scored: Scored, granted: Granted) -> Scored:
        """A score given before, with what is disputed and under review now."""
        catalogue = self._model.get(connection).encoder.catalogue
        readable = self._sources.readable(granted.terms, granted.decision, catalogue)
        marked = marks.of_person(connection, granted.terms.pseudonym)
        body = flagged(scored.body, marked, readable)
        return Scored(scored.score_id, body, scored.repeated)

    def _give(
        self,
        connection: Connection,
        request: ScoreRequest,
        start: _Start,
        contributions: Sequence[Contribution],
        evaluated: Evaluated,
    ) -> Scored:
        now_ms = self._now_ms()
        repeat = self._repeat(connection, request, now_ms)  # an equal call was faster
        if repeat is not None:
            return repeat
        self._consent.use(connection, start.granted, request, now_ms)
        marked = marks.of_person(connection, start.granted.terms.pseudonym)
        facts = _facts(request, start, contributions, evaluated, marked, now_ms)
        told = facts.to_json()
        receipt = self._log(connection, request, facts, told, start.granted.terms.pseudonym)
        told["receipt"] = receipt.to_json()
        body = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
        if request.idempotency_key is not None:
            scores.free_key(connection, request.client_id, request.idempotency_key)
        scores.add(
            connection,
            ScoreRow(
                score_id=facts.score_id,
                subject_ref=request.subject_ref,
                consent_id=request.consent_id,
                client_id=request.client_id,
                purpose=request.purpose,
                result=body,
                at_ms=now_ms,
                leaf_seq=receipt.seq,
                idempotency_key=request.idempotency_key,
                request_sha256=request.digest(),
            ),
        )
        return Scored(facts.score_id, body)

    def _log(
        self,
        connection: Connection,
        request: ScoreRequest,
        facts: ScoreFacts,
        told: Mapping[str, Any],
        pseudonym: bytes,
    ) -> ScoreReceipt:
        entry = Entry(
            kind="score.issued",
            actor=request.client_id,
            purpose=request.purpose,
            correlation=facts.score_id,
            payload=told,
            subject=pseudonym,
            at_ms=facts.issued_at_ms,
        )
        leaf = self._audit.append(connection, entry)
        head = self._audit.head(connection)
        return ScoreReceipt(
            log=self._audit.origin,
            seq=leaf.seq,
            leaf_hash=leaf.leaf_hash.hex(),
            tree_size=head.size,
            root=head.root.hex(),
        )

    def _repeat(self, connection: Connection, request: ScoreRequest, now_ms: int) -> Scored | None:
        if request.idempotency_key is None:
            return None
        row = scores.under_key(connection, request.client_id, request.idempotency_key)
        if row is None or now_ms - row.at_ms >= REPEAT_MS:
            return None
        if row.request_sha256 != request.digest():
            raise IdempotencyKeyReused("this idempotency key stands for another request")
        return Scored(row.score_id, row.result, repeated=True)


def _check_form(request: ScoreRequest) -> None:
    if request.language not in LANGUAGES:
        raise InvalidInput(f"a language is one of {', '.join(LANGUAGES)}")
    key = request.idempotency_key
    if key is not None and _KEY.fullmatch(key) is None:
        raise InvalidInput("an idempotency key is 1 to 64 letters, digits, - and _")


def _facts(
    request: ScoreRequest,
    start: _Start,
    contributions: Sequence[Contribution],
    evaluated: Evaluated,
    marked: Marks,
    now_ms: int,
) -> ScoreFacts:
    granted, bundle = start.granted, start.scorer.bundle
    ends = [
        one.vector.expires_at_ms
        for one in contributions
        if one.vector is not None and one.vector.expires_at_ms is not None
    ]
    return ScoreFacts(
        score_id=new_id("scr"),
        subject=request.subject_ref,
        consent_id=request.consent_id,
        purpose=request.purpose,
        score=evaluated.score,
        scale=evaluated.scale,
        pd=evaluated.pd,
        band=evaluated.band,
        reasons=evaluated.reasons,
        factors=evaluated.factors,
        coverage=tuple(coverage(one) for one in contributions),
        signal_coverage=evaluated.signal_coverage,
        disputes=disputes(contributions, marked),
        review_pending=marked.review_pending,
        versions=ScoreVersions(
            model=bundle.version,
            catalogue=bundle.manifest.catalogue_version,
            calibration=bundle.manifest.calibration.version,
        ),
        issued_at_ms=now_ms,
        expires_at_ms=min(granted.decision.expires_at_ms, granted.terms.valid_until_ms, *ends),
    )
