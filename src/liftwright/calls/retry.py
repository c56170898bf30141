"""A call to the outside: the one retry layer, its log line, and what all calls came to.

Adapters switch their vendor's own retries off, say what is worth asking again by raising
`ProviderUnavailable`, and bound each attempt in time. Everything else about calling stands here
and, for when an attempt may leave, in `turns`. Between two attempts a call holds no turn.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from liftwright.calls.rate_limiter import Caller, Turns
from liftwright.errors import LiftwrightError, ProviderUnavailable
from liftwright.log import event, fault
from liftwright.tracing import current

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from liftwright.config import Calls as CallSettings

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceTotals:
    """What the calls to one service came to; latencies in milliseconds, of whole calls."""

    calls: int
    attempts: int
    errors: int
    error_rate: float
    latency_p50_ms: float
    latency_p95_ms: float
    latency_p99_ms: float


@dataclass(slots=True)
class _Service:
    latencies_ms: list[float] = field(default_factory=list)
    attempts: int = 0
    errors: int = 0


class Calls:
    """Makes calls with retries, and keeps count of them; safe for threads.

    Args:
        settings: how often, how long, how many at once, how fast.
        sleep: waits for seconds; tests hand in one that does not.
        jitter: gives a number in [0, 1) to spread waits by.
        clock: the time in seconds.
    """

    def __init__(
        self,
        settings: CallSettings,
        *,
        sleep: Callable[[float], object] = time.sleep,
        jitter: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._jitter = jitter
        self._turns = Turns(settings, sleep=sleep, clock=clock)
        self._lock = threading.Lock()
        self._services: defaultdict[str, _Service] = defaultdict(_Service)

    def make(
        self, service: str, ask: Callable[[], R], *, tokens: int = 0, local: bool = False
    ) -> R:
        """Call `ask` until it replies, 1 + retries times at most.

        Args:
            service: the port that is asked.
            ask: makes one attempt.
            tokens: how many an attempt may come to, for the rate a minute; an estimate.
            local: whether it stays in this process: then it waits for no turn.

        Raises:
            ProviderUnavailable: the last attempt's, when every attempt failed.
            ProviderRefused: at once, as asking again cannot help.
            ServiceDown: where the service is down and stays so; it was not asked then.
        """
        started = time.perf_counter()
        caller = Caller(service=service, tokens=tokens, now=self._turns.now())
        attempts = 0
        while True:
            try:
                with nullcontext() if local else self._turns.turn(caller):
                    attempts += 1
                    reply = ask()
            except ProviderUnavailable as error:
                if attempts > self._settings.retries:
                    if not local:
                        self._turns.exhausted(caller, error)
                    self._failed(service, error, started, attempts)
                    raise
                self._wait_to_retry(caller, error, attempts)
            except Exception as error:
                self._failed(service, error, started, attempts)
                raise
            else:
                latency_ms = self._count(service, started, attempts, failed=False)
                event(
                    "call_made",
                    agent="calls",
                    service=service,
                    status="ok",
                    latency_ms=round(latency_ms, 1),
                    attempts=attempts,
                )
                return reply

    def totals(self) -> Mapping[str, ServiceTotals]:
        """What the calls came to so far, by service."""
        with self._lock:
            return {name: _totals(service) for name, service in sorted(self._services.items())}

    def check_services(self) -> None:
        """Raise again what calls were refused with, where an agent went on without their replies.

        Raises:
            ServiceDown: where a service was given up.
        """
        self._turns.check()

    def _wait_to_retry(self, caller: Caller, error: ProviderUnavailable, attempt: int) -> None:
        wait = self._gap(attempt, error.retry_after_seconds)
        current().tell(
            "attempt_failed",
            attempt=attempt,
            error=type(error).__name__,
            wait_seconds=round(wait, 3),
        )
        event(
            "call_retried",
            agent="calls",
            level="warning",
            service=caller.service,
            status=type(error).__name__,
            attempt=attempt,
            wait_seconds=round(wait, 3),
        )
        self._turns.wait(caller, wait)

    def _gap(self, attempt: int, asked_seconds: float | None) -> float:
        if asked_seconds is not None and not math.isnan(asked_seconds):
            return min(max(asked_seconds, 0.0), self._settings.max_wait_seconds)
        # Waits of 2, 4, 8 … seconds, spread downwards so that callers do not come back as one.
        full: float = self._settings.backoff_seconds * 2.0 ** (attempt - 1)
        return min(full * (1 - 0.25 * self._jitter()), self._settings.max_wait_seconds)

    def _failed(self, service: str, error: Exception, started: float, attempts: int) -> None:
        latency_ms = self._count(service, started, attempts, failed=True)
        fault(
            "call_failed",
            error,
            agent="calls",
            service=service,
            status=type(error).__name__ if isinstance(error, LiftwrightError) else "defect",
            latency_ms=round(latency_ms, 1),
            attempts=attempts,
        )

    def _count(self, service: str, started: float, attempts: int, *, failed: bool) -> float:
        latency_ms = (time.perf_counter() - started) * 1000
        current().set(attempts=attempts)
        with self._lock:
            entry = self._services[service]
            entry.latencies_ms.append(latency_ms)
            entry.attempts += attempts
            entry.errors += failed
        return latency_ms


def at_once(jobs: Iterable[Callable[[], R]], workers: int) -> list[R]:
    """What the jobs give, in their order; so many of them are under way at a time.

    The first error, in that order, is raised once the jobs under way have ended; those that have
    not begun by then are dropped.

    Args:
        jobs: each is run in a thread, in the log context of the caller.
        workers: jobs under way at a time, at most.
    """
    with ThreadPoolExecutor(max_workers=workers) as pool:
        running = [pool.submit(copy_context().run, job) for job in jobs]
        try:
            return [job.result() for job in running]
        finally:
            for job in running:
                job.cancel()


def _totals(service: _Service) -> ServiceTotals:
    ordered = sorted(service.latencies_ms)
    return ServiceTotals(
        calls=len(ordered),
        attempts=service.attempts,
        errors=service.errors,
        error_rate=service.errors / len(ordered),
        latency_p50_ms=round(_quantile(ordered, 0.50), 1),
        latency_p95_ms=round(_quantile(ordered, 0.95), 1),
        latency_p99_ms=round(_quantile(ordered, 0.99), 1),
    )


def _quantile(ordered: Sequence[float], q: float) -> float:
    """Nearest-rank quantile of sorted values."""
    # In whole percent: q * len(ordered) in floats may land just above a whole rank.
    return ordered[max(0, -(-round(q * 100) * len(ordered) // 100) - 1)]
