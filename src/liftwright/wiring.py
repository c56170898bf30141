"""From the settings to the ports: the only place that knows the adapters.

An adapter is chosen by name in azure_config.yaml. Third parties add their own under the entry
point group `liftwright.<port>`: a callable that takes a `Site` and gives the port.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from liftwright.adapters.environment import EnvironmentSecrets
from liftwright.calls import Calls
from liftwright.errors import ConfigurationError
from liftwright.guard import PaidEmbed, RetriedSecrets
from liftwright.ports import Ports
from liftwright.settings.faults import nearest
from liftwright.site import SearchAdapter, Site, need_secret, options_of, secret_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from liftwright.adapters.azure_content_safety_service import Service
    from liftwright.domain import Identity
    from liftwright.ports import (
        Complete,
        Embed,
        Engine,
        Judge,
        Observe,
        Screen,
        Secrets,
        Shield,
        Store,
        Telemetry,
        Track,
        Vectors,
    )
    from liftwright.settings import AzureOpenAI, Settings
    from liftwright.settings.azure import Authentication, AzureContentSafety
    from liftwright.tables import Tables


def make_ports(
    root: Path, settings: Settings, variables: Mapping[str, str], *, offline: bool = False
) -> Ports:
    """The adapters that azure_config.yaml names.

    Args:
        root: the workspace.
        settings: its configuration.
        variables: the environment and .env.
        offline: whether making them must let nothing leave the machine: no vault is asked, and
            nobody is told of spans and runs.

    Raises:
        ConfigurationError: where an adapter's name is unknown or its options are missing.
    """
    names = settings.services.adapters
    bare = Site(
        root=root, settings=settings, variables=variables, secrets=EnvironmentSecrets(variables)
    )
    if offline:
        names = names.model_copy(update={"telemetry": "off", "track": "json"})
        secrets: Secrets = _offline_secrets(bare.secrets, names.secrets)
    else:
        secrets = _pick("secrets", names.secrets)(bare)
    known = replace(bare, secrets=secrets)
    embed: Embed = _pick("embed", names.embed)(known)
    if embed.metered:
        # Before other adapters get it: what they embed is paid for as well.
        embed = PaidEmbed(embed, settings.services)
    site = replace(known, embed=embed)
    found: SearchAdapter = _pick("search", names.search)(site)
    engine, store = _pick("engine", names.engine), _pick("store", names.store)
    return Ports(
        complete=_pick("complete", names.complete)(site),
        embed=embed,
        index=found.index,
        search=found.search,
        screen=_pick("screen", names.screen)(site),
        engine=lambda: engine(site),
        store=lambda: store(site),
        secrets=secrets,
        telemetry=_pick("telemetry", names.telemetry)(site),
        track=_pick("track", names.track)(site),
        shield=_prompt_shields(site),
        judge=_groundedness(site),
    )


class OneByOne:
    """Adapters that are made one by one, when they are asked for; to look at them.

    Args:
        root: the workspace.
        settings: its configuration.
        variables: the environment and .env.
    """

    def __init__(self, root: Path, settings: Settings, variables: Mapping[str, str]) -> None:
        self._settings = settings
        self._bare = Site(
            root=root, settings=settings, variables=variables, secrets=EnvironmentSecrets(variables)
        )

    def make(self, port: str) -> Any:  # noqa: ANN401 - one of all ports
        """The adapter of a port; it fails for its own faults, and for no other adapter's.

        Raises:
            ConfigurationError: where its name is unknown or its options are missing.
            ProviderError: where its secret cannot be read.
        """
        names = self._settings.services.adapters
        if port == "secrets":
            return _pick(port, names.secrets)(self._bare)
        known = replace(self._bare, secrets=_LateSecrets(partial(self.make, "secrets")))
        if port == "embed":
            return _pick(port, names.embed)(known)
        site = replace(known, embed=_LateEmbed(partial(self.make, "embed")))
        if port in _SWITCHES:
            return _SWITCHES[port](site)
        return _pick(port, getattr(names, port))(site)

    def token_requests(self) -> dict[str, Callable[[], str]]:
        """By the service that it would be shown to: asks for a token; empty where keys serve."""
        services = self._settings.services
        names, authentication = services.adapters, services.authentication
        used = {names.complete, names.embed, names.search, names.screen, names.secrets}
        safety = services.azure_content_safety
        if safety is not None and (safety.prompt_shields or safety.groundedness):
            used.add("azure_content_safety")
        scopes = {
            "azure_openai": "Cognitive Services",
            "azure_content_safety": "Cognitive Services",
            "azure_search": "Search",
            "key_vault": "Key Vault",
        }
        if authentication.method == "api_key":
            return {}
        wanted = sorted({name for adapter, name in scopes.items() if adapter in used})
        return {name: partial(_ask_for_token, authentication, name) for name in wanted}


def _ask_for_token(authentication: Authentication, service: str) -> str:
    from liftwright.adapters import azure_identity

    scopes = {
        "Cognitive Services": azure_identity.COGNITIVE_SERVICES,
        "Search": azure_identity.SEARCH,
        "Key Vault": azure_identity.KEY_VAULT,
    }
    azure_identity.credential_for(authentication).get_token(scopes[service])
    return f"Connection successful: {authentication.method} gave a token"


class _LateSecrets:
    """Secrets that are made when one is asked for."""

    def __init__(self, make: Callable[[], Secrets]) -> None:
        self._make = make

    def __call__(self, name: str, /) -> str | None:
        return self._make()(name)


class _LateEmbed:
    """An embedder that is made when it is needed."""

    def __init__(self, make: Callable[[], Embed]) -> None:
        self._make = make

    @cached_property
    def _made(self) -> Embed:
        return self._make()

    @property
    def identity(self) -> Identity:
        return self._made.identity

    @property
    def metered(self) -> bool:
        return self._made.metered

    def __call__(self, request: tuple[str, ...], /) -> Vectors:
        return self._made(request)


def _offline_secrets(environment: Secrets, adapter: str) -> Secrets:
    """Secrets of the environment; where they would come from elsewhere, a word in their place."""
    if adapter == "environment":
        return environment
    return lambda name: environment(name) or "not-read"


def make_engine(temporary: Path, *, threads: int | None = None) -> Engine:
    """An engine for a question that needs no workspace."""
    from liftwright.adapters.duckdb import DuckDBEngine

    return DuckDBEngine(temporary, threads=threads)


def make_observer(tables: Tables, settings: Settings, engagement: Path | None) -> Observe:
    """Who tells what came of the assignment: a file of real outcomes, or the simulator."""
    if engagement is not None:
        from liftwright.adapters.engagement_file import EngagementFile

        return EngagementFile(tables, engagement, settings.experiment.engagement)
    from liftwright.adapters.embedded_simulator import EmbeddedSimulator

    experiment = settings.experiment
    return EmbeddedSimulator(tables, experiment.simulation, seed=experiment.seed)


def adapter_names(port: str) -> tuple[str, ...]:
    """The names that a port's adapter may have, those of third parties included."""
    return tuple(sorted({*_ADAPTERS[port], *_third_parties(port)}))


def _pick(port: str, name: str) -> Callable[..., Any]:
    """The maker of an adapter; what it gives is checked by the port's contract suite."""
    if name in _ADAPTERS[port]:
        return _ADAPTERS[port][name]
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


def _composer(site: Site) -> Complete:
    from liftwright.adapters.embedded_composer import EmbeddedComposer

    return EmbeddedComposer(site.settings.frames)


def _openai_compatible(site: Site) -> Complete:
    from liftwright.adapters.openai_compatible import CompatibleWriter

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


def _azure_openai(site: Site) -> Complete:
    from liftwright.adapters.azure_openai import AzureOpenAIComplete

    options = options_of(site.settings.services.azure_openai, "complete", "azure_openai")
    key, token = _openai_access(site, options)
    return AzureOpenAIComplete(
        options,
        api_key=key,
        token_provider=token,
        price=site.settings.services.prices.get(options.model),
        timeout_seconds=site.settings.services.calls.timeout_seconds.complete,
    )


def _azure_openai_embed(site: Site) -> Embed:
    from liftwright.adapters.azure_openai import AzureOpenAIEmbed

    options = options_of(site.settings.services.azure_openai, "embed", "azure_openai")
    key, token = _openai_access(site, options)
    return AzureOpenAIEmbed(
        options,
        api_key=key,
        token_provider=token,
        timeout_seconds=site.settings.services.calls.timeout_seconds.embed,
    )


def _azure_search(site: Site) -> SearchAdapter:
    from liftwright.adapters.azure_search import AzurePassageSearch
    from liftwright.adapters.azure_search_index import AzureSearchIndex

    options = options_of(site.settings.services.azure_search, "search", "azure_search")
    key, credential = _access(site, options.api_key_secret, "azure_search")
    embed = site.need_embed() if options.vectors else None
    return SearchAdapter(
        index=AzureSearchIndex(
            options,
            embed,
            api_key=key,
            credential=credential,
            timeout_seconds=site.settings.services.calls.timeout_seconds.index,
        ),
        search=lambda name: AzurePassageSearch(
            options,
            embed,
            name,
            api_key=key,
            credential=credential,
            timeout_seconds=site.settings.services.calls.timeout_seconds.search,
        ),
    )


def _azure_content_safety(site: Site) -> Screen:
    from liftwright.adapters.azure_content_safety import AzureContentSafetyScreen

    options = options_of(
        site.settings.services.azure_content_safety, "screen", "azure_content_safety"
    )
    key, credential = _access(site, options.api_key_secret, "azure_content_safety")
    return AzureContentSafetyScreen(
        options,
        api_key=key,
        credential=credential,
        timeout_seconds=site.settings.services.calls.timeout_seconds.screen,
    )


def _prompt_shields(site: Site) -> Shield | None:
    options = site.settings.services.azure_content_safety
    if options is None or not options.prompt_shields:
        return None
    from liftwright.adapters.azure_content_safety import AzurePromptShields

    return AzurePromptShields(_content_safety(site, options))


def _groundedness(site: Site) -> Judge | None:
    options = site.settings.services.azure_content_safety
    if options is None or not options.groundedness:
        return None
    from liftwright.adapters.azure_content_safety import AzureGroundedness

    return AzureGroundedness(_content_safety(site, options))


def _content_safety(site: Site, options: AzureContentSafety) -> Service:
    from liftwright.adapters.azure_content_safety_service import Service

    key, credential = _access(site, options.api_key_secret, "azure_content_safety")
    return Service(options, key, credential, site.settings.services.calls.timeout_seconds.screen)


def _key_vault(site: Site) -> Secrets:
    from liftwright.adapters.azure_identity import credential_for
    from liftwright.adapters.azure_key_vault import KeyVaultSecrets

    services = site.settings.services
    options = options_of(services.key_vault, "secrets", "key_vault")
    who = services.authentication
    if who.method == "api_key":
        # The services take keys, but the vault that holds them is opened by an identity alone.
        who = who.model_copy(update={"method": "default"})
    vault = KeyVaultSecrets(options, credential_for(who), site.variables)
    return RetriedSecrets(vault, Calls(services.calls))


def _access(site: Site, secret: str, name: str) -> tuple[str | None, Any]:
    """A key or a credential for an Azure service, as `authentication.method` says."""
    from liftwright.adapters.azure_identity import credential_for

    authentication = site.settings.services.authentication
    if authentication.method != "api_key":
        return None, credential_for(authentication)
    key = site.secrets(secret)
    if key is None:
        raise ConfigurationError(
            f"config/azure_config.yaml: {name}.api_key_secret: the secret {secret} is not set; "
            "put it into the environment or .env, or choose another authentication.method"
        )
    return key, None


def _openai_access(site: Site, options: AzureOpenAI) -> tuple[str | None, Callable[[], str] | None]:
    from liftwright.adapters.azure_identity import COGNITIVE_SERVICES, token_provider

    key, credential = _access(site, options.api_key_secret, "azure_openai")
    return key, None if credential is None else token_provider(credential, COGNITIVE_SERVICES)


def _minilm(_: Site) -> Embed:
    from liftwright.adapters.embedded_embed import MiniLmEmbed

    return MiniLmEmbed()


def _embedded_search(site: Site) -> SearchAdapter:
    from liftwright.adapters.embedded_search import EmbeddedIndex, EmbeddedSearch

    folder = site.root / "data" / "index"
    return SearchAdapter(
        index=EmbeddedIndex(folder, site.need_embed()),
        search=lambda name: EmbeddedSearch(folder, site.need_embed(), name),
    )


def _embedded_screen(site: Site) -> Screen:
    from liftwright.adapters.embedded_screen import EmbeddedScreen

    return EmbeddedScreen(site.need_embed())


def _duckdb(site: Site) -> Engine:
    from liftwright.adapters.duckdb import DuckDBEngine

    services = site.settings.services
    return DuckDBEngine(
        site.root / "data", memory=services.engine_memory, threads=services.engine_threads
    )


def _spark(site: Site) -> Engine:
    from liftwright.adapters.spark import SparkEngine

    services = site.settings.services
    return SparkEngine(
        services.spark, memory=services.engine_memory, threads=services.engine_threads
    )


def _sqlite(site: Site) -> Store:
    from liftwright.adapters.sqlite import SqliteStore

    return SqliteStore(site.root / "data" / "ledger.sqlite")


def _environment(site: Site) -> Secrets:
    return EnvironmentSecrets(site.variables)


def _mlflow(site: Site) -> Track:
    from liftwright.adapters.mlflow import MLflowTrack

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


def _azure_monitor(site: Site) -> Telemetry:
    from liftwright.adapters.azure_identity import credential_for
    from liftwright.adapters.azure_monitor import azure_monitor_telemetry

    services, key = site.settings.services, "azure_monitor.connection_string_secret"
    options = options_of(services.azure_monitor, "telemetry", "azure_monitor")
    connection = need_secret(site, options.connection_string_secret, key)
    who = services.authentication
    return azure_monitor_telemetry(
        options, connection, None if who.method == "api_key" else credential_for(who)
    )


def _otlp(site: Site) -> Telemetry:
    from liftwright.adapters.otlp import otlp_telemetry

    options = options_of(site.settings.services.otlp, "telemetry", "otlp")
    return otlp_telemetry(options, secret_of(site, options.headers_secret, "otlp.headers_secret"))


def _json_track(_: Site) -> Track:
    from liftwright.adapters.silent import JsonTrack

    return JsonTrack()


def _no_telemetry(_: Site) -> Telemetry:
    from liftwright.adapters.silent import NoTelemetry

    return NoTelemetry()


_SWITCHES: dict[str, Callable[[Site], Any]] = {
    "shield": _prompt_shields,
    "judge": _groundedness,
}
_ADAPTERS: dict[str, dict[str, Callable[..., Any]]] = {
    "complete": {
        "embedded": _composer,
        "openai_compatible": _openai_compatible,
        "azure_openai": _azure_openai,
    },
    "embed": {"embedded": _minilm, "azure_openai": _azure_openai_embed},
    "search": {"embedded": _embedded_search, "azure_search": _azure_search},
    "screen": {
        "embedded": _embedded_screen,
        "azure_content_safety": _azure_content_safety,
    },
    "engine": {"duckdb": _duckdb, "spark": _spark},
    "store": {"sqlite": _sqlite},
    "track": {"json": _json_track, "mlflow": _mlflow},
    "secrets": {"environment": _environment, "key_vault": _key_vault},
    "telemetry": {"off": _no_telemetry, "azure_monitor": _azure_monitor, "otlp": _otlp},
}
