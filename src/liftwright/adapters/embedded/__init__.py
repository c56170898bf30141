"""Adapters that run locally without an account: models, index, writer, simulator, ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.providers import AdapterContext, Provider, SearchAdapter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from liftwright.ports import Complete, Embed, Screen, Span, Store


class EnvironmentSecrets:
    """The port `secrets` from the environment and .env; its representation shows no value.

    Args:
        variables: names and values; the environment's take precedence over those of .env.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def __call__(self, name: str, /) -> str | None:
        """The variable's value; None if it is unset or empty."""
        return self._variables.get(name) or None

    def __repr__(self) -> str:
        return f"EnvironmentSecrets({len(self._variables)} variables)"


class NoTelemetry:
    """The port `telemetry`, switched off."""

    def start(self, span: Span) -> None:
        """Does nothing."""

    def end(self, span: Span) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


class JsonTrack:
    """The port `track` without a tracker, as run.json and metrics.json are the record."""

    def __call__(self, run: Mapping[str, object], folder: Path, /) -> None:
        """Does nothing."""


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


EMBEDDED = Provider(
    adapters={"complete": _composer, "embed": _embed, "search": _search, "screen": _screen},
    local=True,
)
SQLITE = Provider(adapters={"store": _sqlite}, local=True)
ENVIRONMENT = Provider[None](
    adapters={"secrets": lambda context: EnvironmentSecrets(context.variables)}, local=True
)
JSON = Provider[None](adapters={"track": lambda _: JsonTrack()}, local=True)
OFF = Provider[None](adapters={"telemetry": lambda _: NoTelemetry()}, local=True)
