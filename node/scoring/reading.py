"""Scores that were given out, read again while their consent and their life allow it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from audit.database import Connection, Database
from audit.leaf import Entry
from audit.store import AuditLog
from node.scoring.active_model import ActiveModel
from node.scoring.consent import Granted, ScoreConsent
from node.scoring.flags import flagged
from node.scoring.requests import Scored, ScoreExpired, ScoreRequest, ScoreUnknown
from node.scoring.sources import ScoreSources
from node.storage import scores, subjects
from node.storage.scores import ScoreRow
from node.storage.subjects import Subject
from protocols.errors import CredenceError


@dataclass(frozen=True, slots=True)
class Found:
    """A score whose consent allows that its client looks at it now."""

    row: ScoreRow
    subject: Subject
    granted: Granted
    scored: Scored


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
        found = self.read_many([score_id], client_id)[score_id]
        if isinstance(found, CredenceError):
            raise found
        return found

    def read_many(
        self, score_ids: Sequence[str], client_id: str
    ) -> Mapping[str, Scored | CredenceError]:
        """Scores by id, each with what is disputed now or why it may not be read, all at once."""
        told: dict[str, Scored | CredenceError] = {}
        entries: list[Entry] = []
        # Beside others: what ends a consent excludes this, and this changes nothing.
        with self._database.write(parallel=True) as connection:
            now_ms = self._now_ms()
            for score_id in score_ids:
                try:
                    found = self.find(connection, score_id, client_id, now_ms)
                    check_alive(found, now_ms)
                    told[score_id] = self._as_now(connection, found, now_ms)
                except CredenceError as error:
                    told[score_id] = error
                    continue
                entries.append(looked("score.read", found, now_ms))
            submitted = self._audit.submit(connection, entries) if entries else []
        self._audit.wait(submitted)
        return told

    def find(self, connection: Connection, score_id: str, client_id: str, now_ms: int) -> Found:
        """A score that this client was given, whose consent allows looking at it.

        Raises:
            ScoreUnknown, ReleaseRefused: as `read`.
        """
        row = scores.find(connection, score_id)
        if row is None or row.client_id != client_id:
            raise ScoreUnknown("no such score was given to this client")
        subject = subjects.by_ref(connection, row.subject_ref)
        request = ScoreRequest(row.subject_ref, row.consent_id, row.purpose, client_id)
        granted = self._consent.check_reading(connection, subject, request, now_ms)
        return Found(row, subject, granted, Scored(row.score_id, row.result, repeated=True))

    def check_model(self) -> str:
        """The version of the model in use.

        Raises:
            NoModel, BundleInvalid, SignatureInvalid: there is none that can be used.
        """
        with self._database.read() as connection:
            return self._model.get(connection).bundle.version

    def _as_now(self, connection: Connection, found: Found, now_ms: int) -> Scored:
        catalogue = self._model.get(connection).encoder.catalogue
        granted = found.granted
        readable = self._sources.readable(granted.terms, granted.decision, catalogue)
        pseudonym = found.subject.pseudonym
        kept = self._sources.kept_of(connection, [pseudonym], now_ms)
        body = flagged(found.scored.body, kept.marks(pseudonym), readable)
        return Scored(found.scored.score_id, body, repeated=True)


def check_alive(found: Found, now_ms: int) -> None:
    """Whether a score may still be used.

    Raises:
        ScoreExpired: its life is over.
    """
    if now_ms >= found.scored.answer["expires_at_ms"]:
        raise ScoreExpired("this score may not be used any more")


def looked(kind: str, found: Found, now_ms: int) -> Entry:
    """The entry that a client looked at a score."""
    row = found.row
    return Entry(
        kind=kind,
        actor=row.client_id,
        purpose=row.purpose,
        correlation=row.score_id,
        payload={"score_id": row.score_id},
        subject=found.subject.pseudonym,
        at_ms=now_ms,
    )
