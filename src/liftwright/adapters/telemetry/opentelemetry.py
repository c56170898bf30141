"""The port `telemetry` on OpenTelemetry's exporters: sent from a thread of its own, in bounds.

Nothing global is touched: no provider is installed, nothing is instrumented. A span becomes the
exporter's own record with our ids and times; metrics are summed here and sent once, at the end.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from contextvars import copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftwright.adapters.telemetry.span_names import (
    attributes_of,
    model_of,
    name_of,
    operation_of,
    own_names,
)
from liftwright.errors import ProviderUnavailable
from liftwright.log import event
from liftwright.ports import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

_SCOPE = "liftwright"
_BATCH = 512
_MOST_WAITING = 20_000
_AT_LEAST_EVERY_SECONDS = 5.0
_SAMPLED = 1
_NANOSECONDS = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporters:
    """Where spans and metrics go.

    Attributes:
        temporality: whether the receiver wants sums since the last sending or since the start.
    """

    spans: SpanExporter
    metrics: MetricExporter
    temporality: AggregationTemporality


class OpenTelemetry:
    """Sends spans as they come in, and metrics at the end; never fails and never waits.

    What cannot be sent is dropped, and told once in the log (`telemetry_not_sent`).

    Args:
        destination: what the log calls the receiver.
        open_exporters: makes the vendor's exporters, in the sending thread; imports their packages.
        flush_seconds: how long the end of a run may wait for what is not yet sent.
    """

    on = True

    def __init__(
        self, destination: str, open_exporters: Callable[[], Exporters], *, flush_seconds: float
    ) -> None:
        self._destination = destination
        self._open_exporters = open_exporters
        self._flush_seconds = flush_seconds
        self._changed = threading.Condition()
        self._waiting: list[Span] = []
        self._sending = 0
        self._lost = 0
        self._why = ""
        self._thread: threading.Thread | None = None

    def __call__(self, span: Span, /) -> None:
        """Take one finished span, to be sent with others."""
        with self._changed:
            if len(self._waiting) >= _MOST_WAITING:
                self._lose(1, "the receiver is too slow")
                return
            self._waiting.append(span)
            if self._thread is None:
                work = copy_context().run
                self._thread = threading.Thread(
                    target=work, args=(self._work,), name="telemetry", daemon=True
                )
                self._thread.start()
            elif len(self._waiting) >= _BATCH:
                self._changed.notify()

    def close(self) -> None:
        """Send what is left; returns after `flush_seconds` at the latest."""
        with self._changed:
            thread, self._thread = self._thread, None
            self._changed.notify()
        if thread is not None:
            thread.join(self._flush_seconds)
        with self._changed:
            if thread is not None and thread.is_alive():
                self._lose(self._sending, f"not done after {self._flush_seconds:g} seconds")
            # What came in after the sending thread had ended, or hung.
            self._lost += len(self._waiting)
            self._waiting.clear()
            lost, why, self._lost, self._why = self._lost, self._why, 0, ""
        if why:
            event(
                "telemetry_not_sent",
                agent="telemetry",
                level="warning",
                destination=self._destination,
                spans=lost,
                reason=why,
            )

    def check(self) -> str:
        """Send one span, named `check`, and see that it is taken; nothing else is sent.

        The exporters bound it in time, by the same seconds as the end of a run.

        Raises:
            ProviderUnavailable: where the receiver did not take it.
        """
        from opentelemetry.sdk.trace.export import SpanExportResult

        now = time.time_ns()
        one = Span(
            name="check",
            trace_id=secrets.randbits(128) or 1,
            span_id=secrets.randbits(64) or 1,
            parent_id=None,
            started_ns=now,
            ended_ns=now,
            fields={},
            moments=(),
            error=None,
        )
        # Never with a cause: what the packages raise may hold the connection string.
        try:
            _quieten()
            exporters = self._open_exporters()
            taken = exporters.spans.export([_readable(one)]) is SpanExportResult.SUCCESS
            exporters.spans.shutdown()
            exporters.metrics.shutdown()
        except Exception as error:  # noqa: BLE001 - whatever a vendor's package raises
            raise ProviderUnavailable(
                f"{self._destination} was not reached: {type(error).__name__}"
            ) from None
        if not taken:
            raise ProviderUnavailable(f"{self._destination} did not take a span")
        return f"{self._destination} took a span"

    # ── In the sending thread ──

    def _work(self) -> None:
        try:
            _quieten()
            exporters = self._open_exporters()
            meters = _Meters(exporters.temporality)
            while batch := self._next():
                self._send(exporters, batch)
                for one in batch:
                    meters.add(one)
            if not meters.send(exporters.metrics, self._flush_seconds):
                with self._changed:
                    self._lose(0, "the receiver did not take the metrics")
            exporters.spans.shutdown()
            exporters.metrics.shutdown()
        except Exception as error:  # noqa: BLE001 - whatever a vendor's package raises
            with self._changed:
                self._lose(self._sending, type(error).__name__)
                self._sending = 0

    def _next(self) -> list[Span]:
        """The spans to send next; none at the end."""
        with self._changed:
            self._sending = 0
            # Closed is who is no longer the sending thread; one that hung before may be another.
            while self._thread is threading.current_thread() and len(self._waiting) < _BATCH:
                timed_out = not self._changed.wait(_AT_LEAST_EVERY_SECONDS)
                if timed_out and self._waiting:
                    break
            batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
            self._sending = len(batch)
            return batch

    def _send(self, exporters: Exporters, batch: Sequence[Span]) -> None:
        from opentelemetry.sdk.trace.export import SpanExportResult

        result = exporters.spans.export([_readable(span) for span in batch])
        if result is not SpanExportResult.SUCCESS:
            with self._changed:
                self._lose(len(batch), "the receiver did not take them")

    def _lose(self, spans: int, why: str) -> None:
        self._lost += spans
        self._why = self._why or why


class _Meters:
    """Sums over the spans of a run: calls, errors, latency, tokens, cost."""

    def __init__(self, temporality: AggregationTemporality) -> None:
        from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader

        self._reader = InMemoryMetricReader(
            preferred_temporality={Counter: temporality, Histogram: temporality}
        )
        self._provider = MeterProvider([self._reader], _resource(), shutdown_on_exit=False)
        meter = self._provider.get_meter(_SCOPE, _version())
        count, spread = meter.create_counter, meter.create_histogram
        self._runs = count("liftwright.runs", "{run}", "Runs by outcome.")
        self._stages = spread("liftwright.stage.duration", "s", "How long a stage took.")
        self._calls = count("liftwright.calls", "{call}", "Calls to ports by outcome.")
        self._errors = count("liftwright.call.errors", "{call}", "Calls that failed, by type.")
        self._latency = spread("liftwright.call.duration", "s", "How long a call took, retried.")
        self._cost = count("liftwright.cost", "USD", "What calls cost.")
        self._model = spread("gen_ai.client.operation.duration", "s", "Time a model call took.")
        self._tokens = spread("gen_ai.client.token.usage", "{token}", "Tokens of a model call.")

    def add(self, span: Span) -> None:
        """Count one span."""
        seconds = (span.ended_ns - span.started_ns) / _NANOSECONDS
        fields = span.fields
        if span.name == "run":
            self._runs.add(1, own_names({"outcome": fields.get("outcome", "failed")}))
        elif span.name == "stage":
            told = {"stage": fields.get("stage"), "outcome": fields.get("outcome", "done")}
            self._stages.record(seconds, own_names(told))
        elif span.name == "call":
            self._add_call(span, seconds)

    def _add_call(self, span: Span, seconds: float) -> None:
        fields = span.fields
        who = own_names({name: fields.get(name) for name in ("service", "provider", "outcome")})
        self._calls.add(1, who)
        self._latency.record(seconds, who)
        failed = {"error.type": span.error} if span.error is not None else {}
        if failed:
            self._errors.add(1, {**who, **failed})
        cost = fields.get("cost_usd")
        if isinstance(cost, int | float):
            named = {name: fields.get(name) for name in ("service", "provider", "model")}
            self._cost.add(cost, own_names(named))
        if operation_of(span) is None or fields.get("outcome") == "replayed":
            return
        model = model_of(span)
        self._model.record(seconds, {**model, **failed})
        for kind in ("input", "output"):
            tokens = fields.get(f"tokens_{kind}")
            if isinstance(tokens, int):
                self._tokens.record(tokens, {**model, "gen_ai.token.type": kind})

    def send(self, exporter: MetricExporter, seconds: float) -> bool:
        """Send the sums; whether they were taken."""
        from opentelemetry.sdk.metrics.export import MetricExportResult

        found = self._reader.get_metrics_data()
        self._provider.shutdown()
        if found is None:
            return True
        result = exporter.export(found, timeout_millis=seconds * 1000)
        return result is MetricExportResult.SUCCESS


def _readable(span: Span) -> ReadableSpan:
    """The exporters' own record of a span."""
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

    def context(span_id: int) -> SpanContext:
        flags = TraceFlags(_SAMPLED)
        return SpanContext(span.trace_id, span_id, is_remote=False, trace_flags=flags)

    # Application Insights lists a run among its requests only if it is served, as it were.
    kinds = {"run": SpanKind.SERVER, "call": SpanKind.CLIENT}
    return ReadableSpan(
        name=name_of(span),
        context=context(span.span_id),
        parent=None if span.parent_id is None else context(span.parent_id),
        resource=_resource(),
        attributes=attributes_of(span),
        events=[
            Event(moment.name, own_names(moment.fields), timestamp=moment.at_ns)
            for moment in span.moments
        ],
        kind=kinds.get(span.name, SpanKind.INTERNAL),
        instrumentation_scope=InstrumentationScope(_SCOPE, _version()),
        status=Status(StatusCode.OK if span.error is None else StatusCode.ERROR),
        start_time=span.started_ns,
        end_time=span.ended_ns,
    )


def _resource() -> Resource:
    from opentelemetry.sdk.resources import Resource

    # Made as it is, not by `create`: that runs whatever detectors the environment names.
    return Resource({"service.name": "liftwright", "service.version": _version()})


def _version() -> str:
    from importlib.metadata import version

    return version("liftwright")


def _quieten() -> None:
    """Keep the packages' own words off the terminal; what failed is told by ours."""
    for name in ("opentelemetry", "azure"):
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
