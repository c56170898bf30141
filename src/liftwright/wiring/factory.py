"""Creates adapters one at a time, so that `doctor` can say which one fails."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from liftwright.adapters.embedded import EnvironmentSecrets
from liftwright.calls.client import Calls, RetriedSecrets
from liftwright.errors import ConfigurationError
from liftwright.providers import AdapterContext
from liftwright.wiring.table import checks, is_on, maker, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from liftwright.config import Settings
    from liftwright.model import Identity
    from liftwright.ports import Embed, Secrets, Vectors


def make_secrets(bare: AdapterContext[None], *, offline: bool = False) -> Secrets:
    """The configured source of secrets, with retries if it is a service.

    Args:
        bare: its context, with only the environment's secrets.
        offline: whether no service may be called; a placeholder then replaces a missing secret.
    """
    services, environment = bare.settings.services, bare.secrets
    _, provider = serving("secrets", services)
    if offline and not provider.local:
        return lambda name: environment(name) or "not-read"
    secrets: Secrets = maker("secrets", bare)()
    return secrets if provider.local else RetriedSecrets(secrets, Calls(services.calls))


class AdapterFactory:
    """Creates single adapters on demand.

    Args:
        root: the workspace.
        settings: its configuration.
        variables: the environment and .env.
    """

    def __init__(self, root: Path, settings: Settings, variables: Mapping[str, str]) -> None:
        self._bare = AdapterContext(
            root=root,
            settings=settings,
            options=None,
            variables=variables,
            secrets=EnvironmentSecrets(variables),
        )

    def make(self, port: str) -> Any:  # noqa: ANN401 - one of all ports
        """The adapter of a port; a fault of another adapter does not affect it.

        Raises:
            ConfigurationError: its name is unknown or its options are missing.
            ProviderError: its secret cannot be read.
        """
        if port == "secrets":
            return make_secrets(self._bare)
        lazy = lambda name: self.make("secrets")(name)  # noqa: E731, PLW0108 - on first use
        context = replace(self._bare, secrets=lazy)
        if port == "embed":
            return maker(port, context)()
        return maker(port, replace(context, embed=_LazyEmbed(partial(self.make, "embed"))))()

    def is_on(self, port: str) -> bool:
        """Whether a block turns an optional port (`shield`, `judge`) on."""
        return is_on(port, self._bare.settings.services)

    def is_local(self, port: str) -> bool:
        """Whether a port's provider runs on this machine; False for an unknown provider."""
        try:
            return serving(port, self._bare.settings.services)[1].local
        except ConfigurationError:
            return False

    def address(self, port: str) -> str:
        """The key of azure_config.yaml with the address of a port's service."""
        name, provider = serving(port, self._bare.settings.services)
        return f"{name}.{provider.address}" if provider.address else f"the address of {name}"

    def checks(self) -> dict[str, Callable[[], str]]:
        """The checks of the providers in use, by name."""
        return checks(self._bare)


class _LazyEmbed:
    """An embedder that is created at its first use."""

    def __init__(self, make: Callable[[], Embed]) -> None:
        self._make = make

    @cached_property
    def _embed(self) -> Embed:
        return self._make()

    @property
    def identity(self) -> Identity:
        return self._embed.identity

    @property
    def metered(self) -> bool:
        return self._embed.metered

    def __call__(self, request: tuple[str, ...], /) -> Vectors:
        return self._embed(request)
