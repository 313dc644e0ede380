"""The C2SP HTTP face of a witness outside the network, from the log's side.

`POST <url>/add-checkpoint` is tlog-witness. Two calls are ours: `GET <url>/latest?origin=<first
origin>` answers a JSON list of signed notes (a witness without it cannot say what it holds), and
`POST <url>/directory` gives it the signed member directory when it does not know the log or its
key (404, 403).
"""

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from audit.verifier.cosignature import CosignatureKey
from audit.witness import Answer
from audit.witness_peers import ExternalWitness
from protocols.errors import Unavailable

if TYPE_CHECKING:
    import httpx

MAX_ANSWER_BYTES = 256 * 1024
MAX_NOTES = 64


class WitnessUnreachable(Unavailable):
    """A witness outside the network does not answer as one."""

    code = "witness_unreachable"
    next_step = "Check its address in `witnesses`, and whether it runs."


class HttpWitness:
    """An `audit.witness_round.WitnessPeer` over HTTP."""

    def __init__(
        self,
        external: ExternalWitness,
        directory: Callable[[], bytes] | None = None,
        transport: "httpx.BaseTransport | None" = None,
    ) -> None:
        """Ask `external`.

        Args:
            external: the witness.
            directory: gives the signed directory as a file.
            transport: stands in for the network's.
        """
        self._external = external
        self._directory = directory
        self._transport = transport

    @property
    def organisation(self) -> str:
        """Who runs it."""
        return self._external.organisation

    @property
    def keys(self) -> Sequence[CosignatureKey]:
        """Its key."""
        return (self._external.key,)

    def add_checkpoint(self, body: bytes, timeout_s: float) -> Answer:
        """Its answer.

        Raises:
            WitnessUnreachable: none in time, or too long a one.
        """
        status, answer = self._call("POST", "/add-checkpoint", timeout_s, content=body)
        if status in {403, 404} and self._directory is not None:
            self._call("POST", "/directory", timeout_s, content=self._directory())
            status, answer = self._call("POST", "/add-checkpoint", timeout_s, content=body)
        return Answer(status, answer if status in {200, 409} else b"")

    def latest(self, origin: str, timeout_s: float) -> Sequence[bytes]:
        """What it holds of a log.

        Raises:
            WitnessUnreachable: no answer, or not one of this form.
        """
        status, answer = self._call("GET", "/latest", timeout_s, params={"origin": origin})
        try:
            notes = json.loads(answer) if status == 200 else None
        except (ValueError, RecursionError):
            notes = None
        if not isinstance(notes, list) or len(notes) > MAX_NOTES:
            raise WitnessUnreachable("the witness does not say what it holds")
        return [note.encode("utf-8", "replace") for note in notes if isinstance(note, str)]

    def _call(
        self,
        method: str,
        path: str,
        timeout_s: float,
        *,
        content: bytes | None = None,
        params: dict[str, str] | None = None,
    ) -> tuple[int, bytes]:
        import httpx  # most networks have no witness outside

        url = self._external.url + path
        try:
            with (
                httpx.Client(
                    timeout=timeout_s, transport=self._transport, trust_env=False
                ) as client,
                client.stream(method, url, content=content, params=params) as answer,
            ):
                found = b""
                for piece in answer.iter_bytes():
                    found += piece
                    if len(found) > MAX_ANSWER_BYTES:
                        raise WitnessUnreachable("the witness's answer is too long")
                return answer.status_code, found
        except httpx.HTTPError as error:
            raise WitnessUnreachable(f"the witness does not answer: {type(error).__name__}") from (
                error
            )
