"""Delivers what is in the outbox, again and again until it is taken or a day has passed.

A delivery is claimed for a minute before it is sent, in a transaction of its own: after a crash it
is due again, so a message arrives at least once, and its id says that it is the same. What rests
on a consent is not sent once that is not in force any more.
"""

import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

import structlog

from audit.database import Connection, Database
from audit.store import AuditLog
from node.storage import webhook_endpoints, webhooks
from node.storage.webhook_endpoints import ACTIVE, Endpoint
from node.storage.webhooks import Attempt, Due
from node.webhooks.endpoints import Endpoints, act, disable
from node.webhooks.schedule import KEPT_MS, delay_s
from node.webhooks.sender import Attempted, Sender
from protocols.errors import CredenceError
from protocols.standard_webhooks import signed_headers

LEASE_MS = 60_000
UNDER_WAY = 16
PER_ENDPOINT = 4
FAILING_MS = 20 * 3600 * 1000
"""An endpoint that took nothing for so long, and on which a delivery was given up, is disabled."""

log = structlog.get_logger("node.webhooks")


class Deliverer:
    """Works off the outbox of one node; thread-safe."""

    def __init__(
        self,
        *,
        database: Database,
        audit: AuditLog,
        endpoints: Endpoints,
        sender: Sender,
        member_id: str,
        now_ms: Callable[[], int],
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._database = database
        self._audit = audit
        self._endpoints = endpoints
        self._sender = sender
        self._member_id = member_id
        self._now_ms = now_ms
        self._draw = draw
        self._lock = threading.Lock()
        self._busy: Counter[str] = Counter()
        self._futures: set[Future[None]] = set()
        self._threads = ThreadPoolExecutor(UNDER_WAY, thread_name_prefix="webhook")

    def step(self) -> int:
        """Begin what is due and there is room for; how many attempts."""
        with self._lock:
            free = UNDER_WAY - self._busy.total()
            busy = [one for one, count in self._busy.items() if count >= PER_ENDPOINT]
        if free <= 0 or not self._anything():
            return 0
        with self._database.write() as connection:
            due = webhooks.claim(connection, self._now_ms(), LEASE_MS, free, busy)
        for one in due:
            with self._lock:
                self._busy[one.endpoint_id] += 1
            future = self._threads.submit(self._deliver, one)
            with self._lock:
                self._futures.add(future)
            future.add_done_callback(self._futures.discard)
        return len(due)

    def settle(self) -> None:
        """Wait until nothing is under way."""
        with self._lock:
            running = list(self._futures)
        wait(running)

    def forget(self) -> None:
        """Delete messages and keys whose time is over."""
        now_ms = self._now_ms()
        with self._database.write() as connection:
            webhooks.forget(connection, now_ms - KEPT_MS)
            webhook_endpoints.drop_ended_keys(connection, now_ms)

    def close(self) -> None:
        """Let attempts under way end; nothing more is begun."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _anything(self) -> bool:
        # Mostly there is nothing, and the write lock is wanted by others.
        with self._database.read() as connection:
            return webhooks.any_due(connection, self._now_ms())

    def _deliver(self, due: Due) -> None:
        try:
            prepared = self._prepare(due)
            if prepared is not None:
                self._note(due, self._sender.send(due.url, prepared, due.message.body.encode()))
        except CredenceError as error:  # it is due again when the claim is over
            log.warning("webhook.not_attempted", endpoint=due.endpoint_id, code=error.code)
        finally:
            with self._lock:
                self._busy[due.endpoint_id] -= 1
                self._busy += Counter()  # forget zeros

    def _prepare(self, due: Due) -> dict[str, str] | None:
        """The headers of an attempt; None: it is not made."""
        consent_id = due.message.consent_id
        with self._database.write() as connection:
            now_ms = self._now_ms()
            if consent_id is not None and not webhooks.consent_stands(
                connection, consent_id, now_ms
            ):
                webhooks.settle(connection, due.delivery_id, "withheld")
                return None
            keys = self._endpoints.signing_keys(connection, due.endpoint_id)
        if not keys:
            return None  # the endpoint was removed a moment ago
        body = due.message.body.encode()
        return signed_headers(keys, due.message.message_id, now_ms // 1000, body)

    def _note(self, due: Due, attempted: Attempted) -> None:
        with self._database.write() as connection:
            now_ms = self._now_ms()
            attempt = Attempt(now_ms, attempted.ms, attempted.status, attempted.failure)
            webhooks.note_attempt(connection, due.delivery_id, attempt)
            endpoint = webhook_endpoints.find(connection, due.endpoint_id)
            if endpoint is None:
                return
            if not attempted.failure:
                webhooks.settle(connection, due.delivery_id, "delivered")
                if endpoint.failing_since_ms is not None:
                    webhook_endpoints.change(
                        connection, endpoint.endpoint_id, failing_since_ms=None
                    )
                return
            self._failed(connection, due, endpoint, attempted, now_ms)

    def _failed(
        self,
        connection: Connection,
        due: Due,
        endpoint: Endpoint,
        attempted: Attempted,
        now_ms: int,
    ) -> None:
        since_ms = endpoint.failing_since_ms
        if since_ms is None:
            since_ms = now_ms
            webhook_endpoints.change(connection, endpoint.endpoint_id, failing_since_ms=now_ms)
        wait_s = delay_s(due.attempts + 1, self._draw)
        if wait_s is not None and not attempted.gone:
            wait_ms = int(max(wait_s, attempted.retry_after_s) * 1000)
            webhooks.later(connection, due.delivery_id, now_ms + wait_ms)
            return
        webhooks.settle(connection, due.delivery_id, "failed")
        if endpoint.state == ACTIVE and (attempted.gone or now_ms - since_ms >= FAILING_MS):
            cause = "gone" if attempted.gone else "failing"
            disable(connection, endpoint.endpoint_id, cause, now_ms)
            entry = act("webhook.endpoint_disabled", endpoint, self._member_id, now_ms)
            self._audit.append(connection, entry)
            log.warning("webhook.endpoint_disabled", endpoint=endpoint.endpoint_id, cause=cause)
