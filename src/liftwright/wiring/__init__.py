"""From the settings to the ports: the only place that imports adapters.

azure_config.yaml chooses a provider for each port by its name. Plug-ins add providers of their
own under the entry point group `liftwright.<port>`; see docs/plugins.md.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from liftwright.adapters.embedded.environment import EnvironmentSecrets
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
        calls: what all calls of the process share; None is that of these ports alone.
        offline: whether making them must let nothing leave the machine: no vault is asked, and
            no span and no run is sent.

    Raises:
        ConfigurationError: where an adapter's name is unknown or its options are missing.
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
    known = replace(bare, secrets=secrets)
    embed: Embed = maker("embed", known)()
    context = replace(known, embed=embed)
    if embed.metered:
        # Other adapters get a client, too: what they embed is paid for as well.
        policy = embed_policy(settings.services, embed)
        calls = calls or Calls(settings.services.calls)
        context = replace(known, embed=PortClient(embed, policy, calls, nested=True))
        embed = PortClient(embed, policy, calls)
    found: SearchAdapter = maker("search", context)()
    return Ports(
        complete=maker("complete", context)(),
        embed=embed,
        index=found.index,
        search=found.search,
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
    """An engine for a question that needs no workspace."""
    from liftwright.adapters.duckdb.engine import DuckDBEngine

    return DuckDBEngine(temporary, threads=threads)


def make_objects(
    services: Services | None = None, variables: Mapping[str, str] = os.environ
) -> Objects:
    """The object stores that URLs name; without a workspace, by the environment alone."""
    from liftwright.adapters.object_stores.obstore import ObstoreObjects
    from liftwright.config import Services

    found = services or Services()
    return ObstoreObjects(found.object_stores, found.authentication, variables)


def make_observer(tables: Tables, settings: Settings, engagement: File | None) -> Observe:
    """Gives the outcomes of an assignment: from a file of real ones, or from the simulator."""
    if engagement is not None:
        from liftwright.data.engagement import EngagementFile

        return EngagementFile(tables, engagement, settings.experiment.engagement)
    from liftwright.adapters.embedded.simulator import EmbeddedSimulator

    experiment = settings.experiment
    return EmbeddedSimulator(
        tables, experiment.simulation, seed=experiment.seed, salt=experiment.name
    )
