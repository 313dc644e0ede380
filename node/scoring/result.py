"""What a score call answers: the score, how sure, why, from what, by which versions, with proof."""

from dataclasses import dataclass

import orjson


@dataclass(frozen=True, slots=True)
class ScaleEnds:
    """Ends of the points scale."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class PdInterval:
    """How sure the calibration is of a PD; `models.calibration.deviations` says what of.

    Attributes:
        low, high: its ends.
        level: share of times that it covers, 0.95.
    """

    low: float
    high: float
    level: float


@dataclass(frozen=True, slots=True)
class ScoreExclusion:
    """Why there is no score.

    Attributes:
        code: `no_data` or `too_thin`.
        text: what it says to a person.
    """

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class ScoreBand:
    """The band the score lies in, and the band's own probability of default."""

    code: str
    pd: float


@dataclass(frozen=True, slots=True)
class ScoreReason:
    """One principal reason why the score is not higher.

    Attributes:
        code: stable code of the reason.
        family: reasons of one family are told once.
        text: what it says to a person.
        direction: `lowers`: it takes points from the score.
        points: how many, against an unremarkable profile.
    """

    code: str
    family: str
    text: str
    direction: str
    points: float


@dataclass(frozen=True, slots=True)
class ScoreFactor:
    """What one family of signals does to the score, for better or worse.

    Attributes:
        family: as in `ScoreReason`.
        code: the signal that weighs most in it.
        points: added to the score against an unremarkable profile; below 0, taken from it.
    """

    family: str
    code: str
    points: float


@dataclass(frozen=True, slots=True)
class SourceCoverage:
    """What one institution contributed.

    Attributes:
        source: member id.
        status: `own` (this node's records), `cached` or `fetched` (released under this consent),
            `refused`, or `unavailable` (it did not answer in time, or not at all).
        code: stable code behind `refused` or `unavailable`, else empty.
        present: signals with a value.
        none_on_record: signals it looked for and found nothing.
        missing: signals it could not or may not give.
        as_of_ms: the time its signals describe; None: it gave none.
        disputed: signals that the person disputes; the score does not rest on them.
        frozen: whether the person froze what it keeps of them, so that it gave nothing or less.
    """

    source: str
    status: str
    code: str
    present: int
    none_on_record: int
    missing: int
    as_of_ms: int | None
    disputed: int = 0
    frozen: bool = False


@dataclass(frozen=True, slots=True)
class DisputedItem:
    """An item that the person disputes, or has stated something about.

    Attributes:
        source: member id of who furnished it.
        signal: the item.
        status: `disputed`: not resolved yet, the score does not rest on it; `stated`: it was
            looked into, and what the person states stays beside it.
        since_ms: since when, as far as this node knows; None: its holder says so alone.
        statement: the person's own words, at most 200 characters; may be empty.
    """

    source: str
    signal: str
    status: str
    since_ms: int | None
    statement: str


@dataclass(frozen=True, slots=True)
class ScoreVersions:
    """What computed it: enough to compute it again."""

    model: str
    catalogue: int
    calibration: int


@dataclass(frozen=True, slots=True)
class ScoreReceipt:
    """Where the score stands in the node's audit log.

    Attributes:
        log: origin of the log.
        seq: sequence number of the leaf.
        leaf_hash: hex, RFC 9162 leaf hash.
        tree_size: leaves in the log right after it.
        root: hex, root of that tree.
        signature: hex, the log's promise to keep this leaf there (`audit.verifier.promise`).
    """

    log: str
    seq: int
    leaf_hash: str
    tree_size: int
    root: str
    signature: str

    def to_text(self) -> str:
        """As JSON."""
        return orjson.dumps(self).decode()


@dataclass(frozen=True, slots=True)
class ScoreFacts:
    """A score before it is written down; fields as in the answer.

    Attributes:
        product: what was asked for.
        score: points on `scale`; None, as `pd` and `band`, when there is an `exclusion`.
        pd: calibrated probability of default.
        pd_interval: None: the bundle does not say how sure its calibration is.
        exclusion: why there is no score; None: there is one.
        signal_coverage: share of the catalogue's signals that said something, 0..1.
        disputes: items that the person disputes or has stated something about.
        review_pending: whether the person asked for a human review that is not decided yet.
        consent_uses_left: scores that the consent still allows here after this one; None: this
            node counts none, for the consent does not name it as a holder.
        expires_at_ms: when it must not be used any more.
    """

    score_id: str
    subject: str
    consent_id: str
    purpose: str
    product: str
    score: int | None
    scale: ScaleEnds
    pd: float | None
    pd_interval: PdInterval | None
    band: ScoreBand | None
    exclusion: ScoreExclusion | None
    reasons: tuple[ScoreReason, ...]
    factors: tuple[ScoreFactor, ...]
    coverage: tuple[SourceCoverage, ...]
    signal_coverage: float
    disputes: tuple[DisputedItem, ...]
    review_pending: bool
    versions: ScoreVersions
    consent_uses_left: int | None
    issued_at_ms: int
    expires_at_ms: int

    def to_text(self) -> str:
        """As JSON."""
        return orjson.dumps(self).decode()
