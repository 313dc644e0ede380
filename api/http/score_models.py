"""What the score routes read and write, as OpenAPI shows it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

_SUBJECT = "sub_7x3k2m4p6q8r9s1t5v7w2x4y6z"
_CONSENT = "con_2b4d6f8h1j3l5n7p9r2t4v6x8z"


class ScoreRequestBody(BaseModel):
    """A score call: who, under which consent, for what."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "subject": _SUBJECT,
                    "consent_id": _CONSENT,
                    "purpose": "score",
                    "product": "standard",
                }
            ]
        },
    )

    subject: str = Field(
        min_length=1, max_length=40, description="The subject, as this node refers to them."
    )
    consent_id: str = Field(
        min_length=1, max_length=40, description="The subject's consent that the call rests on."
    )
    purpose: Literal["score"] = Field(description="A purpose that the consent grants.")
    product: str = Field(
        default="standard",
        pattern="^[a-z0-9][a-z0-9_-]{0,39}$",
        description="What is asked for: a product that the node set up for this client.",
    )
    language: Literal["en", "zh-Hans", "zh-Hant"] = Field(
        default="en", description="Language of the reasons' texts."
    )


class Scale(BaseModel):
    """Ends of the points scale."""

    low: int = Field(examples=[300])
    high: int = Field(examples=[850])


class Band(BaseModel):
    """The band the score lies in."""

    code: str = Field(examples=["B"])
    pd: float = Field(description="Probability of default of the band as a whole.")


class Interval(BaseModel):
    """Where the PD lies as far as the calibration knows, at this level.

    It covers the drawing of the people the calibration was made on, the noise that privacy added to
    their counts and how well the curve fits them; not the noise on the model's weights, nor
    whatever is not known of this subject.
    """

    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)
    level: float = Field(examples=[0.95])


class Exclusion(BaseModel):
    """Why there is no score."""

    code: Literal["no_data", "too_thin"]
    text: str = Field(
        examples=["Your credit history is too thin for a score that would mean something."]
    )


class Reason(BaseModel):
    """Why the score is not higher; the heaviest first."""

    code: str = Field(examples=["revolving_utilisation"])
    family: str = Field(examples=["utilisation"])
    text: str = Field(examples=["Much of the credit limit is in use."])
    direction: Literal["lowers"]
    points: float = Field(description="Points taken, against an unremarkable profile.")


class Factor(BaseModel):
    """What one family of signals does to the score; every family once, the heaviest first."""

    family: str = Field(examples=["payment"])
    code: str = Field(description="The signal that weighs most in it.", examples=["paid_ratio_3m"])
    points: float = Field(
        description="Points added, against an unremarkable profile; below 0: taken."
    )


class Coverage(BaseModel):
    """What one institution contributed."""

    source: str = Field(examples=["payments"])
    status: Literal["own", "cached", "fetched", "refused", "unavailable"]
    code: str = Field(description="Stable code behind `refused` or `unavailable`, else empty.")
    present: int = Field(description="Signals with a value.")
    none_on_record: int = Field(description="Signals it looked for and found nothing.")
    missing: int = Field(description="Signals it could not or may not give.")
    as_of_ms: int | None
    disputed: int = Field(description="Signals that the subject disputes; not scored with.")
    frozen: bool = Field(
        description="The subject froze what this source keeps, so that it gave nothing or less."
    )


class Dispute(BaseModel):
    """An item that the subject disputes, or has stated something about."""

    source: str = Field(examples=["payments"])
    signal: str = Field(examples=["paid_ratio_1m"])
    status: Literal["disputed", "stated"] = Field(
        description="`disputed`: not resolved yet, the score does not rest on it. `stated`: it was "
        "looked into, and the subject's statement stays beside it."
    )
    since_ms: int | None
    statement: str = Field(max_length=200, description="The subject's own words; may be empty.")


class Versions(BaseModel):
    """What computed the score."""

    model: str
    catalogue: int
    calibration: int


class Receipt(BaseModel):
    """Where the score stands in the node's audit log (RFC 9162)."""

    log: str = Field(examples=["bank-a.members.credence"])
    seq: int
    leaf_hash: str = Field(pattern="^[0-9a-f]{64}$")
    tree_size: int
    root: str = Field(pattern="^[0-9a-f]{64}$")
    signature: str = Field(
        pattern="^[0-9a-f]{128}$",
        description="The log's promise to keep this entry there; `GET /v1/log/receipts/{seq}` "
        "proves it once witnesses have cosigned.",
    )


class ScoreAnswer(BaseModel):
    """A score: calibrated, explained, reproducible, logged."""

    model_config = ConfigDict(extra="forbid")

    score_id: str = Field(examples=["scr_019a3f5b2c4e8d17f0a6b3c5e2d49f81"])
    subject: str = Field(examples=[_SUBJECT])
    consent_id: str = Field(examples=[_CONSENT])
    purpose: str = Field(examples=["score"])
    product: str = Field(examples=["standard"])
    score: int | None = Field(examples=[712], description="Null with an `exclusion`.")
    scale: Scale
    pd: float | None = Field(ge=0, le=1, description="Calibrated probability of default.")
    pd_interval: Interval | None = Field(
        description="Null: the model in use does not say how sure its calibration is."
    )
    band: Band | None
    exclusion: Exclusion | None = Field(
        description="Why there is no score: too little is known for a number to mean something."
    )
    reasons: list[Reason] = Field(max_length=4)
    factors: list[Factor]
    coverage: list[Coverage] = Field(description="One entry a source, this node first.")
    signal_coverage: float = Field(
        ge=0, le=1, description="Share of the catalogue's signals that said something."
    )
    disputes: list[Dispute]
    review_pending: bool = Field(
        description="The subject asked for a human review that is not decided yet."
    )
    versions: Versions
    consent_uses_left: int | None = Field(
        description="Scores that the consent still allows here. Null: this node is no holder under "
        "it and counts none; the holders count their own."
    )
    issued_at_ms: int = Field(description="UTC milliseconds.")
    expires_at_ms: int = Field(description="The score must not be used after this time.")
    receipt: Receipt
