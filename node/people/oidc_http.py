"""Calls to the institution's OpenID provider, bounded in time and size, without redirects."""

import time
from collections.abc import Mapping

from protocols.errors import CredenceError, Unavailable

TIMEOUT_S = 5.0
MAX_BYTES = 64 * 1024


class ProviderUnavailable(Unavailable):
    """The institution's sign-in service does not answer as it should."""

    code = "provider_unavailable"
    next_step = "Sign in with a passkey or a password, or try again in a moment."


class ProviderRefused(CredenceError):
    """The institution's sign-in service refuses the code, or this node as its client."""

    code = "provider_refused"
    category = "unauthenticated"
    next_step = "Sign in again; if it stays, check oidc_client_id and oidc_secret_file."


class ProviderHttp:
    """An HTTP client for one provider."""

    def __init__(self, timeout_s: float = TIMEOUT_S, max_bytes: int = MAX_BYTES) -> None:
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes

    def get(self, url: str) -> bytes:
        """The body of a document.

        Raises:
            ProviderUnavailable: no answer in time, too long a one, or not 200.
        """
        return self._call("GET", url)

    def post(
        self, url: str, fields: Mapping[str, str], auth: tuple[str, str] | None = None
    ) -> bytes:
        """The answer to a form.

        Raises:
            ProviderUnavailable: as `get`.
            ProviderRefused: it answered 400 to 403.
        """
        return self._call("POST", url, fields, auth)

    def _call(
        self,
        method: str,
        url: str,
        fields: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
    ) -> bytes:
        import httpx  # most nodes have no provider

        deadline = time.monotonic() + self._timeout_s
        body = bytearray()
        # A client for each call: no thread shares one, and nobody has to close it.
        with httpx.Client(timeout=self._timeout_s, follow_redirects=False, trust_env=False) as http:
            try:
                with http.stream(
                    method, url, data=fields, auth=auth, headers={"Accept": "application/json"}
                ) as answer:
                    if 400 <= answer.status_code <= 403:
                        raise ProviderRefused(f"the provider answered {answer.status_code}")
                    if answer.status_code != 200:
                        raise ProviderUnavailable(f"the provider answered {answer.status_code}")
                    for piece in answer.iter_bytes(8192):
                        body += piece
                        if len(body) > self._max_bytes or time.monotonic() > deadline:
                            raise ProviderUnavailable("the provider's answer is too long or slow")
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise ProviderUnavailable("the provider cannot be reached") from error
        return bytes(body)
