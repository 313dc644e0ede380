"""Scores that were given out, read again while their consent and their life allow it."""

from collections.abc import Callable

from audit.database import Database
from audit.leaf import Entry
from audit.store import AuditLog
from node.scoring.active_model import ActiveModel
from node.scoring.consent import ScoreConsent
from node.scoring.flags import flagged
from node.scoring.requests import Scored, ScoreExpired, ScoreRequest, ScoreUnknown
from node.scoring.sources import ScoreSources
from node.storage import scores, subjects


class ScoreReader:
    """Reads scores for the client that was given them; thread-safe."""

    def __init__(
        self,
        *,
        database: Database,
        audit: AuditLog,
        model: ActiveModel,
        consent: ScoreConsent,
        sources: ScoreSources,
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._audit = audit
        self._model = model
        self._consent = consent
        self._sources = sources
        self._now_ms = now_ms

    def read(self, score_id: str, client_id: str) -> Scored:
        """A score that the client was given before, with what is disputed and under review now.

        Raises:
            ScoreUnknown: none by that id was given to this client.
            ScoreExpired: its life is over.
            ReleaseRefused: the consent is not in force any more.
        """
        # Beside others: what ends a consent excludes this, and this changes nothing.
        with self._database.write(parallel=True) as connection:
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
            submitted = self._audit.submit(connection, [entry])
            catalogue = self._model.get(connection).encoder.catalogue
            readable = self._sources.readable(granted.terms, granted.decision, catalogue)
            kept = self._sources.kept_of(connection, [subject.pseudonym], now_ms)
            body = flagged(scored.body, kept.marks(subject.pseudonym), readable)
        self._audit.wait(submitted)
        return Scored(scored.score_id, body, repeated=True)

    def check_model(self) -> str:
        """The version of the model in use.

        Raises:
            NoModel, BundleInvalid, SignatureInvalid: there is none that can be used.
        """
        with self._database.read() as connection:
            return self._model.get(connection).bundle.version
