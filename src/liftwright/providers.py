"""`Provider`: a service's or engine's options, adapters and checks for `doctor`.

azure_config.yaml refers to providers by name. The built-in ones are in `adapters/`;
`docs/plugins.md` shows how a package adds another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from liftwright.config.models import ConfigModel
from liftwright.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from liftwright.config import Settings
    from liftwright.ports import Embed, Index, Search, Secrets

OptionsT = TypeVar("OptionsT", bound="Options | None")


class Options(ConfigModel):
    """A provider's block of azure_config.yaml: a frozen pydantic model that refuses unknown keys.

    Types are strict, as in JSON: `1` is not a text, and `"1"` is not a number.
    """


# Without slots: a frozen generic dataclass that has them cannot be called as `Provider[X](...)`.
@dataclass(frozen=True, kw_only=True)
class AdapterContext(Generic[OptionsT]):
    """Everything that an adapter can be created from.

    Attributes:
        root: the workspace.
        settings: its configuration.
        options: the provider's block of azure_config.yaml, validated; None if it has no options.
        variables: the environment and .env.
        secrets: gives a secret by name; for a provider of secrets, only from the variables.
        embed: the embedder; None while the embedder itself is created.
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
            raise ConfigurationError("adapters.embed: an embedder cannot use itself")
        return self.embed

    def need_secret(self, name: str, key: str) -> str:
        """The secret called `name`, for an adapter that cannot work without it.

        Args:
            name: the secret's name.
            key: the key of azure_config.yaml that names it, for the message.

        Raises:
            ConfigurationError: the secret is not set.
        """
        secret = self.secrets(name)
        if secret is None:
            raise ConfigurationError(
                f"config/azure_config.yaml: {key}: the secret {name} is not set; put it into the "
                "environment or .env"
            )
        return secret

    def secret(self, name: str | None, key: str) -> str | None:
        """As `need_secret`, for an option that may be null; None if it is."""
        return None if name is None else self.need_secret(name, key)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchAdapter:
    """A search service: how to index, and how to search an index.

    Attributes:
        search: creates the search of the index with a given name, without calling the service.
            Before an index exists, the name is "", to read the identity.
    """

    index: Index
    search: Callable[[str], Search]


@dataclass(frozen=True, kw_only=True)
class Provider(Generic[OptionsT]):
    """A provider, which azure_config.yaml names under `adapters` and as a block of options.

    Attributes:
        adapters: for each port, the callable that creates the adapter: a `SearchAdapter` for
            `search`, else the port itself.
        options: the model of its block, a subclass of `Options`; None if it has no options.
        default: the options if the block is missing or null; None makes the block mandatory.
        address: the option with the service's address, for the log and for `doctor`.
        switches: for each optional port (`shield`, `judge`), the option that turns it on.
        local: whether it runs on this machine, so that `doctor --live` does not call it.
        checks: further checks for `doctor --live`, by name; each returns its result as text.
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
