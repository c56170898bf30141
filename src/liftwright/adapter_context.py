"""What an adapter is made from: a workspace, its settings, its secrets and its embedder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from liftwright.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from liftwright.config import Settings
    from liftwright.ports import Embed, Index, Search, Secrets

B = TypeVar("B")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What an adapter is made from.

    Attributes:
        root: the workspace.
        variables: the environment and .env.
        secrets: where secrets come from; what makes that itself has the variables alone.
        embed: the embedder; what makes that itself has none.
    """

    root: Path
    settings: Settings
    variables: Mapping[str, str]
    secrets: Secrets
    embed: Embed | None = None

    def need_embed(self) -> Embed:
        """The embedder, for an adapter that cannot do without."""
        if self.embed is None:
            raise ConfigurationError("adapters.embed: an embedder cannot be made of itself")
        return self.embed


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchAdapter:
    """A search service: how its index is made, and how it is asked.

    Attributes:
        search: the search of the index with a name. Making it calls no service; before there is
            an index it is made for the name "", to read its identity.
    """

    index: Index
    search: Callable[[str], Search]


def options_of(block: B | None, port: str, name: str) -> B:
    """A service's block of azure_config.yaml, which its adapter cannot do without."""
    if block is None:
        raise ConfigurationError(
            f"config/azure_config.yaml: {name}: found null, allowed: its keys, as "
            f"adapters.{port} is {name!r}"
        )
    return block


def secret_of(site: Site, name: str | None, key: str) -> str | None:
    """The secret that a key names; None where it names none."""
    return None if name is None else need_secret(site, name, key)


def need_secret(site: Site, name: str, key: str) -> str:
    """The secret that a key names, which its adapter cannot do without."""
    found = site.secrets(name)
    if found is None:
        raise ConfigurationError(
            f"config/azure_config.yaml: {key}: the secret {name} is not set; put it into the "
            "environment or .env"
        )
    return found
