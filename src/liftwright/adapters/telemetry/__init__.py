"""Spans and metrics through OpenTelemetry exporters."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from liftwright.config.models import Name  # noqa: TC001 - pydantic reads them at run time
from liftwright.providers import AdapterContext, Options, Provider

if TYPE_CHECKING:
    from liftwright.ports import Telemetry


class AzureMonitor(Options):
    """Azure Monitor (Application Insights), as the receiver of telemetry."""

    connection_string_secret: Name = "APPLICATIONINSIGHTS_CONNECTION_STRING"  # noqa: S105 - a name
    flush_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0


class Otlp(Options):
    """A collector that speaks OTLP over HTTP, as the receiver of telemetry."""

    endpoint: Annotated[str, Field(pattern=r"^https?://[^/\s]+.*$")]
    headers_secret: str | None = None
    flush_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0


def _azure_monitor(context: AdapterContext[AzureMonitor]) -> Telemetry:
    _need("azure-monitor-opentelemetry-exporter", "azure_monitor")
    from liftwright.adapters.azure.identity import credential_for
    from liftwright.adapters.telemetry.exporters import azure_monitor_telemetry

    options, authentication = context.options, context.settings.services.authentication
    connection = context.need_secret(
        options.connection_string_secret, "azure_monitor.connection_string_secret"
    )
    credential = (
        None
        if authentication.method == "api_key"
        else credential_for(authentication, context.variables)
    )
    return azure_monitor_telemetry(options, connection, credential)


def _otlp(context: AdapterContext[Otlp]) -> Telemetry:
    _need("opentelemetry-exporter-otlp-proto-http", "otlp")
    from liftwright.adapters.telemetry.exporters import otlp_telemetry

    options = context.options
    return otlp_telemetry(options, context.secret(options.headers_secret, "otlp.headers_secret"))


def _need(package: str, adapter: str) -> None:
    """Raise if an adapter's package is not installed."""
    from liftwright.adapters.azure.errors import not_installed

    try:
        version(package)
    except PackageNotFoundError as error:
        raise not_installed(f"adapters.telemetry {adapter}", package, "monitor") from error


AZURE_MONITOR = Provider(
    adapters={"telemetry": _azure_monitor},
    options=AzureMonitor,
    address="connection_string_secret",
)
OTLP = Provider(adapters={"telemetry": _otlp}, options=Otlp, address="endpoint")
