"""What a provider brings: its options, how its adapters are made, and what `doctor` can check.

A provider is a service or an engine under the name that azure_config.yaml gives it. Those that
come with Liftwright are in `adapters/`; `docs/plugins.md` shows how a package adds another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from liftwright.config.model import ConfigModel
from liftwright.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from liftwright.config import Settings
    from liftwright.ports import Embed, Index, Search, Secrets

OptionsT = TypeVar("OptionsT", bound="Options | None")


class Options(ConfigModel):
    """A provider's block of azure_config.yaml: a frozen pydantic model that refuses unknown keys.

    Values are read strictly, as JSON: `1` is no text, and `"1"` is no number.
    """


# Without slots: a frozen generic dataclass that has them cannot be called as `Provider[X](...)`.
@dataclass(frozen=True, kw_only=True)
class AdapterContext(Generic[OptionsT]):
    """What an adapter is made from.

    Attributes:
        root: the workspace.
        settings: its configuration.
        options: the provider's block of azure_config.yaml, validated; None if it has no options.
        variables: the environment and .env.
        secrets: gives a secret by its name; a provider of secrets is made with the variables alone.
        embed: the embedder; None while the embedder itself is made.
    """

    root: Path
    settings: Settings
    options: OptionsT
    variables: Mapping[str, str] = field(repr=False)
    secrets: Secrets
    embed: Embed | None = None

    def need_embed(self) -> Embed:
        """The embedder, for an adapter that cannot work without one."""
        if self.embed is None:
            raise ConfigurationError("adapters.embed: an embedder cannot be made from itself")
        return self.embed

    def need_secret(self, name: str, key: str) -> str:
        """The secret called `name`, for an adapter that cannot work without it.

        Args:
            name: of the secret.
            key: the key of azure_config.yaml that names it, for the message.

        Raises:
            ConfigurationError: the secret is not set.
        """
        found = self.secrets(name)
        if found is None:
            raise ConfigurationError(
                f"config/azure_config.yaml: {key}: the secret {name} is not set; put it into the "
                "environment or .env"
            )
        return found

    def secret(self, name: str | None, key: str) -> str | None:
        """The same for an option that may be null: None if it names no secret."""
        return None if name is None else self.need_secret(name, key)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchAdapter:
    """A search service: how its index is made, and how it is asked.

    Attributes:
        search: the search of the index with a name. Making it calls no service; before there is
            an index it is made for the name "", to read its identity.
    """

    index: Index
    search: Callable[[str], Search]


@dataclass(frozen=True, kw_only=True)
class Provider(Generic[OptionsT]):
    """What azure_config.yaml calls by one name: under `adapters`, and as a block of options.

    Attributes:
        adapters: for each port it serves, the callable that makes the adapter. `search` gives a
            `SearchAdapter`, each other port the port itself.
        options: the model of its block, a subclass of `Options`; None if it has no options.
        default: the options where the block is missing or null; None makes the block necessary.
        address: the option that holds the service's address, for the log and for `doctor`.
        switches: for each optional port (`shield`, `judge`), the option that turns it on.
        local: whether it runs on this machine, so that `doctor --live` need not reach it.
        checks: more checks for `doctor --live`, by name; each gives what it found.
    """

    adapters: Mapping[str, Callable[[AdapterContext[OptionsT]], Any]]
    options: type[OptionsT] | None = None
    default: OptionsT | None = None
    address: str = ""
    switches: Mapping[str, str] = field(default_factory=dict)
    local: bool = False
    checks: Callable[[AdapterContext[OptionsT]], Mapping[str, Callable[[], str]]] = lambda _: {}

    def __post_init__(self) -> None:
        if self.options is not None and not issubclass(self.options, Options):
            raise TypeError(f"{self.options.__name__} must be a subclass of Options")
