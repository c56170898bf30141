from __future__ import annotations

import json
import logging
import stat
import sys
from typing import TYPE_CHECKING

import pytest

from azure_server.faults import Fault
from azure_server.identity import (
    COGNITIVE,
    PATH,
    SECRET,
    EntraService,
    IdentityService,
    environment,
    principal,
    token_for,
)
from fake_clock import FakeClock
from liftwright.adapters.azure.identity import COGNITIVE_SERVICES, credential_for, token_provider
from liftwright.config import Authentication
from liftwright.errors import (
    ConfigurationError,
    ProviderError,
    ProviderRefused,
)

if TYPE_CHECKING:
    from pathlib import Path

    from azure.core.credentials import TokenCredential

    from azure_server.server import AzureServer, Handler

CANARY = "CANARY"
MANAGED = Authentication(method="managed_identity")
CLI = Authentication(method="azure_cli")
DEFAULT = Authentication(method="default")


@pytest.fixture
def identity() -> IdentityService:
    return IdentityService()


@pytest.fixture
def entra() -> EntraService:
    return EntraService()


@pytest.fixture
def azure_handlers(identity: IdentityService, entra: EntraService) -> list[Handler]:
    return [identity, entra]


@pytest.fixture(autouse=True)
def _no_identity_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "AZURE_CLIENT_ID",
        "AZURE_TENANT_ID",
        "AZURE_CLIENT_SECRET",
        "AZURE_AUTHORITY_HOST",
        "AZURE_TOKEN_CREDENTIALS",
        "AZURE_FEDERATED_TOKEN_FILE",
        "IDENTITY_ENDPOINT",
        "IDENTITY_HEADER",
        "MSI_ENDPOINT",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.fixture
def managed(azure_server: AzureServer, monkeypatch: pytest.MonkeyPatch) -> AzureServer:
    for name, value in environment(azure_server.url).items():
        monkeypatch.setenv(name, value)
    return azure_server


def fails(credential: TokenCredential) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        credential.get_token(COGNITIVE_SERVICES)
    return caught.value


def put_az(folder: Path, script: str) -> None:
    """A command `az` that runs these lines of Python."""
    az = folder / "az"
    az.write_text(f"#!{sys.executable}\nimport sys\n{script}\n")
    az.chmod(az.stat().st_mode | stat.S_IEXEC)


def test_credential_for_managed_identity_gives_the_services_token(managed: AzureServer) -> None:
    credential = credential_for(MANAGED)
    assert credential.get_token(COGNITIVE_SERVICES).token == token_for(COGNITIVE)
    assert managed.requests[0].headers["x-identity-header"] == SECRET


@pytest.mark.parametrize("method", ["managed_identity", "default"])
def test_credential_for_a_client_id_asks_as_that_identity(
    managed: AzureServer,
    identity: IdentityService,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
) -> None:
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
    identity.client_id = "my-client"
    config = Authentication.model_validate({"method": method, "client_id": "my-client"})
    assert credential_for(config).get_token(COGNITIVE_SERVICES).token == token_for(COGNITIVE)
    assert managed.requests[0].query["client_id"] == "my-client"
    error = fails(credential_for(Authentication(method="managed_identity", client_id="none")))
    assert isinstance(error, ProviderRefused)
    assert "authentication.client_id" in str(error)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        *((Fault(kind="status", status=code), ProviderRefused) for code in (400, 401, 403, 404)),
        (Fault(kind="malformed"), ProviderError),
        (Fault(kind="html"), ProviderError),
        (Fault(kind="wrong_schema"), ProviderError),
        (Fault(kind="empty"), ProviderError),
    ],
)
def test_get_token_on_a_fault_is_a_provider_error_after_one_request(
    managed: AzureServer, fault: Fault, error: type[ProviderError]
) -> None:
    managed.script(PATH, [fault])
    found = fails(credential_for(MANAGED))
    assert isinstance(found, error)
    assert "SERVER WORDS" not in str(found)
    assert len(managed.requests) == 1


@pytest.mark.parametrize("status", [408, 410, 429, 503])
def test_get_token_on_a_passing_status_is_asked_again_and_no_more(
    managed: AzureServer, status: int
) -> None:
    managed.script(PATH, [Fault(kind="status", status=status, headers={"Retry-After": "3"})] * 2)
    credential, clock = credential_for(MANAGED), FakeClock()
    token = clock.calls().make("identity", lambda: credential.get_token(COGNITIVE_SERVICES))
    assert token.token == token_for(COGNITIVE)
    assert len(managed.requests) == 3
    assert clock.slept == [3.0, 3.0]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="status", status=429),
        Fault(kind="status", status=503, headers={"Retry-After": "3"}),
        Fault(kind="html"),
        Fault(kind="html", status=403),
        Fault(kind="reset"),
        Fault(kind="cut"),
    ],
)
@pytest.mark.parametrize("route", ["/adfs/token", "/adfs/.well-known"])
def test_get_token_of_a_service_principal_is_asked_again_after_a_passing_fault(
    azure_server: AzureServer, entra: EntraService, fault: Fault, route: str
) -> None:
    # The variables are those of .env: they are not in the environment.
    credential = credential_for(DEFAULT, principal(azure_server.url))
    entra.lifetime_seconds = 1
    azure_server.script(route, [fault])
    for _ in range(2):  # the second time, the first token has expired
        token = (
            FakeClock().calls().make("identity", lambda: credential.get_token(COGNITIVE_SERVICES))
        )
        assert token.token == token_for(COGNITIVE)
        azure_server.script("/adfs/token", [fault])
    assert len(azure_server.under("/adfs/token")) >= 3


def test_get_token_of_a_service_principal_with_a_wrong_secret_is_refused(
    azure_server: AzureServer,
) -> None:
    error = fails(credential_for(DEFAULT, principal(azure_server.url, "CANARY-wrong")))
    assert isinstance(error, ProviderRefused)
    assert "(AADSTS7000215)" in str(error)
    assert CANARY not in str(error)
    assert len(azure_server.under("/adfs/token")) == 1


def test_get_token_from_an_endpoint_that_is_not_trusted_names_the_certificate(
    azure_server: AzureServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    error = fails(credential_for(DEFAULT, principal(azure_server.url)))
    assert isinstance(error, ProviderRefused)
    assert "REQUESTS_CA_BUNDLE" in str(error)


def test_credential_for_azure_cli_gives_its_token(tmp_path: Path) -> None:
    answer = json.dumps({"accessToken": f"{CANARY}-cli", "expires_on": 4102444800})
    put_az(tmp_path, f"print('''{answer}''')")
    assert credential_for(CLI).get_token(COGNITIVE_SERVICES).token == f"{CANARY}-cli"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (None, "az login"),
        ("sys.stderr.write('Please run az login'); sys.exit(1)", "az login"),
        ("sys.stderr.write('AADSTS700082: CANARY expired'); sys.exit(1)", "(AADSTS700082)"),
        ('print(\'{"accessToken": "CANARY"}\')', "az login"),
    ],
    ids=["absent", "logged out", "expired", "odd answer"],
)
def test_credential_for_azure_cli_without_a_token_says_what_to_run(
    tmp_path: Path, script: str | None, told: str
) -> None:
    if script:
        put_az(tmp_path, script)
    error = fails(credential_for(CLI))
    assert isinstance(error, ProviderRefused)
    assert told in str(error)
    assert CANARY not in str(error)


def test_credential_for_default_without_any_identity_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential")
    error = fails(credential_for(DEFAULT))
    assert isinstance(error, ProviderRefused)
    assert "authentication.method default" in str(error)
    assert "az login" in str(error)


def test_credential_for_variables_that_do_not_fit_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "CANARY")
    with pytest.raises(ConfigurationError, match="AZURE_TOKEN_CREDENTIALS") as caught:
        credential_for(DEFAULT)
    assert CANARY not in str(caught.value)


def test_token_provider_asks_once_for_many_calls(managed: AzureServer) -> None:
    provide = token_provider(credential_for(MANAGED), COGNITIVE_SERVICES)
    assert {provide() for _ in range(5)} == {token_for(COGNITIVE)}
    assert len(managed.requests) == 1


@pytest.mark.parametrize("fault", [None, Fault(kind="cut"), Fault(kind="status", status=500)])
def test_credential_shows_neither_token_nor_header(
    managed: AzureServer,
    caplog: pytest.LogCaptureFixture,
    fault: Fault | None,
) -> None:
    managed.script(PATH, [fault])
    credential = credential_for(MANAGED)
    shown = [repr(credential), str(credential)]
    with caplog.at_level(logging.DEBUG):
        try:
            credential.get_token(COGNITIVE_SERVICES)
        except ProviderError as error:
            shown += [str(error), repr(error), repr(error.__cause__)]
    credential.close()  # type: ignore[attr-defined]
    assert not [text for text in [*shown, caplog.text] if CANARY in text]
