from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from azure_server.faults import Fault
from azure_server.identity import IdentityService, environment
from azure_server.vault import VaultService
from liftwright.adapters.azure import KeyVault
from liftwright.adapters.azure.identity import credential_for
from liftwright.adapters.azure.key_vault import KeyVaultSecrets
from liftwright.config import Authentication
from liftwright.errors import ProviderRefused
from liftwright.log import Log, logging_to

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from azure_server.server import AzureServer, Handler

VALUE = "CANARY-secret-value"
ROUTE = "/secrets/"
NAME = "AZURE_SEARCH_API_KEY"


@pytest.fixture
def vault() -> VaultService:
    return VaultService(
        {"AZURE-SEARCH-API-KEY": VALUE, "EMPTY": "", "OFF": VALUE}, disabled=frozenset({"OFF"})
    )


@pytest.fixture
def azure_handlers(vault: VaultService) -> Sequence[Handler]:
    return [IdentityService(), vault]


@pytest.fixture
def server(azure_server: AzureServer, monkeypatch: pytest.MonkeyPatch) -> AzureServer:
    for name, value in environment(azure_server.url).items():
        monkeypatch.setenv(name, value)
    return azure_server


def secrets(server: AzureServer, *, verify: bool = False, **fallback: str) -> KeyVaultSecrets:
    return KeyVaultSecrets(
        KeyVault(url=server.url),
        credential_for(Authentication(method="managed_identity")),
        fallback,
        verify_challenge_resource=verify,
    )


def test_call_goes_through_the_challenge_and_gives_the_secret(
    server: AzureServer, vault: VaultService
) -> None:
    assert secrets(server)(NAME) == VALUE
    assert vault.challenges == 1
    first, second = server.under(ROUTE)
    assert first.path.rstrip("/") == "/secrets/AZURE-SEARCH-API-KEY"
    assert "authorization" not in first.headers
    assert second.headers["authorization"].startswith("Bearer ")


def test_call_falls_back_to_the_environment_where_the_vault_has_none(
    server: AzureServer, tmp_path: Path
) -> None:
    found = secrets(server, ABSENT="from-env", EMPTY="from-env", AZURE_SEARCH_API_KEY="from-env")
    with logging_to(Log(tmp_path)):
        assert found("ABSENT") == "from-env"
        assert found("EMPTY") == "from-env"
        assert found(NAME) == VALUE
        assert found("NOWHERE") is None
    assert (tmp_path / "system.log").read_text().count("secret_not_in_vault") == 3


def test_call_for_a_name_that_no_vault_has_asks_the_environment_alone(
    server: AzureServer,
) -> None:
    found = secrets(server, **{"my.key": "from-env"})
    assert found("my.key") == "from-env"
    assert found("x" * 128) is None
    assert server.under(ROUTE) == []


def test_call_where_the_challenge_names_another_domain_sends_no_token(
    server: AzureServer,
) -> None:
    with pytest.raises(ProviderRefused, match="another domain"):
        secrets(server, verify=True)(NAME)
    assert not [r for r in server.under(ROUTE) if "authorization" in r.headers]


def test_call_for_a_disabled_secret_is_refused_and_does_not_fall_back(
    server: AzureServer,
) -> None:
    with pytest.raises(ProviderRefused, match="Key Vault Secrets User"):
        secrets(server, OFF="from-env")("OFF")


def test_call_follows_no_redirect_and_logs_no_value(
    server: AzureServer, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    found = secrets(server)
    with caplog.at_level(logging.DEBUG), logging_to(Log(tmp_path)):
        assert found(NAME) == VALUE
        found("ABSENT")
        headers = {"Location": f"{server.url}/elsewhere"}
        server.script(ROUTE, [Fault(kind="status", status=302, headers=headers)])
        with pytest.raises(ProviderRefused, match="302"):
            found("ANOTHER")
    assert not server.under("/elsewhere")
    assert "CANARY" not in caplog.text + (tmp_path / "system.log").read_text()
