"""Servers that speak an open protocol, wherever they run: what makes each adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.adapter_context import Site, options_of, secret_of
from liftwright.errors import ConfigurationError

if TYPE_CHECKING:
    from liftwright.ports import Complete, Telemetry, Track


def openai_compatible(site: Site) -> Complete:
    """The writer behind a server that speaks OpenAI's protocol."""
    from liftwright.adapters.openai.compatible import CompatibleWriter

    options = site.settings.services.openai_compatible
    if options is None:
        raise ConfigurationError(
            "config/azure_config.yaml: openai_compatible: found null, allowed: the server's "
            "base_url and model, as adapters.complete is 'openai_compatible'"
        )
    return CompatibleWriter(
        options,
        api_key=secret_of(site, options.api_key_secret, "openai_compatible.api_key_secret"),
        price=site.settings.services.prices.get(options.model),
        timeout_seconds=site.settings.services.calls.timeout_seconds.complete,
    )


def mlflow(site: Site) -> Track:
    """The tracker that MLflow is."""
    from liftwright.adapters.mlflow.track import MLflowTrack

    services, experiment = site.settings.services, site.settings.experiment
    options = options_of(services.mlflow, "track", "mlflow")
    return MLflowTrack(
        options,
        site.root,
        experiment=options.experiment or experiment.name,
        parameters={
            "experiment": experiment.name,
            "arms": experiment.arm_shares(),
            "adapters": services.adapters.model_dump(),
            "model": services.writer.model if services.writer else None,
        },
        token=secret_of(site, options.token_secret, "mlflow.token_secret"),
    )


def otlp(site: Site) -> Telemetry:
    """The telemetry that a collector takes over OTLP."""
    from liftwright.adapters.telemetry.otlp import otlp_telemetry

    options = options_of(site.settings.services.otlp, "telemetry", "otlp")
    return otlp_telemetry(options, secret_of(site, options.headers_secret, "otlp.headers_secret"))
