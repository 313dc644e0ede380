"""DPoP proofs of calls (RFC 9449): checked each time, believed once."""

import hmac
import threading
import time
from collections.abc import Callable, Collection

from node.access.presented import Presented
from protocols.errors import Malformed, Unavailable
from protocols.jose import Compact, PublicJwk
from protocols.oauth import (
    AHEAD_S,
    MAX_TOKEN_BYTES,
    PROOF_AGE_S,
    ProofRefused,
    check_proof,
    proof_key,
)

REMEMBERED_S = PROOF_AGE_S + AHEAD_S + 1
MOST = 1_000_000  # proofs of one turn: twice as many are remembered, about 100 bytes each
KEPT_HEADERS = 1024


class ProofMemoryFull(Unavailable):
    """More proofs were shown within a minute than are remembered."""

    code = "proof_memory_full"
    next_step = "Try again in a minute; lower the clients' rates with `credence client limit`."


class Proofs:
    """Checks proofs of possession; thread-safe.

    Which proofs were shown is remembered for longer than they are valid, in two sets that take
    turns: nothing is ever searched for what is old. It ends with the process, as the tokens do
    that the proofs belong to.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._shown: set[bytes] = set()
        self._before: set[bytes] = set()
        self._turned = time.monotonic()
        # A client sends the same header with every proof: its key is read once.
        self._headers: dict[str, tuple[PublicJwk, str]] = {}

    def check(
        self, presented: Presented, token: str | None = None, bound_to: str | None = None
    ) -> str:
        """The thumbprint of the key that the call was signed with.

        Args:
            presented: what came with the call.
            token: the access token it comes with; None: it asks for one.
            bound_to: thumbprint of the token's key. A proof by any other is not remembered: who
                has a token that is not theirs could fill the memory.

        Raises:
            ProofRefused: there is not exactly one proof, or it is by another key, or it fails a
                check of `protocols.oauth`, or it was shown before.
            ProofMemoryFull: too many were shown.
        """
        proof = _only(presented.proofs)
        key, algorithm = self._key(proof)
        if bound_to is not None and not hmac.compare_digest(key.thumbprint, bound_to):
            raise ProofRefused("the DPoP proof is by another key than the token's")
        shown = check_proof(
            proof,
            key,
            algorithm,
            method=presented.method,
            addresses=presented.addresses,
            token=token,
            now_s=self._now_ms() / 1000,
        )
        self._remember(shown.digest[:16])
        return key.thumbprint

    def _key(self, proof: Compact) -> tuple[PublicJwk, str]:
        known = self._headers.get(proof.head)
        if known is None:
            known = proof_key(proof)
            with self._lock:
                if len(self._headers) >= KEPT_HEADERS:
                    del self._headers[next(iter(self._headers))]
                self._headers[proof.head] = known
        return known

    def _remember(self, digest: bytes) -> None:
        now = time.monotonic()
        with self._lock:
            if now - self._turned >= REMEMBERED_S or len(self._shown) >= MOST:
                if now - self._turned < REMEMBERED_S:
                    raise ProofMemoryFull("too many proofs were shown within a minute")
                self._before, self._shown, self._turned = self._shown, set(), now
            if digest in self._shown or digest in self._before:
                raise ProofRefused("the DPoP proof was shown before")
            self._shown.add(digest)


def _only(values: Collection[str]) -> Compact:
    if len(values) != 1:
        raise ProofRefused("a call has exactly one DPoP proof")
    (value,) = values
    try:
        return Compact.parse(value, max_bytes=MAX_TOKEN_BYTES)
    except Malformed as error:
        raise ProofRefused("the DPoP proof is not a JWT") from error
