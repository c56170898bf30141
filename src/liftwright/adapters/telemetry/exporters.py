"""The exporters of telemetry: Azure Monitor's, and OTLP over HTTP.

The Azure Monitor exporter's own telemetry (statsbeat, SDK statistics, feature flags) is turned off,
and nothing is stored on disk: data goes only to the connection string's ingestion endpoint.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

from liftwright.adapters.telemetry.opentelemetry import Exporters, OpenTelemetry
from liftwright.errors import ConfigurationError

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

    from liftwright.adapters.telemetry import AzureMonitor, Otlp

_SWITCHED_OFF = (
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED",
    "APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED",
)
_KEY = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ENDPOINT = re.compile(r"https://[^/\s]+/?|http://(localhost|127\.0\.0\.1)(:\d+)?/?")


def azure_monitor_telemetry(
    config: AzureMonitor, connection_string: str, credential: TokenCredential | None = None
) -> OpenTelemetry:
    """The port `telemetry` for the Application Insights resource in the connection string.

    Args:
        config: the longest wait at the end of a run.
        connection_string: as shown in the portal; a secret.
        credential: the identity; None authenticates by the connection string alone, which fails if
            the resource has local authentication disabled.

    Raises:
        ConfigurationError: the connection string is malformed.
    """
    _check(config, connection_string)

    def open_exporters() -> Exporters:
        # The package reads these variables when it creates its exporters.
        os.environ.update(dict.fromkeys(_SWITCHED_OFF, "true"))
        from azure.monitor.opentelemetry.exporter import (
            AzureMonitorMetricExporter,
            AzureMonitorTraceExporter,
        )

        options: dict[str, Any] = {
            "connection_string": connection_string,
            "credential": credential,
            "disable_offline_storage": True,
            "timeout": config.flush_seconds,
            "read_timeout": config.flush_seconds,
            "retry_total": 0,
        }
        return AzureMonitorTraceExporter(**options), AzureMonitorMetricExporter(**options)

    return OpenTelemetry("azure_monitor", open_exporters, flush_seconds=config.flush_seconds)


def otlp_telemetry(config: Otlp, headers: str | None) -> OpenTelemetry:
    """The port `telemetry` for a collector.

    Args:
        config: the collector.
        headers: a JSON object of required headers, a secret; None for none.

    Raises:
        ConfigurationError: the headers are not a JSON object.
    """
    sent = _headers(config, headers)
    base, seconds = config.endpoint.rstrip("/"), config.flush_seconds

    def open_exporters() -> Exporters:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        return (
            OTLPSpanExporter(f"{base}/v1/traces", headers=sent, timeout=seconds),
            OTLPMetricExporter(f"{base}/v1/metrics", headers=sent, timeout=seconds),
        )

    return OpenTelemetry("otlp", open_exporters, flush_seconds=seconds)


def _check(config: AzureMonitor, connection_string: str) -> None:
    pairs = (part.partition("=") for part in connection_string.strip().split(";") if part.strip())
    found = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if not _KEY.fullmatch(found.get("instrumentationkey", "")):
        wanted = "InstrumentationKey=GUID"
    elif not _ENDPOINT.fullmatch(found.get("ingestionendpoint", "")):
        wanted = "IngestionEndpoint=https://…"
    else:
        return
    # Without the value, which is a secret.
    raise ConfigurationError(
        f"the secret {config.connection_string_secret} (azure_monitor.connection_string_secret): "
        f"{wanted} is missing or malformed; allowed: the connection string as shown in the portal, "
        "InstrumentationKey=…;IngestionEndpoint=https://…"
    )


def _headers(config: Otlp, text: str | None) -> dict[str, str]:
    if text is None:
        return {}
    try:
        headers = json.loads(text)
    except ValueError:
        headers = None
    if not isinstance(headers, dict) or not all(isinstance(v, str) for v in headers.values()):
        # Without the value, which is a secret.
        raise ConfigurationError(
            f"the secret {config.headers_secret} (otlp.headers_secret): found something else, "
            'allowed: a JSON object of headers, as {"Authorization": "Bearer …"}'
        )
    return headers
