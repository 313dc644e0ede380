"""Clients' endpoints: made, changed, tested, given new keys, removed; each act has its leaf.

Every endpoint has a signing key of its own: with a shared one, a client could send what it was told
on to another client, for whom it would verify too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from audit.database import Connection, Database
from audit.leaf import Entry
from audit.store import AuditLog
from node.storage import webhook_endpoints as storage
from node.storage import webhooks
from node.storage.webhook_endpoints import ACTIVE, DELETED, DISABLED, Endpoint, KeyRow
from node.storage.webhooks import Delivery
from node.webhooks.addresses import Guard
from node.webhooks.outbox import Outbox
from protocols import aead
from protocols.errors import InvalidInput, NotFound, StateConflict
from protocols.identifiers import new_id
from protocols.keys import SigningKey, VerifyKey
from protocols.webhook_types import MESSAGE_TYPES, TEST

MAX_ENDPOINTS = 10
OVERLAP_MS = 24 * 3600 * 1000
"""For how long a replaced key signs beside its successor."""
MAX_REPLAY = 1000


class EndpointUnknown(NotFound):
    """This client has no webhook endpoint by that id."""

    code = "webhook_endpoint_unknown"


class TooManyEndpoints(StateConflict):
    """The client has as many endpoints as it may have."""

    code = "webhook_endpoints_exhausted"
    next_step = "Remove one, or let one take more types."


class EndpointDisabled(StateConflict):
    """The endpoint is disabled; nothing is sent to it."""

    code = "webhook_endpoint_disabled"
    next_step = "Set its state to `active`, then replay what it missed."


@dataclass(frozen=True, slots=True)
class Shown:
    """An endpoint with its public keys, the one in force first, and until when each signs."""

    endpoint: Endpoint
    keys: tuple[tuple[VerifyKey, int | None], ...]


class Endpoints:
    """Endpoints of one node's clients; thread-safe."""

    def __init__(
        self,
        *,
        database: Database,
        audit: AuditLog,
        kek: bytes,
        guard: Guard,
        outbox: Outbox,
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._audit = audit
        self._kek = kek
        self._guard = guard
        self._outbox = outbox
        self._now_ms = now_ms

    def add(self, client_id: str, url: str, types: Sequence[str] = ()) -> Shown:
        """Make an endpoint with a key of its own.

        Raises:
            UrlRefused, HostUnknown: not a URL that is called from here.
            InvalidInput: no such type of message.
            TooManyEndpoints: the client has enough.
        """
        self._guard.check(url)
        now_ms = self._now_ms()
        endpoint = Endpoint(
            endpoint_id=new_id("whe"),
            client_id=client_id,
            url=url,
            types=_types(types),
            state=ACTIVE,
            disabled_for="",
            failing_since_ms=None,
            created_at_ms=now_ms,
            changed_at_ms=now_ms,
        )
        with self._database.write() as connection:
            if storage.count(connection, client_id) >= MAX_ENDPOINTS:
                raise TooManyEndpoints(f"a client has at most {MAX_ENDPOINTS} endpoints")
            storage.add(connection, endpoint)
            self._new_key(connection, endpoint.endpoint_id, now_ms)
            self._log(connection, "webhook.endpoint_added", endpoint, now_ms)
            return self._shown(connection, endpoint)

    def of_client(self, client_id: str) -> list[Shown]:
        """A client's endpoints, the oldest first."""
        with self._database.read() as connection:
            every = storage.of_client(connection, client_id)
            return [self._shown(connection, one) for one in every]

    def get(self, client_id: str, endpoint_id: str) -> Shown:
        """One endpoint.

        Raises:
            EndpointUnknown: the client has none by that id.
        """
        with self._database.read() as connection:
            return self._shown(connection, self._own(connection, client_id, endpoint_id))

    def change(
        self,
        client_id: str,
        endpoint_id: str,
        *,
        url: str | None = None,
        types: Sequence[str] | None = None,
        active: bool | None = None,
    ) -> Shown:
        """Change what is given; switching on forgets past failures.

        Raises:
            EndpointUnknown, UrlRefused, HostUnknown, InvalidInput: as for `add`.
        """
        if url is not None:
            self._guard.check(url)
        now_ms = self._now_ms()
        with self._database.write() as connection:
            endpoint = self._own(connection, client_id, endpoint_id)
            values: dict[str, object] = {"changed_at_ms": now_ms}
            if url is not None:
                values["url"] = url
            if types is not None:
                values["types"] = _types(types)
            if active is True:
                values |= {"state": ACTIVE, "disabled_for": "", "failing_since_ms": None}
            storage.change(connection, endpoint_id, **values)
            if active is False and endpoint.state == ACTIVE:
                disable(connection, endpoint_id, "by_client", now_ms)
            changed = self._own(connection, client_id, endpoint_id)
            self._log(connection, "webhook.endpoint_changed", changed, now_ms)
            return self._shown(connection, changed)

    def remove(self, client_id: str, endpoint_id: str) -> None:
        """Take an endpoint away; its keys are destroyed, what it has not taken is given up.

        Raises:
            EndpointUnknown: the client has none by that id.
        """
        now_ms = self._now_ms()
        with self._database.write() as connection:
            endpoint = self._own(connection, client_id, endpoint_id)
            storage.change(connection, endpoint_id, state=DELETED, changed_at_ms=now_ms)
            storage.drop_keys(connection, endpoint_id, None)
            webhooks.fail_pending(connection, endpoint_id)
            self._log(connection, "webhook.endpoint_removed", endpoint, now_ms)

    def rotate(self, client_id: str, endpoint_id: str) -> Shown:
        """Sign with a new key; the one before signs beside it for a day.

        A key that was being replaced already ends at once, so that there are never more than two.

        Raises:
            EndpointUnknown: the client has none by that id.
        """
        now_ms = self._now_ms()
        with self._database.write() as connection:
            endpoint = self._own(connection, client_id, endpoint_id)
            every = storage.keys(connection, endpoint_id, now_ms)
            ending = [one.public for one in every if one.until_ms is not None]
            storage.drop_keys(connection, endpoint_id, ending)
            storage.retire_key(connection, endpoint_id, now_ms + OVERLAP_MS)
            self._new_key(connection, endpoint_id, now_ms)
            self._log(connection, "webhook.key_rotated", endpoint, now_ms)
            return self._shown(connection, endpoint)

    def test(self, client_id: str, endpoint_id: str) -> Delivery:
        """Send an endpoint a message of type `endpoint.test`, whatever types it takes.

        Raises:
            EndpointUnknown: the client has none by that id.
            EndpointDisabled: it is disabled.
        """
        with self._database.write() as connection:
            self._active(connection, client_id, endpoint_id)
            data = {"endpoint_id": endpoint_id}
            message_id = self._outbox.keep(connection, client_id, TEST, data)
            now_ms = self._now_ms()
            (made,) = webhooks.add_deliveries(connection, [(message_id, endpoint_id)], now_ms)
            return _found(webhooks.delivery(connection, made))

    def replay(
        self,
        client_id: str,
        endpoint_id: str,
        *,
        message_id: str | None = None,
        from_ms: int = 0,
        until_ms: int = 2**62,
    ) -> int:
        """Deliver again, under the ids they had: one message, or those of a span of time.

        Returns:
            How many deliveries begin; of a span at most `MAX_REPLAY`, the oldest first, and only
            of types that the endpoint takes.

        Raises:
            EndpointUnknown: the client has none by that id.
            EndpointDisabled: it is disabled.
            NotFound: no such message is kept.
        """
        with self._database.write() as connection:
            endpoint = self._active(connection, client_id, endpoint_id)
            found = webhooks.messages_of(
                connection,
                client_id,
                message_id=message_id,
                from_ms=from_ms,
                until_ms=until_ms,
                limit=MAX_REPLAY,
            )
            if message_id is not None and not found:
                raise NotFound("no such message to this client is kept")
            wanted = [
                (one, endpoint_id)
                for one, type_ in found
                if message_id is not None or not endpoint.types or type_ in endpoint.types
            ]
            now_ms = self._now_ms()
            webhooks.add_deliveries(connection, wanted, now_ms)
            self._log(connection, "webhook.replayed", endpoint, now_ms)
        return len(wanted)

    def deliveries(
        self, client_id: str, endpoint_id: str, *, before: int, state: str | None, limit: int
    ) -> list[Delivery]:
        """The log of an endpoint, the newest first: deliveries with a `seq` below `before`.

        Raises:
            EndpointUnknown: the client has none by that id.
        """
        with self._database.read() as connection:
            self._own(connection, client_id, endpoint_id)
            return webhooks.deliveries(
                connection, endpoint_id, before=before, state=state, limit=limit
            )

    def signing_keys(self, connection: Connection, endpoint_id: str) -> list[SigningKey]:
        """The keys that sign for an endpoint now, the one in force first."""
        return [
            SigningKey.from_seed(aead.decrypt(self._kek, one.sealed, _aad(endpoint_id, one.public)))
            for one in storage.keys(connection, endpoint_id, self._now_ms())
        ]

    def _own(self, connection: Connection, client_id: str, endpoint_id: str) -> Endpoint:
        found = storage.find(connection, endpoint_id)
        if found is None or found.client_id != client_id:
            raise EndpointUnknown("this client has no such endpoint")
        return found

    def _active(self, connection: Connection, client_id: str, endpoint_id: str) -> Endpoint:
        endpoint = self._own(connection, client_id, endpoint_id)
        if endpoint.state == DISABLED:
            raise EndpointDisabled("this endpoint is disabled")
        return endpoint

    def _new_key(self, connection: Connection, endpoint_id: str, now_ms: int) -> None:
        key = SigningKey.generate()
        public = key.verify_key.bytes
        sealed = aead.encrypt(self._kek, key.seed, _aad(endpoint_id, public))
        storage.add_key(connection, endpoint_id, KeyRow(public, sealed, now_ms, None))

    def _shown(self, connection: Connection, endpoint: Endpoint) -> Shown:
        keys = storage.keys(connection, endpoint.endpoint_id, self._now_ms())
        return Shown(endpoint, tuple((VerifyKey(one.public), one.until_ms) for one in keys))

    def _log(self, connection: Connection, kind: str, endpoint: Endpoint, now_ms: int) -> None:
        self._audit.append(connection, act(kind, endpoint, endpoint.client_id, now_ms))


def disable(connection: Connection, endpoint_id: str, cause: str, now_ms: int) -> None:
    """Send nothing more to an endpoint; what it has not taken is given up, and can be replayed."""
    storage.change(
        connection, endpoint_id, state=DISABLED, disabled_for=cause, changed_at_ms=now_ms
    )
    webhooks.fail_pending(connection, endpoint_id)


def act(kind: str, endpoint: Endpoint, actor: str, now_ms: int) -> Entry:
    """The leaf of an act about an endpoint; its URL is the client's and stays out of it."""
    return Entry(
        kind=kind,
        actor=actor,
        purpose="api",
        correlation=endpoint.endpoint_id,
        payload={"state": endpoint.state, "types": list(endpoint.types)},
        subject=None,
        at_ms=now_ms,
    )


def _types(types: Sequence[str]) -> tuple[str, ...]:
    unknown = set(types) - set(MESSAGE_TYPES)
    if unknown:
        raise InvalidInput(f"types of messages are {', '.join(MESSAGE_TYPES)}")
    return tuple(sorted(set(types)))


def _aad(endpoint_id: str, public: bytes) -> bytes:
    return b"credence/1|webhook-key|" + endpoint_id.encode() + b"|" + public


def _found(delivery: Delivery | None) -> Delivery:
    if delivery is None:
        raise NotFound("the delivery is gone")
    return delivery
