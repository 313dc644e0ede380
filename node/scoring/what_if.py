"""What would change a person's score: tried out on their own page, kept nowhere.

It starts from what the newest score was computed from, as long as that is kept
(`node.scoring.inputs`), changes signals that the catalogue marks as changeable by the person, and
evaluates both with the model in use. What was tried and what came out is not written down; that the
person looked is in the log, as everything that opens their data.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from audit.database import Connection, Database
from audit.leaf import Entry
from audit.store import AuditLog
from models.catalogue import Catalogue, SignalStatus
from models.evaluate import Scorer
from node.scoring.active_model import ActiveModel
from node.scoring.evaluation import evaluate_many
from node.scoring.inputs import ScoreInput, ScoreInputs, ScoreInputsGone
from node.storage import scores
from node.storage.signals import Signals
from protocols.errors import InvalidInput

KIND = "score.what_if"
ACTOR = "subject"
UTILISATIONS = (50, 30, 10)  # per cent of the credit limit
MONTHS = (3, 6)
_WINDOW = 6  # months that the catalogue's longest window of statements counts
_LOOKED_AT = 12

Values = dict[str, tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person wants to try.

    Attributes:
        utilisation: per cent of the credit limit that the balance falls to, of `UTILISATIONS`; 0:
            as it is.
        on_time: months of paying on time from now on, of `MONTHS`; 0: as it is.
        in_full: whether bills are paid in full in those months.
    """

    utilisation: int = 0
    on_time: int = 0
    in_full: bool = False

    def check(self) -> None:
        """Whether it is one of the choices there are.

        Raises:
            InvalidInput: it is not.
        """
        if self.utilisation not in {0, *UTILISATIONS} or self.on_time not in {0, *MONTHS}:
            raise InvalidInput("that is none of the choices on the page")


@dataclass(frozen=True, slots=True)
class Tried:
    """What a choice comes to.

    Attributes:
        before, after: points by the model in use; None: too little is known for a score.
        band_before, band_after: bands.
        changed: ids of the signals that the choice changes, in the catalogue's order.
        kept_until_ms: until when this can be tried from the same figures.
    """

    before: int | None
    after: int | None
    band_before: str
    band_after: str
    changed: tuple[str, ...]
    kept_until_ms: int


class WhatIf:
    """Tries choices out; thread-safe."""

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        model: ActiveModel,
        inputs: ScoreInputs,
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._audit = audit
        self._model = model
        self._inputs = inputs
        self._now_ms = now_ms

    def try_out(self, subject_ref: str, pseudonym: bytes, choice: Choice) -> Tried:
        """What a choice would come to, for the person themselves.

        Raises:
            InvalidInput: no such choice.
            ScoreInputsGone: nothing is kept that it could start from.
            NoModel, BundleInvalid, SignatureInvalid: no model can be used.
        """
        choice.check()
        with self._database.write(parallel=True) as connection:
            now_ms = self._now_ms()
            kept = self._newest(connection, subject_ref, now_ms)
            scorer = self._model.get(connection)
            entry = Entry(
                kind=KIND,
                actor=ACTOR,
                purpose="own",
                correlation=kept.score_id,
                payload={},
                subject=pseudonym,
                at_ms=now_ms,
            )
            submitted = self._audit.submit(connection, [entry])
        self._audit.wait(submitted)
        return _tried(scorer, kept, choice)

    def _newest(self, connection: Connection, subject_ref: str, now_ms: int) -> ScoreInput:
        for row in scores.newest_of(connection, subject_ref, _LOOKED_AT):
            try:
                return self._inputs.open(connection, row.score_id, now_ms)
            except ScoreInputsGone:
                continue
        raise ScoreInputsGone("nothing is kept that this could start from")


def _tried(scorer: Scorer, kept: ScoreInput, choice: Choice) -> Tried:
    changed = changes(scorer.encoder.catalogue, kept.merged, choice)
    before, after = evaluate_many(scorer, [kept.merged, {**kept.merged, **changed}], ["en", "en"])
    return Tried(
        before=before.score,
        after=after.score,
        band_before=before.band.code if before.band else "",
        band_after=after.band.code if after.band else "",
        changed=tuple(spec.id for spec in scorer.encoder.catalogue.signals if spec.id in changed),
        kept_until_ms=kept.expires_at_ms,
    )


def changes(catalogue: Catalogue, known: Signals, choice: Choice) -> Values:
    """The signals that a choice changes, and what they would be.

    Only what has a value now and is marked as changeable is changed, only for the better: paying on
    time for three months leaves what happened in the three before.

    Args:
        catalogue: says which signals a person can change.
        known: signal id -> (status, value).
        choice: what is tried.
    """
    may = {spec.id for spec in catalogue.signals if spec.changeable}
    now = {
        name: value
        for name, (status, value) in known.items()
        if status == int(SignalStatus.PRESENT)
    }
    wanted = _lower_balance(now, choice) | _on_time(now, choice) | _in_full(now, choice)
    return {
        name: (int(SignalStatus.PRESENT), value)
        for name, value in wanted.items()
        if name in may and name in now and value != now[name]
    }


def _lower_balance(now: Mapping[str, float], choice: Choice) -> dict[str, float]:
    if not choice.utilisation or not {"statement_balance", "credit_limit"} <= now.keys():
        return {}
    most = now["credit_limit"] * choice.utilisation / 100
    return {"statement_balance": min(now["statement_balance"], most)}


def _on_time(now: Mapping[str, float], choice: Choice) -> dict[str, float]:
    months = choice.on_time
    if not months:
        return {}
    old = _WINDOW - months  # months of the window that stay as they were
    wanted = {"current_status": min(now.get("current_status", 0.0), 0.0)}
    for name, window in (("worst_status_3m", 3), ("worst_status_6m", 6)):
        if months >= window:
            wanted[name] = min(now.get(name, 0.0), 0.0)
    for name in ("late_months_6m", "late60_months_6m", "unpaid_months_6m"):
        wanted[name] = min(now.get(name, 0.0), float(old))
    wanted["months_since_late"] = now.get("months_since_late", 0.0) + months
    return wanted


def _in_full(now: Mapping[str, float], choice: Choice) -> dict[str, float]:
    if not choice.in_full or not choice.on_time:
        return {}
    wanted = {
        f"paid_ratio_{window}m": max(now.get(f"paid_ratio_{window}m", 0.0), 1.0)
        for window in (1, 3, 6)
        if choice.on_time >= window
    }
    wanted["cleared_months_6m"] = max(now.get("cleared_months_6m", 0.0), float(choice.on_time))
    return wanted
