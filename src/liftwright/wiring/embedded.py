"""What runs on this machine: what makes each adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.adapter_context import SearchAdapter, Site
from liftwright.adapters.embedded.environment import EnvironmentSecrets

if TYPE_CHECKING:
    from liftwright.ports import (
        Complete,
        Embed,
        Engine,
        Objects,
        Screen,
        Secrets,
        Store,
        Telemetry,
        Track,
    )


def composer(site: Site) -> Complete:
    """The writer that composes from the approved content."""
    from liftwright.adapters.embedded.composer import EmbeddedComposer

    return EmbeddedComposer(site.settings.frames)


def minilm(_: Site) -> Embed:
    """The embedder whose model comes with the package."""
    from liftwright.adapters.embedded.embed import MiniLmEmbed

    return MiniLmEmbed()


def search(site: Site) -> SearchAdapter:
    """The index in the workspace, and the search of it."""
    from liftwright.adapters.embedded.search import EmbeddedIndex, EmbeddedSearch

    folder = site.root / "data" / "index"
    return SearchAdapter(
        index=EmbeddedIndex(folder, site.need_embed()),
        search=lambda name: EmbeddedSearch(folder, site.need_embed(), name),
    )


def screen(site: Site) -> Screen:
    """The screener whose model comes with the package."""
    from liftwright.adapters.embedded.screen import EmbeddedScreen

    return EmbeddedScreen(site.need_embed())


def duckdb(site: Site) -> Engine:
    """The data plane in this process."""
    from liftwright.adapters.duckdb.engine import DuckDBEngine

    services = site.settings.services
    return DuckDBEngine(
        site.root / "data", memory=services.engine_memory, threads=services.engine_threads
    )


def spark(site: Site) -> Engine:
    """The data plane on Spark."""
    from liftwright.adapters.spark.engine import SparkEngine

    services = site.settings.services
    return SparkEngine(
        services.spark, memory=services.engine_memory, threads=services.engine_threads
    )


def objects(site: Site) -> Objects:
    """The object stores that URLs name."""
    from liftwright.adapters.object_stores.obstore import ObstoreObjects

    services = site.settings.services
    return ObstoreObjects(services.object_stores, services.authentication, site.variables)


def sqlite(site: Site) -> Store:
    """The ledger in one file of the workspace."""
    from liftwright.adapters.embedded.sqlite import SqliteStore

    return SqliteStore(site.root / "data" / "ledger.sqlite")


def environment(site: Site) -> Secrets:
    """The secrets of the environment and of .env."""
    return EnvironmentSecrets(site.variables)


def json_track(_: Site) -> Track:
    """No tracker: the run's own JSON files serve."""
    from liftwright.adapters.embedded.disabled import JsonTrack

    return JsonTrack()


def no_telemetry(_: Site) -> Telemetry:
    """Nobody is told of spans."""
    from liftwright.adapters.embedded.disabled import NoTelemetry

    return NoTelemetry()
