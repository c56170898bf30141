"""The only retry layer; adapters turn off their vendor's retries.

The loop is our own because stamina accepts no sleep function and cannot report to one call's span
(its hooks are global to the process), and tenacity needs as many lines of configuration.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from liftwright.errors import ProviderError, ProviderUnavailable
from liftwright.log import event

if TYPE_CHECKING:
    from collections.abc import Callable

    from liftwright.calls.client import Ask, CallContext
    from liftwright.calls.rate_limiter import RateLimiter
    from liftwright.config import CallSettings


def retried(
    ask: Ask, limiter: RateLimiter, settings: CallSettings, jitter: Callable[[], float]
) -> Ask:
    """Call `ask` until it replies, at most 1 + `retries` times.

    The call holds no slot between attempts. It fails at once if the service asks for a longer wait
    than `max_wait_seconds`, as it would refuse an earlier attempt.

    Args:
        ask: makes one attempt; raises `ProviderUnavailable` if another one may help.
        limiter: waits between attempts, and records calls whose attempts all failed.
        settings: the number of retries and the waits.
        jitter: gives a random number in [0, 1).
    """

    def call(request: Any, context: CallContext) -> Any:  # noqa: ANN401 - any port's
        while True:
            try:
                return ask(request, context)
            except ProviderError as error:
                error.attempts = context.attempts
                if not isinstance(error, ProviderUnavailable):
                    raise
                asked = error.retry_after_seconds
                asks_too_long = asked is not None and asked > settings.max_wait_seconds
                if asks_too_long or context.attempts > settings.retries:
                    if context.attempts:
                        limiter.call_failed(context, error)
                    if asks_too_long:
                        longest = f"calls.max_wait_seconds ({settings.max_wait_seconds:g})"
                        error.args = (f"{error}; it asks to wait {asked:.0f} s, above {longest}",)
                    raise
                wait = backoff(context.attempts, error.retry_after_seconds, settings, jitter)
                failed = {"attempt": context.attempts, "wait_seconds": round(wait, 3)}
                context.span.add_event("attempt_failed", error=type(error).__name__, **failed)
                event(
                    "call_retried",
                    agent="calls",
                    level="warning",
                    service=context.service,
                    status=type(error).__name__,
                    **failed,
                )
                limiter.sleep(wait)
                context.before_retry()

    return call


def backoff(
    attempt: int,
    retry_after_seconds: float | None,
    settings: CallSettings,
    jitter: Callable[[], float],
) -> float:
    """Seconds to wait after a failed attempt; attempts count from 1.

    The wait that the service asked for, or else 2, 4, 8 … up to `max_wait_seconds`, shortened at
    random by up to a quarter, so that callers do not retry all at once.
    """
    if retry_after_seconds is not None and not math.isnan(retry_after_seconds):
        return max(retry_after_seconds, 0.0)
    longest: float = settings.backoff_seconds * 2.0 ** (attempt - 1)
    return min(longest * (1 - 0.25 * jitter()), settings.max_wait_seconds)
