"""Telemetry to any collector that speaks OTLP over HTTP."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from liftwright.adapters.azure.errors import not_installed
from liftwright.adapters.telemetry.opentelemetry import Exporters, OpenTelemetry
from liftwright.errors import ConfigurationError

if TYPE_CHECKING:
    from liftwright.adapters.telemetry import Otlp

_PACKAGE = "opentelemetry-exporter-otlp-proto-http"


def otlp_telemetry(config: Otlp, headers: str | None) -> OpenTelemetry:
    """The port `telemetry`, sending to `config.endpoint`.

    Args:
        config: where the collector is.
        headers: a JSON object of the headers that it wants, a secret; None for none.

    Raises:
        ConfigurationError: if the package is not installed or the headers are no JSON object.
    """
    try:
        version(_PACKAGE)
    except PackageNotFoundError as error:
        raise not_installed("adapters.telemetry otlp", _PACKAGE, "monitor") from error
    sent = _headers(config, headers)
    base = config.endpoint.rstrip("/")

    def open_exporters() -> Exporters:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.metrics.export import AggregationTemporality

        return Exporters(
            spans=OTLPSpanExporter(
                endpoint=f"{base}/v1/traces", headers=sent, timeout=config.flush_seconds
            ),
            metrics=OTLPMetricExporter(
                endpoint=f"{base}/v1/metrics", headers=sent, timeout=config.flush_seconds
            ),
            temporality=AggregationTemporality.CUMULATIVE,
        )

    return OpenTelemetry("otlp", open_exporters, flush_seconds=config.flush_seconds)


def _headers(config: Otlp, text: str | None) -> dict[str, str]:
    if text is None:
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        # Never with what was found: it is a secret.
        raise ConfigurationError(
            f"the secret {config.headers_secret} (otlp.headers_secret): found something else, "
            'allowed: a JSON object of headers, as {"Authorization": "Bearer …"}'
        )
    return found
