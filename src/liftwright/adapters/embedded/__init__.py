"""What runs on this machine without an account: models, index, writer, simulator, ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.providers import AdapterContext, Provider, SearchAdapter

if TYPE_CHECKING:
    from liftwright.ports import Complete, Embed, Screen, Secrets, Store, Telemetry, Track


def _composer(context: AdapterContext[None]) -> Complete:
    from liftwright.adapters.embedded.composer import EmbeddedComposer

    return EmbeddedComposer(context.settings.frames)


def _embed(_: AdapterContext[None]) -> Embed:
    from liftwright.adapters.embedded.embed import MiniLmEmbed

    return MiniLmEmbed()


def _search(context: AdapterContext[None]) -> SearchAdapter:
    from liftwright.adapters.embedded.search import EmbeddedIndex, EmbeddedSearch

    folder = context.root / "data" / "index"
    return SearchAdapter(
        index=EmbeddedIndex(folder, context.need_embed()),
        search=lambda name: EmbeddedSearch(folder, context.need_embed(), name),
    )


def _screen(context: AdapterContext[None]) -> Screen:
    from liftwright.adapters.embedded.screen import EmbeddedScreen

    return EmbeddedScreen(context.need_embed())


def _sqlite(context: AdapterContext[None]) -> Store:
    from liftwright.adapters.embedded.sqlite import SqliteStore

    return SqliteStore(context.root / "data" / "ledger.sqlite")


def _environment(context: AdapterContext[None]) -> Secrets:
    from liftwright.adapters.embedded.environment import EnvironmentSecrets

    return EnvironmentSecrets(context.variables)


def _json_track(_: AdapterContext[None]) -> Track:
    from liftwright.adapters.embedded.disabled import JsonTrack

    return JsonTrack()


def _no_telemetry(_: AdapterContext[None]) -> Telemetry:
    from liftwright.adapters.embedded.disabled import NoTelemetry

    return NoTelemetry()


EMBEDDED = Provider(
    adapters={"complete": _composer, "embed": _embed, "search": _search, "screen": _screen},
    local=True,
)
SQLITE = Provider(adapters={"store": _sqlite}, local=True)
ENVIRONMENT = Provider(adapters={"secrets": _environment}, local=True)
JSON = Provider(adapters={"track": _json_track}, local=True)
OFF = Provider(adapters={"telemetry": _no_telemetry}, local=True)
