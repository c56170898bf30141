"""The contract of the port `secrets`: whoever gives a secret by its name."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from azure_server.faults import SERVER_WORDS
from azure_server.fixtures import served
from azure_server.identity import IdentityService, environment
from azure_server.vault import VaultService
from contracts.promises import WIRE_FAULTS, in_threads
from liftwright.adapters.azure.identity import credential_for
from liftwright.adapters.azure.key_vault import KeyVaultSecrets
from liftwright.adapters.embedded.environment import EnvironmentSecrets
from liftwright.config.azure import Authentication, KeyVault
from liftwright.errors import ProviderError, ProviderRefused, ProviderUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from azure_server.server import AzureServer
    from liftwright.ports import Secrets

VALUE = "canary-secret-91ac"
KNOWN = {"SOME_KEY": VALUE, "EMPTY": ""}


def from_environment() -> Iterator[Secrets]:
    yield EnvironmentSecrets(KNOWN)


def from_vault() -> Iterator[Secrets]:
    with running_vault() as (_, make):
        yield make({})


@contextlib.contextmanager
def running_vault() -> Iterator[tuple[AzureServer, Callable[[dict[str, str]], Secrets]]]:
    """A vault that holds what is known, and who asks it."""
    vault = VaultService({name.replace("_", "-"): value for name, value in KNOWN.items()})
    with served(IdentityService(), vault) as server, pytest.MonkeyPatch.context() as patch:
        for name, value in environment(server.url).items():
            patch.setenv(name, value)

        def make(fallback: dict[str, str]) -> Secrets:
            return KeyVaultSecrets(
                KeyVault(url=server.url),
                credential_for(Authentication(method="managed_identity")),
                fallback,
                verify_challenge_resource=False,
            )

        yield server, make


SECRETS = {"environment": from_environment, "key_vault": from_vault}


@pytest.fixture(params=SECRETS.values(), ids=SECRETS)
def secrets(request: pytest.FixtureRequest) -> Iterator[Secrets]:
    yield from request.param()


def test_secrets_gives_the_value_of_a_name(secrets: Secrets) -> None:
    assert secrets("SOME_KEY") == VALUE


@pytest.mark.parametrize("name", ["EMPTY", "UNKNOWN", "", "a b", "ключ", "../keys/x", "x" * 200])
def test_secrets_without_a_value_gives_none(secrets: Secrets, name: str) -> None:
    assert secrets(name) is None


def test_secrets_shows_no_value_in_its_representation(secrets: Secrets) -> None:
    assert VALUE not in f"{secrets} {secrets!r}"


def test_secrets_answers_from_threads(secrets: Secrets) -> None:
    assert in_threads(secrets, ["SOME_KEY", "UNKNOWN"] * 20) == [VALUE, None] * 20


def test_secrets_gives_the_same_at_every_call(secrets: Secrets) -> None:
    assert {secrets("SOME_KEY") for _ in range(5)} == {VALUE}


@pytest.mark.parametrize("fault", WIRE_FAULTS)
def test_secrets_of_a_vault_that_fails_raises_and_never_takes_the_environments(fault: str) -> None:
    kind, error = WIRE_FAULTS[fault]
    with running_vault() as (server, make):
        secrets = make({"SOME_KEY": "canary-of-the-environment"})
        assert secrets("UNKNOWN") is None  # the token is had before the vault fails
        server.script("/secrets/", [kind])
        with pytest.raises(error or ProviderError) as caught:
            secrets("SOME_KEY")
        assert isinstance(caught.value, ProviderUnavailable | ProviderRefused)
        assert not [w for w in (VALUE, "canary-of", SERVER_WORDS) if w in str(caught.value)]
        assert secrets("SOME_KEY") == VALUE, "a fault is not remembered"
