"""A past decision computed again, with the model, the calibration and the inputs that it used.

Whoever asks why a score was what it was gets it computed again from the very inputs, which are kept
sealed as long as the consent lets data live (`node.scoring.inputs`), and is told whether it comes
out the same. It makes no new score and spends no use; that it was done is in the log.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from audit.database import Database
from audit.leaf import Entry
from audit.store import AuditLog
from node.scoring.active_model import ActiveModel
from node.scoring.evaluation import Evaluated, evaluate_many
from node.scoring.inputs import ScoreInputs
from node.scoring.reading import Found, ScoreReader
from node.scoring.result import ScoreReceipt

KIND = "score.recomputed"
FIELDS = (
    "score", "scale", "pd", "pd_interval", "band", "exclusion", "reasons", "factors",
    "signal_coverage",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recomputed:
    """What a past decision comes out as.

    Attributes:
        score_id: of which score.
        equal: whether it comes out as it was given out.
        differences: fields of the answer that do not.
        result: the fields as computed now (`FIELDS`).
        versions: what computed it, then and now.
        computed_at_ms: when.
        receipt: of the log's entry about it.
    """

    score_id: str
    equal: bool
    differences: tuple[str, ...]
    result: dict[str, Any]
    versions: dict[str, Any]
    computed_at_ms: int
    receipt: ScoreReceipt

    def to_json(self) -> dict[str, Any]:
        """JSON object."""
        return {
            "score_id": self.score_id,
            "equal": self.equal,
            "differences": list(self.differences),
            **self.result,
            "versions": self.versions,
            "computed_at_ms": self.computed_at_ms,
            "receipt": asdict(self.receipt),
        }


class Rescoring:
    """Computes past decisions again; thread-safe."""

    def __init__(
        self,
        *,
        database: Database,
        audit: AuditLog,
        model: ActiveModel,
        reader: ScoreReader,
        inputs: ScoreInputs,
        now_ms: Callable[[], int],
        promise: Callable[[int, bytes], bytes],
    ) -> None:
        self._database = database
        self._audit = audit
        self._model = model
        self._reader = reader
        self._inputs = inputs
        self._now_ms = now_ms
        self._promise = promise

    def rescore(self, score_id: str, client_id: str) -> Recomputed:
        """Compute a score that this client was given again.

        Raises:
            ScoreUnknown: none by that id was given to this client.
            ReleaseRefused: the consent is not in force any more.
            ScoreInputsGone: what it was computed from is not kept any more.
            UnknownModelVersion, BundleInvalid: what computed it is not kept any more.
        """
        with self._database.write() as connection:
            now_ms = self._now_ms()
            found = self._reader.find(connection, score_id, client_id, now_ms)
            kept = self._inputs.open(connection, score_id, now_ms)
            before = found.scored.answer
            scorer = self._model.get(connection, before["versions"]["model"])
            (evaluated,) = evaluate_many(scorer, [kept.merged], [kept.language])
            result = _fields(evaluated)
            differences = tuple(name for name in FIELDS if result[name] != before[name])
            appended = self._audit.append(connection, _entry(found, differences, now_ms))
            head = self._audit.head(connection)
            receipt = ScoreReceipt(
                log=self._audit.origin,
                seq=appended.seq,
                leaf_hash=appended.leaf_hash.hex(),
                tree_size=head.size,
                root=head.root.hex(),
                signature=self._promise(appended.seq, appended.leaf_hash).hex(),
            )
        return Recomputed(
            score_id=score_id,
            equal=not differences,
            differences=differences,
            result=result,
            versions=before["versions"],
            computed_at_ms=now_ms,
            receipt=receipt,
        )


def _fields(evaluated: Evaluated) -> dict[str, Any]:
    # Through JSON, as the answer went: then equal is what its reader would call equal.
    told: dict[str, Any] = orjson.loads(orjson.dumps(evaluated))
    return {name: told[name] for name in FIELDS}


def _entry(found: Found, differences: tuple[str, ...], now_ms: int) -> Entry:
    row = found.row
    return Entry(
        kind=KIND,
        actor=row.client_id,
        purpose=row.purpose,
        correlation=row.score_id,
        payload={"score_id": row.score_id, "differences": list(differences)},
        subject=found.subject.pseudonym,
        at_ms=now_ms,
    )
