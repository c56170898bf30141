"""Adapters made one at a time, so that `doctor` can say which of them is at fault."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from liftwright.adapters.embedded.environment import EnvironmentSecrets
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
    """The source of secrets; one that is a service is asked with retries.

    Args:
        bare: its context; it has the environment's secrets alone.
        offline: whether no service may be asked: what the environment lacks is then a placeholder.
    """
    services, environment = bare.settings.services, bare.secrets
    _, provider = serving("secrets", services)
    if offline and not provider.local:
        return lambda name: environment(name) or "not-read"
    made: Secrets = maker("secrets", bare)()
    return made if provider.local else RetriedSecrets(made, Calls(services.calls))


class AdapterFactory:
    """Makes one adapter at a time, when it is asked for.

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
        """The adapter of a port; it fails for its own faults, and for no other adapter's.

        Raises:
            ConfigurationError: where its name is unknown or its options are missing.
            ProviderError: where its secret cannot be read.
        """
        if port == "secrets":
            return make_secrets(self._bare)
        known = replace(self._bare, secrets=_LateSecrets(partial(self.make, "secrets")))
        if port == "embed":
            return maker(port, known)()
        return maker(port, replace(known, embed=_LateEmbed(partial(self.make, "embed"))))()

    def is_on(self, port: str) -> bool:
        """Whether a block turns an optional port (`shield`, `judge`) on."""
        return is_on(port, self._bare.settings.services)

    def is_local(self, port: str) -> bool:
        """Whether what serves a port runs on this machine; an unknown provider is not said to."""
        try:
            return serving(port, self._bare.settings.services)[1].local
        except ConfigurationError:
            return False

    def address(self, port: str) -> str:
        """Where the address of a port's service stands in azure_config.yaml."""
        name, provider = serving(port, self._bare.settings.services)
        return f"{name}.{provider.address}" if provider.address else f"the address of {name}"

    def checks(self) -> dict[str, Callable[[], str]]:
        """The checks that the providers in use bring, by name."""
        return checks(self._bare)


class _LateSecrets:
    """Secrets that are made when one is asked for."""

    def __init__(self, make: Callable[[], Secrets]) -> None:
        self._make = make

    def __call__(self, name: str, /) -> str | None:
        return self._make()(name)


class _LateEmbed:
    """An embedder that is made when it is needed."""

    def __init__(self, make: Callable[[], Embed]) -> None:
        self._make = make

    @cached_property
    def _made(self) -> Embed:
        return self._make()

    @property
    def identity(self) -> Identity:
        return self._made.identity

    @property
    def metered(self) -> bool:
        return self._made.metered

    def __call__(self, request: tuple[str, ...], /) -> Vectors:
        return self._made(request)
