"""Whom a reader believes: the log's key, and the witnesses who must have cosigned.

A reader brings a policy (`audit.verifier.policy`), or the log's key alone, or nothing; and perhaps
checkpoints that he kept from elsewhere. With nothing, a file can only be said to agree with itself.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from audit.verifier.note import Checkpoint, Note, NoteKey
from audit.verifier.policy import Policy
from audit.verifier.report import CheckpointResult, Outcome


@dataclass(frozen=True, slots=True)
class Expected:
    """A checkpoint to compare with.

    Attributes:
        checkpoint: what the log said.
        signed: whether a key that the reader brought signed it.
        witnessed: whether the reader's policy is met; False without one.
        witnesses: the organisations that cosigned, as far as the policy counts them.
    """

    checkpoint: Checkpoint
    signed: bool
    witnessed: bool = False
    witnesses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trust:
    """What a reader brings.

    Attributes:
        keys: keys of the log; those of the policy where that is given.
        policy: None: no witness is asked for.
        kept: checkpoints from elsewhere.
    """

    keys: tuple[NoteKey, ...] = ()
    policy: Policy | None = None
    kept: tuple[Expected, ...] = ()

    @classmethod
    def of(cls, keys: Sequence[NoteKey], policy: Policy | None, kept: Sequence[bytes]) -> "Trust":
        """Read the kept checkpoints.

        Raises:
            Malformed: one is none.
            SignatureInvalid: one is not signed by the given keys.
        """
        all_keys = (*keys, *(policy.log_keys if policy else ()))
        trust = cls(all_keys, policy)
        return cls(all_keys, policy, tuple(trust.judge(one) for one in kept))

    def judge(self, data: bytes, named: NoteKey | None = None) -> Expected:
        """Read a checkpoint, and see who stands behind it.

        Args:
            data: a signed note.
            named: key to verify with where the reader brought none.

        Raises:
            Malformed: no checkpoint.
            SignatureInvalid: not signed as the reader asks.
        """
        if self.policy is not None:
            found = self.policy.check(data)
            return Expected(found.checkpoint, signed=True, witnessed=found.met,
                            witnesses=found.organisations)  # fmt: skip
        note = Note.parse(data)
        keys = self.keys or ((named,) if named else ())
        if keys:
            note.verify(keys)
        return Expected(Checkpoint.parse(note.text), signed=bool(self.keys))

    def compare(self, shown: Checkpoint) -> list[CheckpointResult]:
        """The kept checkpoints beside one that a file shows; of another size none can speak."""
        found = []
        for one in self.kept:
            kept = one.checkpoint
            reason, covered = "", True
            if kept.origin != shown.origin:
                reason = f"it is of another log, the file of {shown.origin}"
            elif kept.size != shown.size:
                covered = False
                reason = f"the file speaks of {shown.size} leaves: ask for a consistency proof"
            elif not hmac.compare_digest(kept.root, shown.root):
                reason = f"the log showed another root for the same {kept.size} leaves"
            found.append(
                CheckpointResult(
                    kept.origin,
                    kept.size,
                    one.signed,
                    matches=not reason,
                    reason=reason,
                    covered=covered,
                )
            )
        return found


NO_TRUST = Trust()
"""A reader who brings nothing."""


def outcome_of(compared: Sequence[CheckpointResult], trust: Trust) -> Outcome:
    """What the checkpoints make of something that agrees with itself.

    `diverged`: one contradicts it. `unwitnessed`: none that matches has the cosignatures that the
    policy asks for, or one that the reader kept could not be compared.
    """
    if any(item.covered and not item.matches for item in compared):
        return Outcome.DIVERGED
    if not all(item.covered for item in compared):
        return Outcome.UNWITNESSED
    if trust.policy is not None and not any(item.witnessed for item in compared):
        return Outcome.UNWITNESSED
    return Outcome.VALID
