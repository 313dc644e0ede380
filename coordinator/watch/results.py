"""What watches find: signed, kept, and turned into alerts, in the transaction that ends the watch.

A result is a document of kind "watch". The campaign that makes a model leaves one too, without
findings: the score's distribution then, which later watches are read against. Signals are read
against the first watch of the version, since a campaign does not tally them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from audit.database import Connection
from coordinator.schedule import TRAINING, Scheduler
from coordinator.storage import watch as rows
from coordinator.storage.watch import ResultRow
from coordinator.watch.alerts import Alerts
from coordinator.watch.rules import DRIFT, OF_WATCHES, of_watch
from models.bundle import Bundle
from models.drift import Estimate, Findings, findings
from models.plan import CampaignPlan
from models.watch_tally import Counted
from protocols.canonical import canonical_json
from protocols.documents import Document, sign_document, verify_document
from protocols.keys import SigningKey, VerifyKey

KIND: Final = "watch"
FORMAT: Final = 1
AUC: Final = "auc"


@dataclass(frozen=True)
class Result:
    """A watch's result as it is read.

    Attributes:
        campaign_id: of the watch, or of the campaign that made the model.
        bundle_version: the model.
        at_ms: UTC milliseconds.
        members: whose people were counted.
        epsilon: ceiling of what it cost each of them; 0 of a reference, which cost nothing more.
        delta: where that holds.
        counts: what was counted.
        findings: the JSON of `models.drift.Findings`; None of a reference.
        against: id of the campaign that the score is read against.
    """

    campaign_id: str
    bundle_version: str
    at_ms: int
    members: tuple[str, ...]
    epsilon: float
    delta: float
    counts: Counted
    findings: Mapping[str, Any] | None
    against: str

    @property
    def psi(self) -> Estimate | None:
        """Of the score."""
        found = None if self.findings is None else self.findings["psi"]
        return None if found is None else Estimate.from_json(found)

    def to_body(self) -> bytes:
        """The document body, canonical JSON."""
        return canonical_json(
            {
                "format": FORMAT,
                "campaign_id": self.campaign_id,
                "bundle_version": self.bundle_version,
                "at_ms": self.at_ms,
                "members": list(self.members),
                "epsilon": self.epsilon,
                "delta": self.delta,
                "counts": self.counts.to_json(),
                "findings": None if self.findings is None else dict(self.findings),
                "against": self.against,
            }
        )


def read_result(row: ResultRow, key: VerifyKey) -> Result:
    """Read a stored result.

    Raises:
        SignatureInvalid, Malformed: the row was changed.
    """
    document = Document(KIND, 0, row.body, row.signature, row.key_id)
    body = verify_document(document, key, KIND)
    return Result(
        campaign_id=str(body["campaign_id"]),
        bundle_version=str(body["bundle_version"]),
        at_ms=int(body["at_ms"]),
        members=tuple(body["members"]),
        epsilon=float(body["epsilon"]),
        delta=float(body["delta"]),
        counts=Counted.from_json(body["counts"]),
        findings=body["findings"],
        against=str(body["against"]),
    )


@dataclass(frozen=True)
class Watches:
    """Keeps what watches find, in the caller's transaction.

    Attributes:
        key: the network's directory key.
        alerts: what is raised.
        scheduler: what drift may make due.
    """

    key: SigningKey
    alerts: Alerts
    scheduler: Scheduler

    def deposit(
        self,
        connection: Connection,
        plan: CampaignPlan,
        version: str,
        counts: Counted,
        members: Sequence[str],
        at_ms: int,
    ) -> None:
        """Keep how the score was distributed when the model was made."""
        made = Result(
            campaign_id=plan.campaign_id,
            bundle_version=version,
            at_ms=at_ms,
            members=tuple(sorted(members)),
            epsilon=0.0,
            delta=plan.privacy.delta,
            counts=counts,
            findings=None,
            against=plan.campaign_id,
        )
        self._keep(connection, made)

    def conclude(
        self,
        connection: Connection,
        plan: CampaignPlan,
        bundle: Bundle,
        counts: Counted,
        members: Sequence[str],
        at_ms: int,
    ) -> Result:
        """Read a watch against its reference, keep it, raise and clear alerts.

        Args:
            connection: of a write transaction.
            plan: of the watch.
            bundle: the model that was watched.
            counts: what was counted.
            members: whose people.
            at_ms: UTC milliseconds.
        """
        reference, against = self._reference(connection, bundle.version, counts, plan.campaign_id)
        found = findings(counts, reference, bundle.manifest.calibration)
        made = Result(
            campaign_id=plan.campaign_id,
            bundle_version=bundle.version,
            at_ms=at_ms,
            members=tuple(sorted(members)),
            epsilon=plan.privacy.epsilon,
            delta=plan.privacy.delta,
            counts=counts,
            findings=found.to_json(),
            against=against,
        )
        self._keep(connection, made)
        self._tell(connection, bundle, found, at_ms)
        return made

    def _tell(self, connection: Connection, bundle: Bundle, found: Findings, at_ms: int) -> None:
        conditions = list(of_watch(bundle.version, found, bundle.manifest.metrics.get(AUC)))
        self.alerts.settle(connection, OF_WATCHES, conditions, at_ms)
        worst = [one.rule for one in conditions if one.tone == "danger" and one.rule in DRIFT]
        if worst:
            self.scheduler.bring_forward(connection, TRAINING, worst[0], at_ms)

    def _keep(self, connection: Connection, made: Result) -> None:
        signed = sign_document(KIND, made.to_body(), self.key)
        row = ResultRow(
            campaign_id=made.campaign_id,
            bundle_version=made.bundle_version,
            body=signed.body,
            signature=signed.signature,
            key_id=signed.key_id,
            at_ms=made.at_ms,
        )
        rows.add_result(connection, row)

    def _reference(
        self, connection: Connection, version: str, counts: Counted, campaign_id: str
    ) -> tuple[Counted, str]:
        earlier = [
            read_result(row, self.key.verify_key)
            for row in rows.first_results(connection, version, 2)
        ]
        if not earlier:
            return counts, campaign_id
        score = earlier[0].counts
        watched = next((one.counts for one in earlier if one.counts.signals), None)
        if watched is None:
            return score, earlier[0].campaign_id
        return (
            replace(score, signals=watched.signals, signal_noise=watched.signal_noise),
            earlier[0].campaign_id,
        )
