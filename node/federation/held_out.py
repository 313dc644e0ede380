"""Who of this node's people never trains in a campaign, and is only measured on.

A keyed hash of the campaign's split and the pseudonym decides, against the plan's share. It looks
at nothing else: not at signals, outcomes, consents or who else is there. So who is held out is the
same in every round and after every restart, does not change when somebody joins or withdraws, and
is known to nobody without this node's key; over the campaigns of different splits everybody's
consent comes to be used.
"""

import hashlib
import hmac
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.evaluation_plan import EvaluationPlan

_DOMAIN = b"credence/1|held-out|"


class HeldOut:
    """The split of one campaign at one node.

    Args:
        key: 32 secret bytes of the node.
        plan: what the campaign measures.
    """

    def __init__(self, key: bytes, plan: EvaluationPlan) -> None:
        self._key = hmac.digest(key, _DOMAIN + plan.split.encode(), hashlib.sha256)
        self._below = int(plan.held_out * 2.0**64)

    def has(self, pseudonym: bytes) -> bool:
        """Whether this person is held out."""
        digest = hmac.digest(self._key, pseudonym, hashlib.sha256)
        return int.from_bytes(digest[:8], "big") < self._below

    def mask(self, pseudonyms: Sequence[bytes]) -> NDArray[np.bool_]:
        """Who of them is, bool[n]."""
        if not self._below:
            return np.zeros(len(pseudonyms), bool)
        return np.fromiter((self.has(one) for one in pseudonyms), bool, len(pseudonyms))
