from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING

import pytest

from azure_server.faults import Fault
from azure_server.identity import PATH, IdentityService, environment
from azure_server.vault import VaultService
from liftwright.adapters.azure import KeyVault
from liftwright.adapters.azure.identity import credential_for
from liftwright.adapters.azure.key_vault import KeyVaultSecrets
from liftwright.config import Authentication
from liftwright.errors import (
    ConfigurationError,
    ProviderError,
    ProviderRefused,
)
from liftwright.log import Log, logging_to

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from azure_server.server import AzureServer, Handler

CANARY = "CANARY"
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


def secrets(
    server: AzureServer, *, verify: bool = False, timeout_seconds: float = 60, **fallback: str
) -> KeyVaultSecrets:
    return KeyVaultSecrets(
        KeyVault(url=server.url),
        credential_for(Authentication(method="managed_identity")),
        fallback,
        verify_challenge_resource=verify,
        timeout_seconds=timeout_seconds,
    )


def warm(server: AzureServer, **options: float) -> KeyVaultSecrets:
    """Secrets that have been through the challenge, so that one request is one attempt."""
    found = secrets(server, **options)  # type: ignore[arg-type]
    found("ABSENT")
    return found


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


@pytest.mark.parametrize("status", [302, 307])
def test_call_that_is_sent_elsewhere_does_not_go_there(server: AzureServer, status: int) -> None:
    headers = {"Location": f"{server.url}/elsewhere"}
    found = warm(server)
    server.script(ROUTE, [Fault(kind="status", status=status, headers=headers)])
    with pytest.raises(ProviderRefused, match=str(status)):
        found(NAME)
    assert not server.under("/elsewhere")


def test_call_on_401_asks_for_another_token_and_is_refused_once_that_fails(
    server: AzureServer,
) -> None:
    server.script(ROUTE, [Fault(kind="status", status=401)])
    with pytest.raises(ProviderRefused, match="401"):
        secrets(server)(NAME)
    assert len(server.under(ROUTE)) == 1


def test_call_without_an_identity_tells_how_to_mend_it(server: AzureServer) -> None:
    server.script(PATH, [Fault(kind="status", status=400)])
    with pytest.raises(ProviderRefused, match=r"authentication\.client_id"):
        secrets(server)(NAME)


@pytest.mark.parametrize("url", ["http://v.vault.azure.net", "v.vault.azure.net", "https://v/x"])
def test_secrets_with_an_address_that_is_not_https_are_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"key_vault\.url"):
        KeyVaultSecrets(KeyVault(url=url), object(), {})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [None, Fault(kind="cut"), Fault(kind="status", status=403), Fault(kind="malformed")],
)
def test_secrets_show_no_value(
    server: AzureServer,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    wrong: Fault | None,
) -> None:
    found = warm(server)
    server.script(ROUTE, [wrong])
    shown: list[str] = []
    with caplog.at_level(logging.DEBUG), logging_to(Log(tmp_path)):
        try:
            assert found(NAME) == VALUE
        except ProviderError as error:
            shown += ["".join(traceback.format_exception(error)), repr(error)]
        found("ABSENT-TOO")
    shown += [repr(found), str(found), caplog.text, (tmp_path / "system.log").read_text()]
    assert not [text for text in shown if CANARY in text]
