"""What a score call asks for, what it is given, and how it may fail by itself."""

import json
import re
from dataclasses import dataclass
from typing import Any

from models.reasons import LANGUAGES
from node.scoring.products import STANDARD, check_name
from protocols.canonical import canonical_json, sha256
from protocols.errors import CredenceError, InvalidInput, NotFound

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
        product: what is asked for; `node.scoring.products`.
        generation: of the client's tokens when it was recognised; None: it is not asked whether
            the client is still valid.
    """

    subject_ref: str
    consent_id: str
    purpose: str
    client_id: str
    language: str = "en"
    idempotency_key: str | None = None
    product: str = STANDARD
    generation: int | None = None

    @property
    def named(self) -> tuple[str, str] | None:
        """The client and its name for this call, or None."""
        return None if self.idempotency_key is None else (self.client_id, self.idempotency_key)

    def digest(self) -> bytes:
        """SHA-256 of what is asked, without the client and its key."""
        asked = [
            self.subject_ref, self.consent_id, self.purpose, self.language, self.product
        ]  # fmt: skip
        return sha256(canonical_json(asked))

    def check(self) -> None:
        """Whether it is one.

        Raises:
            InvalidInput: the language or the key has the wrong form.
        """
        if self.language not in LANGUAGES:
            raise InvalidInput(f"a language is one of {', '.join(LANGUAGES)}")
        if self.idempotency_key is not None and _KEY.fullmatch(self.idempotency_key) is None:
            raise InvalidInput("an idempotency key is 1 to 64 letters, digits, - and _")
        check_name(self.product)


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
