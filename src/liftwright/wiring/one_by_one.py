"""Adapters that are made one by one, each when it is looked at."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from liftwright.adapter_context import Site
from liftwright.adapters.embedded.environment import EnvironmentSecrets
from liftwright.wiring import azure
from liftwright.wiring.table import SWITCHES, pick

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from liftwright.config import Settings
    from liftwright.model import Identity
    from liftwright.ports import Embed, Secrets, Vectors


class OneByOne:
    """Adapters that are made one by one, when they are asked for; to look at them.

    Args:
        root: the workspace.
        settings: its configuration.
        variables: the environment and .env.
    """

    def __init__(self, root: Path, settings: Settings, variables: Mapping[str, str]) -> None:
        self._settings = settings
        self._bare = Site(
            root=root, settings=settings, variables=variables, secrets=EnvironmentSecrets(variables)
        )

    def make(self, port: str) -> Any:  # noqa: ANN401 - one of all ports
        """The adapter of a port; it fails for its own faults, and for no other adapter's.

        Raises:
            ConfigurationError: where its name is unknown or its options are missing.
            ProviderError: where its secret cannot be read.
        """
        names = self._settings.services.adapters
        if port == "secrets":
            return pick(port, names.secrets)(self._bare)
        known = replace(self._bare, secrets=_LateSecrets(partial(self.make, "secrets")))
        if port == "embed":
            return pick(port, names.embed)(known)
        site = replace(known, embed=_LateEmbed(partial(self.make, "embed")))
        if port in SWITCHES:
            return SWITCHES[port](site)
        return pick(port, getattr(names, port))(site)

    def token_requests(self) -> dict[str, Callable[[], str]]:
        """By the service that it would be shown to: asks for a token; empty where keys serve."""
        services = self._settings.services
        names, authentication = services.adapters, services.authentication
        used = {names.complete, names.embed, names.search, names.screen, names.secrets}
        safety = services.azure_content_safety
        if safety is not None and (safety.prompt_shields or safety.groundedness):
            used.add("azure_content_safety")
        scopes = {
            "azure_openai": "Cognitive Services",
            "azure_content_safety": "Cognitive Services",
            "azure_search": "Search",
            "key_vault": "Key Vault",
        }
        if authentication.method == "api_key":
            return {}
        wanted = sorted({name for adapter, name in scopes.items() if adapter in used})
        return {name: partial(azure.ask_for_token, authentication, name) for name in wanted}


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
