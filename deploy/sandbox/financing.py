"""The financing platform of the sandbox: it knows a bank's address and its own token, no more."""

from typing import Any

import httpx

from deploy.sandbox.layout import MemberLayout
from protocols.errors import Unavailable

TIMEOUT_S = 30.0


class Platform:
    """Calls the score API of one bank's node."""

    def __init__(self, bank: MemberLayout, token: str) -> None:
        self._bank = bank
        self._token = token

    def score(self, subject: str, consent_id: str) -> tuple[int, dict[str, Any]]:
        """Ask for a score.

        Returns:
            HTTP status and JSON body: the score, or a problem (RFC 9457) with its `code`.

        Raises:
            Unavailable: the node does not answer.
        """
        body = {"subject": subject, "consent_id": consent_id, "purpose": "score"}
        try:
            answer = httpx.post(
                f"{self._bank.http_url}/v1/scores",
                json=body,
                headers={"Authorization": f"Bearer {self._token}"},
                timeout=TIMEOUT_S,
            )
            value: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise Unavailable(f"the API of {self._bank.member_id} does not answer") from error
        return answer.status_code, value
