"""Looks up providers: the built-in ones, and those of plug-ins.

A plug-in is a package with an entry point in the group `liftwright.<port>`. The entry point names a
`Provider` or, if there are no options, just the callable that creates the adapter.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import sys
from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import create_model

from liftwright.adapters import azure, duckdb, embedded, mlflow, openai, spark, telemetry
from liftwright.config import Adapters, Services, load_settings
from liftwright.config.validation_errors import suggestion
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
    """Read and validate every file of `root`/config, including the providers' blocks.

    Args:
        root: the workspace.
        overrides: `KEY=VALUE` each, see `liftwright.config.overrides`.

    Raises:
        ConfigurationError: naming file, line, key, what was found and what is allowed.
    """
    return load_settings(root, services_model, overrides)


def services_model(names: Collection[str] = ()) -> type[Services]:
    """`Services` with a block for each built-in provider, and for each plug-in in `names`.

    Raises:
        ConfigurationError: a plug-in cannot be loaded, or its name is taken.
    """
    blocks = {name: provider for name, provider in BUILT_IN.items() if provider.options}
    for name, provider in _plug_ins(set(names) - {*Services.model_fields, *BUILT_IN}):
        known = blocks.setdefault(name, provider) if provider.options else provider
        if known.options is not provider.options:
            raise ConfigurationError(
                f"config/azure_config.yaml: {name}: two plug-ins of this name have different "
                "options; uninstall one of them"
            )
    fields: dict[str, Any] = {}
    for name, provider in blocks.items():
        model: Any = provider.options
        fields[name] = (model if provider.default else model | None, provider.default)
    return create_model("Services", __base__=Services, **fields)


def adapter_names(port: str) -> tuple[str, ...]:
    """The names of the providers that serve a port, including plug-ins."""
    built_in = {name for name, provider in BUILT_IN.items() if port in provider.adapters}
    return tuple(sorted({*built_in, *_entry_points(port)}))


def serving(port: str, services: Services) -> tuple[str, Provider[Any]]:
    """The provider that serves a port, and its name.

    Raises:
        ConfigurationError: it is unknown or cannot be loaded, or the optional port is off.
    """
    if port not in PORTS:
        for name, provider in _configured(services).items():
            if _turns_on(port, provider, _options(name, provider, services)):
                return name, provider
        raise ConfigurationError(f"config/azure_config.yaml: no block turns {port} on")
    name = getattr(services.adapters, port)
    if name in BUILT_IN and port in BUILT_IN[name].adapters:
        return name, BUILT_IN[name]
    entry = _entry_points(port).get(name)
    if entry is None:
        known = suggestion(name, adapter_names(port))
        raise ConfigurationError(
            f"config/azure_config.yaml: adapters.{port}: found {name!r}; {known}"
        )
    provider = _load(port, entry)
    if port not in provider.adapters:
        others = ", ".join(provider.adapters)
        raise ConfigurationError(f"{_describe(port, entry)} has no adapter for it, only: {others}")
    if provider.options and (name in BUILT_IN or hasattr(Services, name)):
        raise ConfigurationError(f"{_describe(port, entry)} has options, but {name!r} is taken")
    return name, provider


def is_on(port: str, services: Services) -> bool:
    """Whether a block turns an optional port (`shield`, `judge`) on."""
    return any(
        _turns_on(port, provider, _options(name, provider, services))
        for name, provider in _configured(services).items()
    )


def maker(port: str, base: AdapterContext[Any]) -> Callable[[], Any]:
    """The callable that creates the adapter of a port.

    Raises:
        ConfigurationError: as in `serving`, or the provider's block is missing.
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
    """The addresses of the configured services, by block; without credentials."""
    addresses = {
        name: str(getattr(_options(name, provider, services), provider.address, ""))
        for name, provider in _configured(services).items()
    }
    return {name: _bare(address) for name, address in addresses.items() if "://" in address}


def checks(base: AdapterContext[Any]) -> dict[str, Callable[[], str]]:
    """The providers' checks for `doctor --live`, by name."""
    services = base.settings.services
    used = {
        name: provider
        for name, provider in _configured(services).items()
        if any(_turns_on(port, provider, services.options(name)) for port in provider.switches)
    }
    for port in PORTS:
        # An unknown provider is reported when its adapter is created.
        with contextlib.suppress(ConfigurationError):
            name, provider = serving(port, services)
            used[name] = provider
    by_name: dict[str, Callable[[], str]] = {}
    for name, provider in used.items():
        options = _options(name, provider, services)
        if options is not None or provider.options is None:
            by_name |= provider.checks(replace(base, options=options))
    return dict(sorted(by_name.items()))


def _configured(services: Services) -> dict[str, Provider[Any]]:
    """The providers, built-in or plug-in, that have a block or default options."""
    names = [name for name in type(services).model_fields if name not in Services.model_fields]
    plug_ins = dict(_plug_ins({*names} - {*BUILT_IN}))
    providers = {name: BUILT_IN.get(name) or plug_ins[name] for name in names}
    return {name: p for name, p in providers.items() if _options(name, p, services)}


def _turns_on(port: str, provider: Provider[Any], options: object) -> bool:
    return bool(getattr(options, provider.switches.get(port, ""), False))


def _options(name: str, provider: Provider[Any], services: Services) -> Options | None:
    default: Options | None = provider.default
    block = services.options(name)
    return block if isinstance(block, Options) else default


def _plug_ins(names: Collection[str]) -> Iterator[tuple[str, Provider[Any]]]:
    """The plug-ins with these names, once per port that they serve."""
    for port in PORTS if names else ():
        for name, entry in _entry_points(port).items():
            if name in names:
                yield name, _load(port, entry)


def _entry_points(port: str) -> Mapping[str, importlib.metadata.EntryPoint]:
    return _scan(tuple(sys.path)).get(port, {})


@lru_cache(maxsize=1)
def _scan(_path: tuple[str, ...]) -> Mapping[str, Mapping[str, importlib.metadata.EntryPoint]]:
    """The entry points of all plug-ins by port and name; cached until sys.path changes."""
    by_port: dict[str, dict[str, importlib.metadata.EntryPoint]] = {}
    for package in importlib.metadata.distributions():
        for entry in package.entry_points:
            product, _, port = entry.group.partition(".")
            if product == "liftwright":
                # As with imports, the first folder in the path wins.
                by_port.setdefault(port, {}).setdefault(entry.name, entry)
    return by_port


def _load(port: str, entry: importlib.metadata.EntryPoint) -> Provider[Any]:
    try:
        loaded = entry.load()
    except Exception as error:
        why = f"cannot be loaded: {type(error).__name__}: {error}"
        raise ConfigurationError(f"{_describe(port, entry)} {why}") from error
    return loaded if isinstance(loaded, Provider) else Provider(adapters={port: loaded})


def _describe(port: str, entry: importlib.metadata.EntryPoint) -> str:
    where = f"config/azure_config.yaml: adapters.{port}"
    return f"{where}: the plug-in {entry.name!r} ({entry.value})"


def _bare(address: str) -> str:
    """The address without user, password and parameters."""
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
