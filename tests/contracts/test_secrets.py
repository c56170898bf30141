"""The contract of the port `secrets`, which gives a secret by its name."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from azure_server.fixtures import served
from azure_server.identity import IdentityService, environment
from azure_server.vault import VaultService
from contracts.promises import Rig, check_faults, in_threads, wire_faults
from liftwright.adapters.azure import KeyVault
from liftwright.adapters.azure.identity import credential_for
from liftwright.adapters.azure.key_vault import KeyVaultSecrets
from liftwright.adapters.embedded import EnvironmentSecrets
from liftwright.config import Authentication
from liftwright.errors import ProviderUnavailable

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
def running_vault() -> Iterator[tuple[AzureServer, Callable[..., Secrets]]]:
    """A vault with the known secrets, and the maker of its clients."""
    vault = VaultService({name.replace("_", "-"): value for name, value in KNOWN.items()})
    with served(IdentityService(), vault) as server, pytest.MonkeyPatch.context() as patch:
        for name, value in environment(server.url).items():
            patch.setenv(name, value)

        def make(fallback: dict[str, str], *, seconds: float = 60) -> Secrets:
            return KeyVaultSecrets(
                KeyVault(url=server.url),
                credential_for(Authentication(method="managed_identity")),
                fallback,
                verify_challenge_resource=False,
                timeout_seconds=seconds,
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


def test_secrets_of_a_vault_that_fails_raises_and_never_takes_the_environments() -> None:
    with running_vault() as (server, make):

        def warm(seconds: float = 60) -> Secrets:
            """A client that has fetched its token."""
            found = make({"SOME_KEY": "canary-of-the-environment"}, seconds=seconds)
            assert found("UNKNOWN") is None
            return found

        def vault_requests() -> int:
            return len(server.under("/secrets/"))

        rig = Rig(
            make=warm,
            faults=wire_faults(server, "/secrets/", warm),
            calls=vault_requests,
            secret=VALUE,
        )
        check_faults(rig, "SOME_KEY", "canary-of")
        found = rig.faults["503"].arrange()
        with pytest.raises(ProviderUnavailable):
            found("SOME_KEY")
        assert found("SOME_KEY") == VALUE, "a fault is not remembered"
