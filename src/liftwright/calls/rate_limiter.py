"""The rate limiter: decides when an attempt may be sent, across all threads of a process.

An attempt acquires a slot. It waits until its service's circuit breaker and limits admit another
request and one of the slots shared by all services is free. A call of low priority also waits while
any other call waits for a slot. All waits are bounded: by `max_wait_seconds` after a fault, by a
minute for a rate limit, and by the breaker's probes for a service that is down. A service that asks
for a longer wait gets no requests in that time: the calls fail.
"""

from __future__ import annotations

import contextlib
import math
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from liftwright.calls.adaptive_limit import AdaptiveLimit
from liftwright.calls.circuit_breaker import CircuitBreaker
from liftwright.errors import ProviderRefused, ProviderUnavailable, ServiceDown
from liftwright.log import event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from liftwright.calls.client import Ask, CallContext
    from liftwright.config import CallSettings

_AGENT = "calls"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Service:
    name: str
    breaker: CircuitBreaker
    limit: AdaptiveLimit


class RateLimiter:
    """Grants slots; thread-safe.

    A nested call (a search that embeds its query) takes no shared slot: the outer call already has
    one, and outer calls that held all slots would deadlock.

    Args:
        settings: concurrency, rates per minute, and when a service is given up.
        sleep: waits for a number of seconds.
        clock: the time in seconds.
    """

    def __init__(
        self,
        settings: CallSettings,
        *,
        sleep: Callable[[float], object],
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self.sleep = sleep
        self._clock = clock
        self._changed = threading.Condition()
        self._in_flight = 0
        self._waiting = 0
        self._services: dict[str, _Service] = {}

    @contextlib.contextmanager
    def slot(self, context: CallContext) -> Iterator[None]:
        """Hold a slot within the block, and adapt the limits to the block's outcome.

        Raises:
            ServiceDown: the service was given up; the block does not run.
            ProviderUnavailable: it asked for a longer wait than `max_wait_seconds`; likewise.
        """
        service, began, is_probe = self._acquire(context)
        error: BaseException | None = None
        try:
            yield
        except BaseException as raised:
            error = raised
            raise
        finally:
            with self._changed:
                self._in_flight -= not context.nested
                service.limit.release()
                self._changed.notify_all()
                self._learn(service, error, began, is_probe=is_probe)

    def call_failed(self, context: CallContext, error: ProviderUnavailable) -> None:
        """Record a call whose attempts all failed."""
        with self._changed:
            service = self._service(context.service)
            if service.breaker.call_failed(self._clock(), str(error)):
                self._report_open(service)

    def check(self) -> None:
        """Raise an error if a service was given up.

        Raises:
            ServiceDown: a service was given up.
        """
        with self._changed:
            for service in self._services.values():
                self._refuse_given_up(service)

    def _acquire(self, context: CallContext) -> tuple[_Service, float, bool]:
        """Wait for a slot; returns the service, the time, and whether this is the probe."""
        with contextlib.ExitStack() as until_acquired:
            delays_low_priority = False
            while True:
                with self._changed:
                    service, now = self._service(context.service), self._clock()
                    wait = self._seconds_to_wait(context, service, now)
                    if wait <= 0:
                        self._in_flight += not context.nested
                        service.limit.acquire(now, context.tokens)
                        return service, now, service.breaker.acquire()
                    if math.isinf(wait):
                        if not (delays_low_priority or context.low_priority):
                            delays_low_priority = True
                            self._waiting += 1
                            until_acquired.callback(self._stop_waiting)
                        self._changed.wait()
                        continue
                self.sleep(wait)

    def _stop_waiting(self) -> None:
        with self._changed:
            self._waiting -= 1
            self._changed.notify_all()

    def _seconds_to_wait(self, context: CallContext, service: _Service, now: float) -> float:
        """Seconds until the caller may try again; infinite if another attempt must end first."""
        self._refuse_given_up(service)
        paused = service.limit.paused(now)
        if paused > self._settings.max_wait_seconds:
            raise ProviderUnavailable(
                f"{service.name}: no request was sent", retry_after_seconds=paused
            )
        is_full = self._in_flight >= self._settings.concurrency
        if not context.nested and (is_full or (context.low_priority and self._waiting)):
            return math.inf
        return max(service.breaker.wait(now), service.limit.wait(now, context.tokens))

    def _learn(
        self, service: _Service, error: BaseException | None, began: float, *, is_probe: bool
    ) -> None:
        now = self._clock()
        # A refusal also proves that the service is up.
        if error is None or isinstance(error, ProviderRefused):
            service.limit.replied()
            if service.breaker.replied():
                event("breaker_closed", agent=_AGENT, service=service.name)
        elif isinstance(error, ProviderUnavailable):
            if error.throttled and service.limit.slow_down(began, now):
                event(
                    "calls_slowed",
                    agent=_AGENT,
                    level="warning",
                    service=service.name,
                    concurrency=service.limit.concurrency,
                )
            retry_after = error.retry_after_seconds
            if retry_after is not None and retry_after > 0:
                service.limit.pause(now + retry_after)
            if is_probe:
                service.breaker.probe_failed(now, str(error))
                if service.breaker.is_open:
                    self._report_open(service)
        elif is_probe:
            # An interruption, or a defect of ours, proves nothing about the service.
            service.breaker.probe_dropped()

    def _report_open(self, service: _Service) -> None:
        event(
            "breaker_opened",
            agent=_AGENT,
            level="error",
            service=service.name,
            status="given up" if service.breaker.given_up else "waits for a probe",
            cool_down_seconds=self._settings.breaker.cool_down_seconds,
        )

    def _refuse_given_up(self, service: _Service) -> None:
        if service.breaker.given_up:
            settings = self._settings.breaker
            raise ServiceDown(
                f"{service.name}: {settings.failures} calls in a row and {settings.probes} further "
                f"attempts, {settings.cool_down_seconds:g} s apart, got no reply; the service is "
                f"not called again (last error: {service.breaker.last_error}). Run again to resume "
                "when the service is available"
            )

    def _service(self, name: str) -> _Service:
        if name not in self._services:
            settings = self._settings
            self._services[name] = _Service(
                name=name,
                breaker=CircuitBreaker(settings.breaker),
                limit=AdaptiveLimit(
                    settings.concurrency,
                    getattr(settings.requests_per_minute, name, None),
                    getattr(settings.tokens_per_minute, name, None),
                ),
            )
        return self._services[name]


def limited(ask: Ask, limiter: RateLimiter) -> Ask:
    """Make each attempt wait for a slot."""

    def call(request: Any, context: CallContext) -> Any:  # noqa: ANN401 - any port's
        with limiter.slot(context):
            return ask(request, context)

    return call
