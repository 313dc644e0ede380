"""What a score was computed from, kept sealed so that it can be computed again.

Sealed under a data key of the person (`audit.shredding`), so that erasure makes every copy
unreadable; the row goes when the first of the signals' lives is over, and with the consent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from audit.database import Connection
from audit.shredding import DataKeys, PayloadErased
from node.storage import score_inputs
from node.storage.score_inputs import InputRow
from node.storage.signals import Signals
from protocols import aead
from protocols.errors import CredenceError

KEY_PURPOSE = "score_input"


class ScoreInputsGone(CredenceError):
    """What the score was computed from is not kept any more."""

    code = "score_inputs_gone"
    category = "not_found"
    next_step = "Ask for a new score: inputs are kept only as long as the consent lets data live."


@dataclass(frozen=True, slots=True)
class ScoreInput:
    """The input of one score.

    Attributes:
        score_id: of which score.
        language: of the reasons' texts.
        merged: signal id -> (status, value), as the model read them.
        expires_at_ms: until when it may be kept.
    """

    score_id: str
    language: str
    merged: Signals
    expires_at_ms: int


class ScoreInputs:
    """Seals, stores and opens inputs; thread-safe."""

    def __init__(self, data_keys: DataKeys) -> None:
        self._data_keys = data_keys

    def keep(self, connection: Connection, kept: Sequence[tuple[bytes, ScoreInput]]) -> None:
        """Store inputs, each with whose it is, in the transaction that stored their scores."""
        keys = self._data_keys.keys_for((person, KEY_PURPOSE) for person, _ in kept)
        rows = []
        for person, one in kept:
            key = keys[person, KEY_PURPOSE]
            plain = orjson.dumps({"language": one.language, "signals": one.merged})
            sealed = aead.encrypt(key.key, plain, _identity(one.score_id))
            rows.append(InputRow(one.score_id, key.key_id, sealed, one.expires_at_ms))
        score_inputs.add_many(connection, rows)

    def open(self, connection: Connection, score_id: str, now_ms: int) -> ScoreInput:
        """The input of a score.

        Raises:
            ScoreInputsGone: its life is over, or the person's keys were destroyed.
        """
        row = score_inputs.find(connection, score_id, now_ms)
        if row is None:
            raise ScoreInputsGone("what this score was computed from is not kept any more")
        try:
            key = self._data_keys.key(row.key_id)
        except PayloadErased:
            raise ScoreInputsGone("what this score was computed from was erased") from None
        plain = orjson.loads(aead.decrypt(key.key, row.sealed, _identity(score_id)))
        pairs: Mapping[str, Sequence[float]] = plain["signals"]
        merged = {name: (int(status), float(value)) for name, (status, value) in pairs.items()}
        return ScoreInput(score_id, plain["language"], merged, row.expires_at_ms)


def _identity(score_id: str) -> bytes:
    """Associated data: one score's input is not another's."""
    return b"credence/1|score-input|" + score_id.encode()
