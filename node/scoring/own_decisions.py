"""Scores by the institution's own kept model, for its own decisions about its own customers.

The consent is checked as for every score, and what was released to this node is read; nobody is
asked. What is answered is for this institution's staff: no API client is ever given it, because the
model is not differentially private (ADR 0012). The network's score stands beside it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from audit.database import Connection, Database
from audit.leaf import Entry
from audit.store import AuditLog
from models.baselines.kept import KeptModel
from models.baselines.kept_form import Card
from models.calibration import sigmoid
from models.reasons import principal_reasons, reason_text
from node.own_models import OwnModels
from node.scoring.active_model import ActiveModel
from node.scoring.consent import ScoreConsent
from node.scoring.evaluation import check_enough, merge
from node.scoring.sources import ScoreSources
from node.storage import subjects
from node.storage.signals import Signals, matrix
from protocols.identifiers import new_id

PURPOSE = "score"


@dataclass(frozen=True, slots=True)
class _RestsOn:
    consent_id: str
    purpose: str = PURPOSE


@dataclass(frozen=True)
class OwnDecision:
    """What the institution's own model says of one subject.

    Attributes:
        decision_id: stands in the audit log.
        points, pd: by the kept model.
        network_points, network_pd: by the network's bundle on the same signals; None without one.
        reasons: up to four, each its code, text and the points it takes.
    """

    decision_id: str
    model_id: str
    kind: str
    points: int
    pd: float
    network_version: str
    network_points: int | None
    network_pd: float | None
    reasons: tuple[tuple[str, str, float], ...]

    def to_json(self) -> dict[str, Any]:
        """JSON object."""
        reasons = [
            {"code": code, "text": text, "points": points} for code, text, points in self.reasons
        ]
        return {
            "decision_id": self.decision_id,
            "model": self.model_id,
            "kind": self.kind,
            "score": self.points,
            "pd": self.pd,
            "network": {
                "model": self.network_version,
                "score": self.network_points,
                "pd": self.network_pd,
            },
            "reasons": reasons,
            "scope": "own decisions of this institution; not to be passed on",
        }


class OwnDecisions:
    """Scores own customers by the kept model in use; thread-safe."""

    def __init__(
        self,
        *,
        member_id: str,
        database: Database,
        audit: AuditLog,
        own_models: OwnModels,
        model: ActiveModel,
        consent: ScoreConsent,
        sources: ScoreSources,
        now_ms: Callable[[], int],
    ) -> None:
        self._member_id = member_id
        self._database = database
        self._audit = audit
        self._own_models = own_models
        self._model = model
        self._consent = consent
        self._sources = sources
        self._now_ms = now_ms

    def decide(self, subject_ref: str, consent_id: str, language: str = "en") -> OwnDecision:
        """Score one subject and log it, in one transaction.

        Args:
            subject_ref: the subject, as this node refers to them.
            consent_id: the consent it rests on; it must grant the purpose `score`.
            language: of the reasons' texts, one of `models.reasons.LANGUAGES`.

        Raises:
            OwnModelUnknown, OwnModelStale: no kept model may decide.
            UnknownSubject: the subject is not known here.
            ReleaseRefused: the consent does not allow it; the class says why.
            InsufficientData: nothing is known of the subject.
            InvalidInput: no such language.
        """
        with self._database.write() as connection:
            now_ms = self._now_ms()
            kept, card = self._own_models.in_use(connection, now_ms)
            subject = subjects.by_ref(connection, subject_ref)
            asked = _RestsOn(consent_id)
            granted = self._consent.check(connection, subject, asked, now_ms)
            readable = self._sources.readable(
                granted.terms, granted.decision, kept.encoder.catalogue
            )
            here = self._sources.kept_of(connection, [subject.pseudonym], now_ms)
            said = here.under(granted.terms, PURPOSE)
            merged = merge(self._sources.contributions(readable, said, {}))
            check_enough(merged)
            decision = self._decision(connection, kept, card, merged, language)
            self._consent.use(connection, [granted])
            entry = Entry(
                kind="score.own",
                actor=self._member_id,
                purpose=PURPOSE,
                correlation=decision.decision_id,
                payload=decision.to_json() | {"consent_id": consent_id},
                subject=subject.pseudonym,
                at_ms=now_ms,
            )
            self._audit.append(connection, entry)
        return decision

    def _decision(
        self,
        connection: Connection,
        kept: KeptModel,
        card: Card,
        merged: Signals,
        language: str,
    ) -> OwnDecision:
        encoder = kept.encoder
        status, value = matrix([merged], [spec.id for spec in encoder.catalogue.signals])
        logit = kept.logit(encoder.encode(status, value))
        lost = kept.points_lost(status, value)
        (reasons,) = principal_reasons(lost[np.newaxis], encoder)
        network = self._model.get(connection) if card.shared_version else None
        scores = network.score(status, value) if network is not None else None
        return OwnDecision(
            decision_id=new_id("own"),
            model_id=card.model_id,
            kind=card.kind,
            points=int(kept.scale.points(logit)[0]),
            pd=float(sigmoid(logit)[0]),
            network_version=card.shared_version,
            network_points=None if scores is None else int(scores.points[0]),
            network_pd=None if scores is None else float(scores.pd[0]),
            reasons=tuple(
                (one.code, reason_text(one.code, language), one.points) for one in reasons
            ),
        )
