"""Observability of calls: a span and a log line for each, and totals by service."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from liftwright.calls.budget import usd
from liftwright.errors import (
    BudgetSpent,
    LiftwrightError,
    ProviderError,
    ProviderRefused,
    ServiceDown,
)
from liftwright.log import event, fault
from liftwright.tracing import span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from liftwright.calls.client import Ask, CallContext
    from liftwright.ports import Port, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceTotals:
    """The calls to one service; latencies include retries."""

    calls: int
    attempts: int
    errors: int
    error_rate: float
    latency_p50_ms: float
    latency_p95_ms: float
    latency_p99_ms: float


class Observer:
    """Counts and logs calls; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: defaultdict[str, list[tuple[float, int, bool]]] = defaultdict(list)

    def ended(self, context: CallContext, started: float, error: Exception | None) -> None:
        """Count and log a call that succeeded or failed."""
        latency_ms = (time.perf_counter() - started) * 1000
        with self._lock:
            self._calls[context.service].append((latency_ms, context.attempts, error is not None))
        fields: dict[str, Any] = {
            "service": context.service,
            "latency_ms": round(latency_ms, 1),
            "attempts": context.attempts,
        }
        if error is None:
            event("call_made", agent="calls", status="ok", **fields)
        else:
            status = type(error).__name__ if isinstance(error, LiftwrightError) else "defect"
            fault("call_failed", error, agent="calls", status=status, **fields)

    def totals(self) -> Mapping[str, ServiceTotals]:
        """The calls so far, by service."""
        with self._lock:
            return {service: _totals(calls) for service, calls in sorted(self._calls.items())}


def observed(ask: Ask, observer: Observer, port: Port | None = None) -> Ask:
    """Count and log each call, except those that are replayed or interrupted.

    Args:
        ask: makes the call.
        observer: counts and logs it.
        port: the adapter, for the call's span; None makes no span.
    """

    def call(request: Any, context: CallContext) -> Any:  # noqa: ANN401 - any port's
        started = time.perf_counter()
        with _span(port, context, request) as context.span:
            try:
                reply = ask(request, context)
            except Exception as error:
                if context.attempts or isinstance(error, ServiceDown):
                    observer.ended(context, started, error)
                _describe(context, _outcome(error))
                raise
            if context.attempts:
                observer.ended(context, started, None)
            _describe(context, "ok" if context.attempts else "replayed")
            return reply

    return call


def _span(port: Port | None, context: CallContext, request: object) -> AbstractContextManager[Span]:
    if port is None:
        return nullcontext(context.span)
    identity = port.identity
    return span(
        "call",
        service=context.service,
        provider=identity.provider,
        model=identity.model or None,
        metered=port.metered,
        requests=len(request) if isinstance(request, tuple) else None,
    )


def _describe(context: CallContext, outcome: str) -> None:
    """Add the outcome, usage and cost to the call's span."""
    context.span.set(outcome=outcome, attempts=context.attempts or None)
    if context.usage is not None:
        tokens = context.usage.tokens
        context.span.set(cost_usd=usd(context.cost_usd), units=context.usage.units or None)
        if tokens.input or tokens.cached_input or tokens.output:
            context.span.set(
                tokens_input=tokens.input,
                tokens_cached_input=tokens.cached_input,
                tokens_output=tokens.output,
            )


def _outcome(error: Exception) -> str:
    if isinstance(error, BudgetSpent):
        return "budget_spent"
    if isinstance(error, ProviderRefused):
        return "refused"
    return "unavailable" if isinstance(error, ProviderError) else "failed"


def _totals(calls: Sequence[tuple[float, int, bool]]) -> ServiceTotals:
    latencies = sorted(latency_ms for latency_ms, _, _ in calls)
    errors = sum(failed for _, _, failed in calls)
    return ServiceTotals(
        calls=len(calls),
        attempts=sum(attempts for _, attempts, _ in calls),
        errors=errors,
        error_rate=errors / len(calls),
        latency_p50_ms=round(quantile(latencies, 50), 1),
        latency_p95_ms=round(quantile(latencies, 95), 1),
        latency_p99_ms=round(quantile(latencies, 99), 1),
    )


def quantile(ordered: Sequence[float], percent: int) -> float:
    """Nearest-rank quantile of sorted values."""
    return ordered[max(0, -(-percent * len(ordered) // 100) - 1)]
