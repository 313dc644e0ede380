"""The passkeys of a person's account, for what they are to sign."""

from collections.abc import Sequence
from typing import Any

from audit.database import Database
from node.storage import people
from node.storage.people import PasskeyRow
from protocols.passkeys import RelyingParty, authentication_options

MOST = 5


class Passkeys:
    """Reads them, and makes what the browser is asked."""

    def __init__(self, database: Database, relying_party: RelyingParty) -> None:
        self._database = database
        self._relying_party = relying_party

    def of(self, account_id: str) -> list[PasskeyRow]:
        """Up to `MOST` passkeys, the one used last first."""
        with self._database.read() as connection:
            found = people.passkeys(connection, account_id)
        return sorted(found, key=lambda one: -one.used_at_ms)[:MOST]

    def credential_of(self, account_id: str, public_key: bytes) -> bytes | None:
        """The credential id of the account's passkey with this COSE key, or None."""
        with self._database.read() as connection:
            found = people.passkeys(connection, account_id)
        return next((one.credential_id for one in found if one.public_key == public_key), None)

    def options(self, challenge: bytes, credential_ids: Sequence[bytes]) -> dict[str, Any]:
        """What `navigator.credentials.get` is given."""
        return authentication_options(self._relying_party, challenge, credential_ids)
