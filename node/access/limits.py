"""How often a client may call: a token bucket in memory, a quota of the UTC day in the database.

What the quota has left is set aside some calls at a time, and only that is written: a crash costs
the client what was set aside and not used, and never gives it more than its quota.

Headers as in draft-ietf-httpapi-ratelimit-headers-10; `t` is when all of it is there again.
"""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

from audit.database import Database
from node.access.presented import QuotaExceeded, RateLimited
from node.storage import access
from node.storage.clients import ClientRow

DAY_MS = 86_400_000
SET_ASIDE = 1000  # calls at a time, at most; and at most a hundredth of the quota


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may do.

    Attributes:
        rate: calls a second in the long run.
        burst: calls at once.
        daily_quota: calls of a UTC day.
    """

    rate: float
    burst: int
    daily_quota: int

    def of(self, row: ClientRow) -> "Limits":
        """Those of a client: its own, and these where it has none."""
        return Limits(
            self.rate if row.rate is None else row.rate,
            self.burst if row.burst is None else row.burst,
            self.daily_quota if row.daily_quota is None else row.daily_quota,
        )

    @property
    def policy(self) -> str:
        """The field `RateLimit-Policy`."""
        window = math.ceil(self.burst / self.rate)
        return f'"burst";q={self.burst};w={window}, "day";q={self.daily_quota};w=86400'


@dataclass(slots=True)
class _Account:
    """One client's calls.

    Attributes:
        left: calls in the bucket.
        at_ms: when that was so.
        day: UTC day.
        aside: calls set aside for it on that day, not made yet.
        calls: calls of that day made or set aside, by all.
    """

    left: float
    at_ms: int
    day: int = -1
    aside: int = 0
    calls: int = 0


class CallLimits:
    """Counts calls of clients; thread-safe."""

    def __init__(self, database: Database, limits: Limits, now_ms: Callable[[], int]) -> None:
        """Count with `limits` for who has none of their own."""
        self._database = database
        self._limits = limits
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._accounts: dict[str, _Account] = {}

    def take(self, row: ClientRow, told: dict[str, str]) -> None:
        """Count one call of a client; `told` is given the headers that say what is left.

        Raises:
            RateLimited: its bucket is empty.
            QuotaExceeded: its day is used up.
        """
        limits, now_ms = self._limits.of(row), self._now_ms()
        day = now_ms // DAY_MS
        with self._lock:
            account = self._accounts.get(row.client_id)
            if account is None:
                account = self._accounts[row.client_id] = _Account(limits.burst, now_ms)
            _refill(account, limits, now_ms)
            if account.left < 1:
                wait_s = max(1, math.ceil((1 - account.left) / limits.rate))
                self._tell(told, account, limits, now_ms, wait_s)
                raise RateLimited(f"more than {limits.rate:g} calls a second")
            if account.day != day or account.aside < 1:
                self._set_aside(account, row.client_id, limits, day)
            if account.aside < 1:
                self._tell(told, account, limits, now_ms, _until_midnight_s(now_ms))
                raise QuotaExceeded(f"{limits.daily_quota} calls were made today")
            account.left -= 1
            account.aside -= 1
            self._tell(told, account, limits, now_ms)

    def give_back(self) -> None:
        """Write down what was set aside and not used, when the process ends."""
        with self._lock:
            unused = {name: one for name, one in self._accounts.items() if one.aside > 0}
            if not unused:
                return
            with self._database.write() as connection:
                for client_id, account in unused.items():
                    calls = access.calls_of(connection, client_id, account.day) - account.aside
                    access.set_calls(connection, client_id, account.day, max(0, calls))
            for account in unused.values():
                account.aside = 0

    def _set_aside(self, account: _Account, client_id: str, limits: Limits, day: int) -> None:
        account.aside = 0
        if account.day == day and account.calls >= limits.daily_quota:
            return  # known: who goes on calling makes nothing be written
        wanted = max(1, min(SET_ASIDE, limits.daily_quota // 100))
        with self._database.write() as connection:
            calls = access.calls_of(connection, client_id, day)
            aside = max(0, min(wanted, limits.daily_quota - calls))
            if aside:
                access.set_calls(connection, client_id, day, calls + aside)
        account.day, account.aside, account.calls = day, aside, calls + aside

    @staticmethod
    def _tell(
        told: dict[str, str],
        account: _Account,
        limits: Limits,
        now_ms: int,
        retry_after_s: int | None = None,
    ) -> None:
        full_s = math.ceil((limits.burst - account.left) / limits.rate)
        of_day = max(0, limits.daily_quota - account.calls + account.aside)
        told["RateLimit-Policy"] = limits.policy
        told["RateLimit"] = (
            f'"burst";r={max(0, int(account.left))};t={full_s}, '
            f'"day";r={of_day};t={_until_midnight_s(now_ms)}'
        )
        if retry_after_s is not None:
            told["Retry-After"] = str(retry_after_s)


def _refill(account: _Account, limits: Limits, now_ms: int) -> None:
    # A clock that was set back fills nothing, and takes nothing away.
    passed_s = max(0, now_ms - account.at_ms) / 1000
    account.left = min(float(limits.burst), account.left + passed_s * limits.rate)
    account.at_ms = now_ms


def _until_midnight_s(now_ms: int) -> int:
    return math.ceil((DAY_MS - now_ms % DAY_MS) / 1000)
