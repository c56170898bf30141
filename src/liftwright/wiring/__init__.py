"""From the settings to the ports: the only place that knows the adapters.

An adapter is chosen by name in azure_config.yaml. Third parties add their own under the entry
point group `liftwright.<port>`: a callable that takes a `Site` and gives the port.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from liftwright.adapter_context import SearchAdapter, Site
from liftwright.adapters.embedded.environment import EnvironmentSecrets
from liftwright.calls.metered_client import PaidEmbed
from liftwright.ports import Ports
from liftwright.wiring import azure, embedded
from liftwright.wiring.one_by_one import OneByOne
from liftwright.wiring.table import adapter_names, pick

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from liftwright.config import Settings
    from liftwright.data import Tables
    from liftwright.model.remote_files import File
    from liftwright.ports import Embed, Engine, Objects, Observe, Secrets

__all__ = [
    "OneByOne",
    "SearchAdapter",
    "Site",
    "adapter_names",
    "make_engine",
    "make_objects",
    "make_observer",
    "make_ports",
]


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
        secrets = pick("secrets", names.secrets)(bare)
    known = replace(bare, secrets=secrets)
    embed: Embed = pick("embed", names.embed)(known)
    if embed.metered:
        # Before other adapters get it: what they embed is paid for as well.
        embed = PaidEmbed(embed, settings.services)
    site = replace(known, embed=embed)
    found: SearchAdapter = pick("search", names.search)(site)
    engine, store = pick("engine", names.engine), pick("store", names.store)
    return Ports(
        complete=pick("complete", names.complete)(site),
        embed=embed,
        index=found.index,
        search=found.search,
        screen=pick("screen", names.screen)(site),
        engine=lambda: engine(site),
        store=lambda: store(site),
        secrets=secrets,
        telemetry=pick("telemetry", names.telemetry)(site),
        track=pick("track", names.track)(site),
        objects=lambda: embedded.objects(site),
        shield=azure.prompt_shields(site),
        judge=azure.groundedness(site),
    )


def _offline_secrets(environment: Secrets, adapter: str) -> Secrets:
    """Secrets of the environment; where they would come from elsewhere, a word in their place."""
    if adapter == "environment":
        return environment
    return lambda name: environment(name) or "not-read"


def make_engine(temporary: Path, *, threads: int | None = None) -> Engine:
    """An engine for a question that needs no workspace."""
    from liftwright.adapters.duckdb.engine import DuckDBEngine

    return DuckDBEngine(temporary, threads=threads)


def make_objects() -> Objects:
    """The object stores, for a question that needs no workspace: by the environment alone."""
    from liftwright.adapters.object_stores.obstore import ObstoreObjects
    from liftwright.config import Authentication, ObjectStores

    return ObstoreObjects(ObjectStores(), Authentication(), os.environ)


def make_observer(tables: Tables, settings: Settings, engagement: File | None) -> Observe:
    """Who tells what came of the assignment: a file of real outcomes, or the simulator."""
    if engagement is not None:
        from liftwright.data.engagement import EngagementFile

        return EngagementFile(tables, engagement, settings.experiment.engagement)
    from liftwright.adapters.embedded.simulator import EmbeddedSimulator

    experiment = settings.experiment
    return EmbeddedSimulator(
        tables, experiment.simulation, seed=experiment.seed, salt=experiment.name
    )
