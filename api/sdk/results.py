"""What calls give: frozen dataclasses with the field names of the API."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Scale:
    """Ends of the points scale."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Band:
    """The band a score lies in, and the band's own probability of default."""

    code: str
    pd: float


@dataclass(frozen=True, slots=True)
class PdInterval:
    """Where the PD lies as far as the calibration knows, this share of times."""

    low: float
    high: float
    level: float


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Why there is no score: `no_data` or `too_thin`."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the score is not higher; the heaviest first."""

    code: str
    family: str
    text: str
    direction: str
    points: float


@dataclass(frozen=True, slots=True)
class Factor:
    """What one family of signals does to the score."""

    family: str
    code: str
    points: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """What one institution contributed; `status`: own, cached, fetched, refused, unavailable."""

    source: str
    status: str
    code: str
    present: int
    none_on_record: int
    missing: int
    as_of_ms: int | None = None
    disputed: int = 0
    frozen: bool = False


@dataclass(frozen=True, slots=True)
class Dispute:
    """An item that the subject disputes, or has stated something about."""

    source: str
    signal: str
    status: str
    since_ms: int | None = None
    statement: str = ""


@dataclass(frozen=True, slots=True)
class Versions:
    """What computed the score."""

    model: str
    catalogue: int
    calibration: int


@dataclass(frozen=True, slots=True)
class Promise:
    """The log's signed promise to keep the score's entry at its place."""

    log: str
    seq: int
    leaf_hash: str
    tree_size: int
    root: str
    signature: str


@dataclass(frozen=True, slots=True)
class Score:
    """A score, or why there is none (`exclusion`).

    `raw` is the whole answer, with what this SDK does not know yet.
    """

    score_id: str
    subject: str
    consent_id: str
    purpose: str
    scale: Scale
    versions: Versions
    issued_at_ms: int
    expires_at_ms: int
    receipt: Promise
    score: int | None = None
    pd: float | None = None
    pd_interval: PdInterval | None = None
    band: Band | None = None
    exclusion: Exclusion | None = None
    product: str = "standard"
    consent_uses_left: int | None = None
    reasons: tuple[Reason, ...] = ()
    factors: tuple[Factor, ...] = ()
    coverage: tuple[Coverage, ...] = ()
    signal_coverage: float = 0.0
    disputes: tuple[Dispute, ...] = ()
    review_pending: bool = False
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class LogLeaf:
    """The public part of one entry of a log."""

    seq: int
    leaf: str
    leaf_hash: str


@dataclass(frozen=True, slots=True)
class WebhookKey:
    """A public key that an endpoint's messages are signed with; `until_ms` None: it is in force."""

    public: str
    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """Where a node tells a client of events."""

    endpoint_id: str
    url: str
    types: tuple[str, ...]
    state: str
    keys: tuple[WebhookKey, ...]
    created_at_ms: int
    changed_at_ms: int
    disabled_for: str = ""
    failing_since_ms: int | None = None

    @property
    def public_keys(self) -> list[str]:
        """What `verify_webhook` takes."""
        return [key.public for key in self.keys]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to deliver a message; `failure` empty: it was taken."""

    at_ms: int
    ms: int
    status: int | None = None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message on its way to one endpoint."""

    delivery_id: str
    message_id: str
    type: str
    state: str
    created_at_ms: int
    attempts: tuple[Attempt, ...] = ()
    next_attempt_at_ms: int | None = None
