"""The providers that come with Liftwright, those that plug-ins add, and what they are made with.

A plug-in is a package with an entry point in the group `liftwright.<port>`. It names a `Provider`,
or, where there are no options, just the callable that makes the adapter.
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
    provider = _loaded(port, found)
    if port not in provider.adapters:
        others = ", ".join(provider.adapters)
        raise ConfigurationError(f"{_plug_in(port, found)} has no adapter for it, only: {others}")
    if provider.options and (name in BUILT_IN or hasattr(Services, name)):
        raise ConfigurationError(f"{_plug_in(port, found)} has options, but {name!r} is taken")
    return name, provider


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
    used = {
        name: provider
        for name, provider in _configured(services).items()
        if any(_turns_on(port, provider, services.options(name)) for port in provider.switches)
    }
    for port in PORTS:
        # One that is unknown is reported where its adapter is made.
        with contextlib.suppress(ConfigurationError):
            name, provider = serving(port, services)
            used[name] = provider
    found: dict[str, Callable[[], str]] = {}
    for name, provider in used.items():
        options = _options(name, provider, services)
        if options is not None or provider.options is None:
            found |= provider.checks(replace(base, options=options))
    return dict(sorted(found.items()))


def _configured(services: Services) -> dict[str, Provider[Any]]:
    """The providers with options, ours and plug-ins, whose block or default is there."""
    names = [name for name in type(services).model_fields if name not in Services.model_fields]
    plug_ins = dict(_plug_ins({*names} - {*BUILT_IN}))
    found = {name: BUILT_IN.get(name) or plug_ins[name] for name in names}
    return {name: one for name, one in found.items() if _options(name, one, services)}


def _turns_on(port: str, provider: Provider[Any], options: object) -> bool:
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


def _entry_points(port: str) -> Mapping[str, importlib.metadata.EntryPoint]:
    return _scanned(tuple(sys.path)).get(port, {})


@lru_cache(maxsize=1)
def _scanned(_path: tuple[str, ...]) -> Mapping[str, Mapping[str, importlib.metadata.EntryPoint]]:
    """The entry points of all plug-ins by port and name; looked for once in these folders."""
    found: dict[str, dict[str, importlib.metadata.EntryPoint]] = {}
    for package in importlib.metadata.distributions():
        for entry in package.entry_points:
            product, _, port = entry.group.partition(".")
            if product == "liftwright":
                # As imports are: the folder that comes first in the path has it.
                found.setdefault(port, {}).setdefault(entry.name, entry)
    return found


def _loaded(port: str, entry: importlib.metadata.EntryPoint) -> Provider[Any]:
    try:
        found = entry.load()
    except Exception as error:
        why = f"cannot be loaded: {type(error).__name__}: {error}"
        raise ConfigurationError(f"{_plug_in(port, entry)} {why}") from error
    return found if isinstance(found, Provider) else Provider(adapters={port: found})


def _plug_in(port: str, entry: importlib.metadata.EntryPoint) -> str:
    where = f"config/azure_config.yaml: adapters.{port}"
    return f"{where}: the plug-in {entry.name!r} ({entry.value})"


def _bare(address: str) -> str:
    """The address without a user, a password and parameters."""
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
