"""A passkey in the browser's own virtual authenticator (DevTools protocol, WebAuthn domain)."""

from typing import Any


class VirtualPasskeys:
    """Answers every question of a page with a passkey, as a phone's owner would who agrees."""

    def __init__(self, page: Any) -> None:
        self._devtools = page.context.new_cdp_session(page)
        self._devtools.send("WebAuthn.enable", {"enableUI": False})
        added = self._devtools.send(
            "WebAuthn.addVirtualAuthenticator",
            {
                "options": {
                    "protocol": "ctap2",
                    "transport": "internal",
                    "hasResidentKey": True,
                    "hasUserVerification": True,
                    "isUserVerified": True,
                    "automaticPresenceSimulation": True,
                }
            },
        )
        self._id = added["authenticatorId"]

    def agree(self, yes: bool) -> None:
        """Whether the owner shows who they are."""
        self._devtools.send(
            "WebAuthn.setUserVerified", {"authenticatorId": self._id, "isUserVerified": yes}
        )

    def count(self) -> int:
        """How many passkeys it holds."""
        answer = self._devtools.send("WebAuthn.getCredentials", {"authenticatorId": self._id})
        return len(answer["credentials"])
