"""Creates the ports from the settings; the only package that imports adapters.

azure_config.yaml names a provider for each port. Plug-ins add providers through the entry point
group `liftwright.<port>`; see docs/plugins.md.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from liftwright.adapters.embedded import EnvironmentSecrets
from liftwright.calls.cache_policy import embed_policy
from liftwright.calls.client import Calls, PortClient
from liftwright.ports import Ports
from liftwright.providers import AdapterContext
from liftwright.wiring.factory import AdapterFactory, make_secrets
from liftwright.wiring.table import (
    adapter_names,
    endpoints,
    is_on,
    maker,
    read_settings,
    services_model,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from liftwright.config import Services, Settings
    from liftwright.data import Tables
    from liftwright.model.remote_files import File
    from liftwright.ports import Embed, Engine, Objects, Observe
    from liftwright.providers import SearchAdapter

__all__ = [
    "AdapterFactory",
    "adapter_names",
    "endpoints",
    "make_engine",
    "make_objects",
    "make_observer",
    "make_ports",
    "read_settings",
    "services_model",
]


def make_ports(
    root: Path,
    settings: Settings,
    variables: Mapping[str, str],
    *,
    calls: Calls | None = None,
    offline: bool = False,
) -> Ports:
    """The adapters that azure_config.yaml names.

    Args:
        root: the workspace.
        settings: its configuration.
        variables: the environment and .env.
        calls: the limits and ledger shared by all calls of the process; None creates new ones.
        offline: whether nothing may leave the machine: no vault is read, and no span or run is
            sent.

    Raises:
        ConfigurationError: an adapter's name is unknown or its options are missing.
    """
    if offline:
        off = {"telemetry": "off", "track": "json"}
        names = settings.services.adapters.model_copy(update=off)
        services = settings.services.model_copy(update={"adapters": names})
        settings = replace(settings, services=services)
    environment = EnvironmentSecrets(variables)
    bare = AdapterContext(
        root=root, settings=settings, options=None, variables=variables, secrets=environment
    )
    secrets = make_secrets(bare, offline=offline)
    with_secrets = replace(bare, secrets=secrets)
    embed: Embed = maker("embed", with_secrets)()
    context = replace(with_secrets, embed=embed)
    if embed.metered:
        # Adapters that embed get a client as well, as their calls also cost money.
        policy = embed_policy(settings.services, embed)
        calls = calls or Calls(settings.services.calls)
        context = replace(with_secrets, embed=PortClient(embed, policy, calls, nested=True))
        embed = PortClient(embed, policy, calls)
    search: SearchAdapter = maker("search", context)()
    return Ports(
        complete=maker("complete", context)(),
        embed=embed,
        index=search.index,
        search=search.search,
        screen=maker("screen", context)(),
        engine=maker("engine", context),
        store=maker("store", context),
        secrets=secrets,
        telemetry=maker("telemetry", context)(),
        track=maker("track", context)(),
        objects=lambda: make_objects(settings.services, variables),
        shield=maker("shield", context)() if is_on("shield", settings.services) else None,
        judge=maker("judge", context)() if is_on("judge", settings.services) else None,
    )


def make_engine(temporary: Path, *, threads: int | None = None) -> Engine:
    """An engine for a command that runs without a workspace."""
    from liftwright.adapters.duckdb.engine import DuckDBEngine

    return DuckDBEngine(temporary, threads=threads)


def make_objects(
    services: Services | None = None, variables: Mapping[str, str] = os.environ
) -> Objects:
    """The object stores, configured by `services`, or else only by the environment."""
    from liftwright.adapters.object_stores.objects import ObstoreObjects
    from liftwright.config import Services

    services = services or Services()
    return ObstoreObjects(services.object_stores, services.authentication, variables)


def make_observer(
    tables: Tables, settings: Settings, engagement: File | None, root: Path | None = None
) -> Observe:
    """The port `observe`: a file of real engagement, or else the simulator."""
    if engagement is not None:
        from liftwright.data.engagement import EngagementFile

        return EngagementFile(
            tables,
            engagement,
            settings.experiment.engagement,
            settings.engagement_format,
            root=root,
        )
    from liftwright.adapters.embedded.simulator import EmbeddedSimulator

    experiment = settings.experiment
    return EmbeddedSimulator(
        tables, experiment.simulation, seed=experiment.seed, salt=experiment.name
    )
