"""The rate limiter: when an attempt may leave, over all threads and services of a process.

An attempt acquires a slot. It waits until its service's circuit breaker lets it pass, until the
limits of the service allow one more request, and until one of the slots that all services share is
free. A call of low priority also waits while another call waits for a slot. Waits are bounded: by
`max_wait_seconds` after a fault, by a minute for a rate, by the breaker's probes for a service that
is down.
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

    from liftwright.calls.context import Ask, CallContext
    from liftwright.config import Calls as CallSettings

_AGENT = "calls"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Service:
    name: str
    breaker: CircuitBreaker
    limit: AdaptiveLimit


class RateLimiter:
    """Gives out slots; safe for threads.

    A nested call (a search that has its query embedded) takes no shared slot: the outer call only
    waits for it, and two that waited for each other's slots would never end.

    Args:
        settings: how many requests at once, how many per minute, and when a service is given up.
        sleep: waits for seconds.
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
        """Hold a slot within the block, and learn from how the block ends.

        Raises:
            ServiceDown: the service was given up; the block is not entered.
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
        """Note that a call has failed with all its attempts."""
        with self._changed:
            service = self._service(context.service)
            if service.breaker.call_failed(self._clock(), str(error)):
                self._report_open(service)

    def check(self) -> None:
        """Raise what calls to a given-up service are refused with.

        Raises:
            ServiceDown: there is such a service.
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
        """Until the caller may try again; infinite until another attempt has ended."""
        self._refuse_given_up(service)
        is_full = self._in_flight >= self._settings.concurrency
        if not context.nested and (is_full or (context.low_priority and self._waiting)):
            return math.inf
        return max(service.breaker.wait(now), service.limit.wait(now, context.tokens))

    def _learn(
        self, service: _Service, error: BaseException | None, began: float, *, is_probe: bool
    ) -> None:
        now = self._clock()
        # A refusal is an answer, too.
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
            asked = error.retry_after_seconds
            if asked is not None and asked > 0:
                service.limit.pause(now + min(asked, self._settings.max_wait_seconds))
            if is_probe:
                service.breaker.probe_failed(now, str(error))
                if service.breaker.is_open:
                    self._report_open(service)
        elif is_probe:
            # An interruption or our own defect says nothing about the service.
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
                f"{service.name}: {settings.failures} calls in a row got no reply, nor did "
                f"{settings.probes} more tries, {settings.cool_down_seconds:g} s apart; the "
                f"service is not called again (last error: {service.breaker.last_error}). Once it "
                "answers, run again to resume"
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
    """Have each attempt wait for a slot."""

    def call(request: Any, context: CallContext) -> Any:  # noqa: ANN401 - any port's
        with limiter.slot(context):
            return ask(request, context)

    return call
