"""The port `telemetry` on OpenTelemetry's SDK: its tracer, batch processor and metric reader.

No provider is made global and nothing is instrumented. Two things are ours,
as the SDK has neither: a count of what was not delivered, and a time limit on the shutdown.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import secrets
import threading
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, cast

from opentelemetry.context import Context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context

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
    from collections.abc import Callable

Exporters = tuple[SpanExporter, MetricExporter]

_SCOPE = "liftwright"
_BATCH = 512
_MOST_WAITING = 20_000
_SPANS_EVERY_MS, _METRICS_EVERY_MS = 5_000, 60_000
_NANOSECONDS = 1e9
# Application Insights lists a run among its requests only if it is a server's span.
_KINDS = {"run": SpanKind.SERVER, "call": SpanKind.CLIENT}


class OpenTelemetry:
    """Sends spans and metrics while the run goes on; never waits, except at its end.

    What cannot be sent is dropped, and logged once per run (`telemetry_not_sent`).

    Args:
        destination: what the log calls the receiver.
        open_exporters: makes the vendor's exporters; imports their packages.
        flush_seconds: how long the end of a run may wait for what is not yet sent.
    """

    def __init__(
        self, destination: str, open_exporters: Callable[[], Exporters], *, flush_seconds: float
    ) -> None:
        self._destination = destination
        self._open_exporters = open_exporters
        self._flush_seconds = flush_seconds
        self._lock = threading.Lock()
        self._pipeline: _Pipeline | None = None

    def start(self, span: Span) -> None:
        """Start a span; the first one opens the SDK's providers."""
        with self._lock:
            if self._pipeline is None:
                self._pipeline = _Pipeline(*self._open_exporters())
            pipeline = self._pipeline
        pipeline.start(span)

    def end(self, span: Span) -> None:
        """End a span, to be sent with others, and count it in the metrics."""
        pipeline = self._pipeline
        if pipeline is not None:
            pipeline.end(span)

    def close(self) -> None:
        """Send what is left; returns after `flush_seconds` at the latest."""
        with self._lock:
            pipeline, self._pipeline = self._pipeline, None
        if pipeline is None:
            return
        lost, reason = pipeline.close(self._flush_seconds)
        if reason:
            event(
                "telemetry_not_sent",
                agent="telemetry",
                level="warning",
                destination=self._destination,
                spans=lost,
                reason=reason,
            )

    def check(self) -> str:
        """Send one span, named `check`, and see that it is taken; nothing else is sent.

        Raises:
            ProviderUnavailable: the receiver did not take it within `flush_seconds`.
        """
        try:
            pipeline, one = _Pipeline(*self._open_exporters()), Span(name="check")
            pipeline.start(one)
            one.end()
            pipeline.end(one)
            _, reason = pipeline.close(self._flush_seconds)
        except Exception as error:  # noqa: BLE001 - whatever a vendor's package raises
            reason = type(error).__name__
        if reason:
            # Never with a cause: what the packages raise may hold the connection string.
            raise ProviderUnavailable(f"{self._destination} did not take a span: {reason}")
        return f"{self._destination} took a span"


class _Pipeline:
    """One run's tracer and instruments, each with its exporter."""

    def __init__(self, spans: SpanExporter, metrics: MetricExporter) -> None:
        _quieten()
        self._spans, self._metrics = _Counting(spans), _Counting(metrics)
        # Made as it is, not by `create`: that runs whatever detectors the environment names.
        resource = Resource({"service.name": _SCOPE, "service.version": version(_SCOPE)})
        self._tracers = TracerProvider(
            ALWAYS_ON, resource, shutdown_on_exit=False, id_generator=_IdGenerator()
        )
        self._tracers.add_span_processor(
            BatchSpanProcessor(
                cast("SpanExporter", self._spans),
                max_queue_size=_MOST_WAITING,
                schedule_delay_millis=_SPANS_EVERY_MS,
                max_export_batch_size=_BATCH,
            )
        )
        reader = PeriodicExportingMetricReader(
            cast("MetricExporter", self._metrics), export_interval_millis=_METRICS_EVERY_MS
        )
        self._meters = MeterProvider([reader], resource, shutdown_on_exit=False)
        self._tracer = self._tracers.get_tracer(_SCOPE, version(_SCOPE))
        self._instruments = _Instruments(self._meters)
        self._ended = itertools.count()

    def start(self, span: Span) -> None:
        # Without the context that OpenTelemetry keeps for the process: that is the user's.
        context, parent = Context(), span.parent and span.parent.handle
        if isinstance(parent, OtelSpan):
            context = set_span_in_context(parent, context)
        kind = _KINDS.get(span.name, SpanKind.INTERNAL)
        span.handle = self._tracer.start_span(span.name, context, kind, start_time=span.started_ns)

    def end(self, span: Span) -> None:
        self._instruments.add(span)
        found = span.handle
        if not isinstance(found, OtelSpan):
            return
        found.update_name(name_of(span))
        found.set_attributes(attributes_of(span))
        for one in span.events:
            found.add_event(one.name, own_names(one.fields), one.at_ns)
        found.set_status(StatusCode.OK if span.error is None else StatusCode.ERROR)
        next(self._ended)
        found.end(span.ended_ns)

    def close(self, seconds: float) -> tuple[int, str]:
        """Send what is left; the number of spans that were lost, and why, if anything was."""
        # The SDK's own flush and shutdown take no time limit.
        closing = threading.Thread(target=self._shut_down, name="telemetry", daemon=True)
        closing.start()
        closing.join(seconds)
        reason = self._spans.reason or self._metrics.reason
        if closing.is_alive():
            self._spans.abandoned = self._metrics.abandoned = True
            reason = reason or f"not done after {seconds:g} seconds"
        lost = next(self._ended) - self._spans.delivered
        return lost, reason or ("the receiver is too slow" if lost else "")

    def _shut_down(self) -> None:
        # Flushed first: its shutdown gives up a queue that takes longer than 30 seconds.
        for step in (self._tracers.force_flush, self._tracers.shutdown, self._meters.shutdown):
            with contextlib.suppress(Exception):  # whatever a vendor's package raises
                step()


class _Counting:
    """A vendor's exporter, and what it delivered: the SDK drops its results."""

    def __init__(self, exporter: SpanExporter | MetricExporter) -> None:
        self._exporter: Any = exporter
        self.delivered = 0
        self.reason = ""
        self.abandoned = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._exporter, name)

    def export(self, batch: object, **options: object) -> object:
        if self.abandoned:
            return SpanExportResult.FAILURE
        reason = "the receiver did not take them"
        try:
            result = self._exporter.export(batch, **options)
        except Exception as error:  # noqa: BLE001 - whatever a vendor's package raises
            # Never its message: it may hold the connection string.
            result, reason = SpanExportResult.FAILURE, type(error).__name__
        if result.name != SpanExportResult.SUCCESS.name:
            self.reason = self.reason or reason
        elif isinstance(batch, list):
            self.delivered += len(batch)
        return result


class _IdGenerator(IdGenerator):
    """Ids from the system: the SDK's own come from `random`, which a user may have seeded."""

    def generate_span_id(self) -> int:
        return secrets.randbits(64) or 1

    def generate_trace_id(self) -> int:
        return secrets.randbits(128) or 1


class _Instruments:
    """The metrics, from the spans of a run: calls, errors, latency, tokens, cost."""

    def __init__(self, provider: MeterProvider) -> None:
        meter = provider.get_meter(_SCOPE, version(_SCOPE))
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


def _quieten() -> None:
    """Keep the packages' own messages off the terminal; failures are in our log."""
    for name in ("opentelemetry", "azure"):
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
