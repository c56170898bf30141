"""The port `telemetry` on OpenTelemetry's SDK: its tracer, batch processor and metric reader.

No provider is made global and nothing is instrumented. We add two things that the SDK lacks: a
count of undelivered spans, and a time limit on the shutdown.
"""

from __future__ import annotations

import contextlib
import itertools
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
from liftwright.log import event, silence
from liftwright.ports import Span

if TYPE_CHECKING:
    from collections.abc import Callable

Exporters = tuple[SpanExporter, MetricExporter]

_SCOPE = "liftwright"
_BATCH = 512
_MAX_WAITING = 20_000
_SPANS_EVERY_MS, _METRICS_EVERY_MS = 5_000, 60_000
_NANOSECONDS = 1e9
# Application Insights lists a run as a request only if its span's kind is SERVER.
_KINDS = {"run": SpanKind.SERVER, "call": SpanKind.CLIENT}


class OpenTelemetry:
    """Sends spans and metrics in the background; blocks only at the end of a run.

    Data that cannot be sent is dropped, and logged once per run (`telemetry_not_sent`).

    Args:
        destination: the receiver's name in the log.
        open_exporters: creates the vendor's exporters, and imports their packages.
        flush_seconds: the longest wait for unsent data at the end of a run.
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
        """Start a span; the first one creates the SDK's providers."""
        with self._lock:
            if self._pipeline is None:
                self._pipeline = _Pipeline(*self._open_exporters())
            pipeline = self._pipeline
        pipeline.start(span)

    def end(self, span: Span) -> None:
        """End a span, queue it for sending, and add it to the metrics."""
        pipeline = self._pipeline
        if pipeline is not None:
            pipeline.end(span)

    def close(self) -> None:
        """Send the remaining data; returns after `flush_seconds` at the latest."""
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
        """Send a single span, named `check`, and verify that it is accepted.

        Raises:
            ProviderUnavailable: the receiver did not accept it within `flush_seconds`.
        """
        try:
            pipeline, span = _Pipeline(*self._open_exporters()), Span(name="check")
            pipeline.start(span)
            span.end()
            pipeline.end(span)
            _, reason = pipeline.close(self._flush_seconds)
        except Exception as error:  # noqa: BLE001 - whatever a vendor's package raises
            reason = type(error).__name__
        if reason:
            # Without the cause: the packages' errors may contain the connection string.
            raise ProviderUnavailable(f"{self._destination} did not accept a span: {reason}")
        return f"{self._destination} accepted a span"


class _Pipeline:
    """The tracer and instruments of one run, each with its exporter."""

    def __init__(self, spans: SpanExporter, metrics: MetricExporter) -> None:
        silence("opentelemetry", "azure")
        self._spans, self._metrics = _Counting(spans), _Counting(metrics)
        # Not by `Resource.create`, which runs any detectors that the environment names.
        resource = Resource({"service.name": _SCOPE, "service.version": version(_SCOPE)})
        self._tracers = TracerProvider(
            ALWAYS_ON, resource, shutdown_on_exit=False, id_generator=_IdGenerator()
        )
        self._tracers.add_span_processor(
            BatchSpanProcessor(
                cast("SpanExporter", self._spans),
                max_queue_size=_MAX_WAITING,
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
        # Not in OpenTelemetry's current context, which belongs to the user's program.
        context, parent = Context(), span.parent and span.parent.handle
        if isinstance(parent, OtelSpan):
            context = set_span_in_context(parent, context)
        kind = _KINDS.get(span.name, SpanKind.INTERNAL)
        span.handle = self._tracer.start_span(span.name, context, kind, start_time=span.started_ns)

    def end(self, span: Span) -> None:
        self._instruments.add(span)
        otel_span = span.handle
        if not isinstance(otel_span, OtelSpan):
            return
        otel_span.update_name(name_of(span))
        otel_span.set_attributes(attributes_of(span))
        for happened in span.events:
            otel_span.add_event(happened.name, own_names(happened.fields), happened.at_ns)
        otel_span.set_status(StatusCode.OK if span.error is None else StatusCode.ERROR)
        next(self._ended)
        otel_span.end(span.ended_ns)

    def close(self, seconds: float) -> tuple[int, str]:
        """Send the remaining data; returns the number of lost spans and the reason, if any."""
        # The SDK's flush and shutdown have no time limit.
        closing = threading.Thread(target=self._shut_down, name="telemetry", daemon=True)
        closing.start()
        closing.join(seconds)
        reason = self._spans.reason or self._metrics.reason
        if closing.is_alive():
            self._spans.abandoned = self._metrics.abandoned = True
            reason = reason or f"not finished after {seconds:g} seconds"
        lost = next(self._ended) - self._spans.delivered
        return lost, reason or ("the receiver is too slow" if lost else "")

    def _shut_down(self) -> None:
        # Flush first, as the shutdown drops a queue that takes longer than 30 seconds.
        for step in (self._tracers.force_flush, self._tracers.shutdown, self._meters.shutdown):
            with contextlib.suppress(Exception):  # whatever a vendor's package raises
                step()


class _Counting:
    """Wraps a vendor's exporter and counts its deliveries, as the SDK ignores the results."""

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
        reason = "the receiver did not accept them"
        try:
            result = self._exporter.export(batch, **options)
        except Exception as error:  # noqa: BLE001 - whatever a vendor's package raises
            # Without the message, which may contain the connection string.
            result, reason = SpanExportResult.FAILURE, type(error).__name__
        if result.name != SpanExportResult.SUCCESS.name:
            self.reason = self.reason or reason
        elif isinstance(batch, list):
            self.delivered += len(batch)
        return result


class _IdGenerator(IdGenerator):
    """Ids from the system's entropy; the SDK uses `random`, which a user may have seeded."""

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
            stage = {"stage": fields.get("stage"), "outcome": fields.get("outcome", "done")}
            self._stages.record(seconds, own_names(stage))
        elif span.name == "call":
            self._add_call(span, seconds)

    def _add_call(self, span: Span, seconds: float) -> None:
        fields = span.fields
        labels = own_names({name: fields.get(name) for name in ("service", "provider", "outcome")})
        self._calls.add(1, labels)
        self._latency.record(seconds, labels)
        failed = {"error.type": span.error} if span.error is not None else {}
        if failed:
            self._errors.add(1, {**labels, **failed})
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
