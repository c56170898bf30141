"""Telemetry to Azure Monitor (Application Insights), by its exporter alone.

The exporter's own reports to its maker (statsbeat, SDK statistics, feature flags) are switched
off, and nothing is stored on disk: what goes out goes to the ingestion endpoint of the connection
string and nowhere else.
"""

from __future__ import annotations

import os
import re
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from liftwright.adapters.azure.errors import not_installed
from liftwright.adapters.telemetry.opentelemetry import Exporters, OpenTelemetry
from liftwright.errors import ConfigurationError

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

    from liftwright.adapters.telemetry import AzureMonitor

_PACKAGE = "azure-monitor-opentelemetry-exporter"
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
    """The port `telemetry`, sending to the resource that the connection string names.

    Args:
        config: how long the end of a run may wait.
        connection_string: as the portal shows it; a secret.
        credential: who sends; None sends with the connection string alone, which a resource that
            was told to refuse local authentication does not take.

    Raises:
        ConfigurationError: if the package is not installed, or the string is not of that form.
    """
    try:
        version(_PACKAGE)
    except PackageNotFoundError as error:
        raise not_installed("adapters.telemetry azure_monitor", _PACKAGE, "monitor") from error
    _check(config, connection_string)

    def open_exporters() -> Exporters:
        # Read by the package when its exporters are made.
        os.environ.update(dict.fromkeys(_SWITCHED_OFF, "true"))
        from azure.monitor.opentelemetry.exporter import (
            AzureMonitorMetricExporter,
            AzureMonitorTraceExporter,
        )
        from opentelemetry.sdk.metrics.export import AggregationTemporality

        options: dict[str, Any] = {
            "connection_string": connection_string,
            "credential": credential,
            "disable_offline_storage": True,
            "timeout": config.flush_seconds,
            "read_timeout": config.flush_seconds,
            "retry_total": 0,
        }
        return Exporters(
            spans=AzureMonitorTraceExporter(**options),
            metrics=AzureMonitorMetricExporter(**options),
            temporality=AggregationTemporality.DELTA,
        )

    return OpenTelemetry("azure_monitor", open_exporters, flush_seconds=config.flush_seconds)


def _check(config: AzureMonitor, connection_string: str) -> None:
    pairs = (part.partition("=") for part in connection_string.strip().split(";") if part.strip())
    found = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if not _KEY.fullmatch(found.get("instrumentationkey", "")):
        wanted = "InstrumentationKey=GUID"
    elif not _ENDPOINT.fullmatch(found.get("ingestionendpoint", "")):
        wanted = "IngestionEndpoint=https://…"
    else:
        return
    # Never with what was found: it is a secret.
    raise ConfigurationError(
        f"the secret {config.connection_string_secret} (azure_monitor.connection_string_secret): "
        f"{wanted} is missing or malformed; allowed: the connection string as the portal shows "
        "it, InstrumentationKey=…;IngestionEndpoint=https://…"
    )
