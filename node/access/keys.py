"""Public keys of API clients: at most four in force, replaced with an overlap, never twice."""

from collections.abc import Sequence
from functools import lru_cache

from audit.database import Connection
from node.storage import access
from node.storage.access import KeyRow
from protocols.canonical import parse_json
from protocols.errors import InvalidInput, StateConflict
from protocols.jose import MAX_DEPTH, MAX_JWKS_BYTES, MAX_KEYS, PublicJwk, parse_jwk

MAX_OVERLAP_MS = 90 * 86_400_000


class ClientKeyUsed(StateConflict):
    """A key, or a kid, that this client had before."""

    code = "client_key_used"
    next_step = "Make a fresh key with a kid of its own; what was rotated out never comes back."


def add_keys(
    connection: Connection, client_id: str, keys: Sequence[PublicJwk], now_ms: int
) -> None:
    """Store keys that the client never had.

    Raises:
        ClientKeyUsed: it had one of them, or one of that name.
    """
    known = access.keys_of(connection, client_id)
    used = {row.kid for row in known} | {row.thumbprint for row in known}
    if any(key.kid in used or key.thumbprint in used for key in keys):
        raise ClientKeyUsed("this client had one of these keys before, or one with its kid")
    access.add_keys(
        connection,
        [KeyRow(client_id, key.kid, key.thumbprint, key.text, now_ms) for key in keys],
    )


def replace_keys(
    connection: Connection,
    client_id: str,
    keys: Sequence[PublicJwk],
    now_ms: int,
    overlap_ms: int,
) -> tuple[list[str], list[str]]:
    """Let `keys` be the client's; those that are not among them end when the overlap does.

    Returns:
        kids that are new, and kids that end.

    Raises:
        ClientKeyUsed: a new one was rotated out before.
        InvalidInput: more than four would be in force, or an overlap out of range.
    """
    if not 0 <= overlap_ms <= MAX_OVERLAP_MS:
        raise InvalidInput("keys overlap for 0 to 90 days")
    staying = {row.thumbprint: row for row in in_force(connection, client_id, now_ms)}
    new = [key for key in keys if key.thumbprint not in staying]
    named = {key.thumbprint for key in keys}
    ending = [row.kid for thumbprint, row in staying.items() if thumbprint not in named]
    if len(keys) + (len(ending) if overlap_ms else 0) > MAX_KEYS:
        raise InvalidInput(f"a client has at most {MAX_KEYS} keys at a time, those that end too")
    if new:
        add_keys(connection, client_id, new, now_ms)
    access.end_keys(connection, client_id, ending, now_ms + overlap_ms)
    return [key.kid for key in new], ending


def in_force(connection: Connection, client_id: str, now_ms: int) -> list[KeyRow]:
    """The keys that a client may sign with now."""
    rows = access.keys_of(connection, client_id)
    return [row for row in rows if row.until_ms is None or now_ms < row.until_ms]


@lru_cache(maxsize=1024)
def public_key(text: str) -> PublicJwk:
    """The key of a stored JWK; reading one takes longer than verifying with it."""
    return parse_jwk(parse_json(text.encode(), max_bytes=MAX_JWKS_BYTES, max_depth=MAX_DEPTH))
