"""Each port's adapters by name, those of third parties included."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING, Any

from liftwright.config.validation_errors import nearest
from liftwright.errors import ConfigurationError
from liftwright.wiring import azure, embedded, servers

if TYPE_CHECKING:
    from collections.abc import Callable

    from liftwright.adapter_context import Site

ADAPTERS: dict[str, dict[str, Callable[..., Any]]] = {
    "complete": {
        "embedded": embedded.composer,
        "openai_compatible": servers.openai_compatible,
        "azure_openai": azure.openai,
    },
    "embed": {"embedded": embedded.minilm, "azure_openai": azure.openai_embed},
    "search": {"embedded": embedded.search, "azure_search": azure.search},
    "screen": {
        "embedded": embedded.screen,
        "azure_content_safety": azure.content_safety,
    },
    "engine": {"duckdb": embedded.duckdb, "spark": embedded.spark},
    "store": {"sqlite": embedded.sqlite},
    "track": {"json": embedded.json_track, "mlflow": servers.mlflow},
    "secrets": {"environment": embedded.environment, "key_vault": azure.key_vault},
    "telemetry": {
        "off": embedded.no_telemetry,
        "azure_monitor": azure.monitor,
        "otlp": servers.otlp,
    },
}
SWITCHES: dict[str, Callable[[Site], Any]] = {
    "shield": azure.prompt_shields,
    "judge": azure.groundedness,
}


def adapter_names(port: str) -> tuple[str, ...]:
    """The names that a port's adapter may have, those of third parties included."""
    return tuple(sorted({*ADAPTERS[port], *_third_parties(port)}))


def pick(port: str, name: str) -> Callable[..., Any]:
    """The maker of an adapter; what it gives is checked by the port's contract suite."""
    if name in ADAPTERS[port]:
        return ADAPTERS[port][name]
    others = _third_parties(port)
    if name in others:
        maker: Callable[..., Any] = others[name].load()
        return maker
    known = adapter_names(port)
    raise ConfigurationError(
        f"config/azure_config.yaml: adapters.{port}: found {name!r}; {nearest(name, known)}"
    )


def _third_parties(port: str) -> dict[str, importlib.metadata.EntryPoint]:
    return {e.name: e for e in importlib.metadata.entry_points(group=f"liftwright.{port}")}
