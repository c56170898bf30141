"""The providers that come with Liftwright, those that plug-ins add, and what they are made with.

A plug-in is a package with an entry point in the group `liftwright.<port>`. It names a `Provider`,
or, where there are no options, just the callable that makes the adapter.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import create_model

from liftwright.adapters import azure, duckdb, embedded, mlflow, openai, spark, telemetry
from liftwright.config import Adapters, Services, load_settings
from liftwright.config.validation_errors import nearest
from liftwright.errors import ConfigurationError
from liftwright.providers import AdapterContext, Options, Provider

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from liftwright.config import Settings

BUILT_IN: Mapping[str, Provider[Any]] = {
    "embedded": embedded.EMBEDDED,
    "environment": embedded.ENVIRONMENT,
    "json": embedded.JSON,
    "off": embedded.OFF,
    "sqlite": embedded.SQLITE,
    "duckdb": duckdb.PROVIDER,
    "spark": spark.PROVIDER,
    "openai_compatible": openai.PROVIDER,
    "azure_openai": azure.OPENAI,
    "azure_search": azure.SEARCH,
    "azure_content_safety": azure.CONTENT_SAFETY,
    "key_vault": azure.KEY_VAULT,
    "azure_monitor": telemetry.AZURE_MONITOR,
    "otlp": telemetry.OTLP,
    "mlflow": mlflow.PROVIDER,
}
PORTS = tuple(Adapters.model_fields)


def read_settings(root: Path, overrides: Sequence[str] = ()) -> Settings:
    """Read and validate every file of `root`/config, the providers' blocks included.

    Args:
        root: the workspace.
        overrides: `KEY=VALUE` each, see `liftwright.config.overrides`.

    Raises:
        ConfigurationError: naming file, line, key, what was found and what is allowed.
    """
    return load_settings(root, services_model, overrides)


def services_model(words: Collection[str] = ()) -> type[Services]:
    """`Services` with a block for each provider: ours, and the plug-ins whose names are `words`.

    Raises:
        ConfigurationError: a plug-in cannot be loaded, or its name is taken.
    """
    blocks = {name: provider for name, provider in BUILT_IN.items() if provider.options}
    for name, provider in _plug_ins(set(words) - {*Services.model_fields, *BUILT_IN}):
        if provider.options is None:
            continue
        known = blocks.setdefault(name, provider)
        if known.options is not provider.options or hasattr(Services, name):
            raise ConfigurationError(
                f"config/azure_config.yaml: {name}: two blocks would have this name; "
                "one of the plug-ins must call itself something else"
            )
    fields: dict[str, Any] = {}
    for name, provider in blocks.items():
        model: Any = provider.options
        fields[name] = (model if provider.default else model | None, provider.default)
    return create_model("Services", __base__=Services, **fields)


def adapter_names(port: str) -> tuple[str, ...]:
    """The names that a port's adapter may have, those of plug-ins included."""
    ours = {name for name, provider in BUILT_IN.items() if port in provider.adapters}
    return tuple(sorted({*ours, *_entry_points(port)}))


def serving(port: str, services: Services) -> tuple[str, Provider[Any]]:
    """The provider that serves a port, and its name.

    Raises:
        ConfigurationError: it is unknown, its package cannot be loaded, or an optional port is off.
    """
    if port not in PORTS:
        for name, provider in _configured(services).items():
            if _turns_on(port, provider, _options(name, provider, services)):
                return name, provider
        raise ConfigurationError(f"config/azure_config.yaml: no block turns {port} on")
    name = getattr(services.adapters, port)
    if name in BUILT_IN and port in BUILT_IN[name].adapters:
        return name, BUILT_IN[name]
    found = _entry_points(port).get(name)
    if found is None:
        known = nearest(name, adapter_names(port))
        raise ConfigurationError(
            f"config/azure_config.yaml: adapters.{port}: found {name!r}; {known}"
        )
    return name, _loaded(port, found)


def is_on(port: str, services: Services) -> bool:
    """Whether a block turns an optional port (`shield`, `judge`) on."""
    return any(
        _turns_on(port, provider, _options(name, provider, services))
        for name, provider in _configured(services).items()
    )


def maker(port: str, base: AdapterContext[Any]) -> Callable[[], Any]:
    """What makes the adapter of a port.

    Raises:
        ConfigurationError: as `serving` does, or where the provider's block is missing.
    """
    services = base.settings.services
    name, provider = serving(port, services)
    options = _options(name, provider, services)
    if options is None and provider.options is not None:
        keys = ", ".join(provider.options.model_fields)
        raise ConfigurationError(
            f"config/azure_config.yaml: {name}: found null, allowed: a mapping with the keys "
            f"{keys}, as adapters.{port} is {name!r}"
        )
    return partial(provider.adapters[port], replace(base, options=options))


def endpoints(services: Services) -> dict[str, str]:
    """The addresses of the services that are configured, by block; without anything secret."""
    found = {
        name: str(getattr(_options(name, provider, services), provider.address, ""))
        for name, provider in _configured(services).items()
    }
    return {name: _bare(address) for name, address in found.items() if "://" in address}


def checks(base: AdapterContext[Any]) -> dict[str, Callable[[], str]]:
    """The checks that the providers in use bring for `doctor --live`, by name."""
    services = base.settings.services
    used = {getattr(services.adapters, port) for port in PORTS}
    found: dict[str, Callable[[], str]] = {}
    for name, provider in _configured(services).items():
        options = _options(name, provider, services)
        if name in used or any(_turns_on(port, provider, options) for port in provider.switches):
            found |= provider.checks(replace(base, options=options))
    return dict(sorted(found.items()))


def _configured(services: Services) -> dict[str, Provider[Any]]:
    """The providers with options, ours and plug-ins, whose block or default is there."""
    names = [name for name in type(services).model_fields if name not in Services.model_fields]
    plug_ins = dict(_plug_ins({*names} - {*BUILT_IN}))
    found = {name: BUILT_IN.get(name) or plug_ins[name] for name in names}
    return {name: one for name, one in found.items() if _options(name, one, services)}


def _turns_on(port: str, provider: Provider[Any], options: Options | None) -> bool:
    return bool(getattr(options, provider.switches.get(port, ""), False))


def _options(name: str, provider: Provider[Any], services: Services) -> Options | None:
    default: Options | None = provider.default
    block = services.options(name)
    return block if isinstance(block, Options) else default


def _plug_ins(names: Collection[str]) -> Iterator[tuple[str, Provider[Any]]]:
    """The plug-ins of these names, once for each port that they serve."""
    for port in PORTS if names else ():
        for name, entry in _entry_points(port).items():
            if name in names:
                yield name, _loaded(port, entry)


def _entry_points(port: str) -> dict[str, importlib.metadata.EntryPoint]:
    return {e.name: e for e in importlib.metadata.entry_points(group=f"liftwright.{port}")}


def _loaded(port: str, entry: importlib.metadata.EntryPoint) -> Provider[Any]:
    try:
        found = entry.load()
    except Exception as error:
        raise ConfigurationError(
            f"config/azure_config.yaml: adapters.{port}: the plug-in {entry.name!r} "
            f"({entry.value}) cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(found, Provider):
        return Provider(adapters={port: found})
    if port not in found.adapters:
        raise ConfigurationError(
            f"config/azure_config.yaml: adapters.{port}: the plug-in {entry.name!r} "
            f"({entry.value}) serves {', '.join(found.adapters)} alone"
        )
    return found


def _bare(address: str) -> str:
    """The address without a user, a password and parameters."""
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
