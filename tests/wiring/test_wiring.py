from __future__ import annotations

import importlib
import logging
import sys
from typing import TYPE_CHECKING

import pytest
from pydantic import create_model

from configuration import lay_down
from liftwright.errors import ConfigurationError, LiftwrightError, ProviderUnavailable
from liftwright.log import Log, logging_to
from liftwright.providers import Provider
from liftwright.wiring import adapter_names, make_ports, read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from liftwright.ports import Ports

PORTS = (
    *("complete", "embed", "search", "screen"),
    *("engine", "store", "track", "secrets", "telemetry"),
)
KEY = "sk-canary-77b2"
SERVER = (
    "azure_config.openai_compatible="
    '{"base_url": "http://127.0.0.1:9/v1", "model": "small", "api_key_secret": "SOME_KEY"}'
)
THIRD_PARTY = '''
from liftwright.model import Completion, Identity


class Writer:
    """Answers with the brand of the workspace that it was made for."""

    metered = False
    identity = Identity(provider="acme", model="writer")

    def __init__(self, site):
        self.brand = site.settings.experiment.brand.name

    def __call__(self, request, /):
        return Completion(text=self.brand, model="writer")
'''


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return lay_down(tmp_path / "workspace")


@pytest.fixture
def third_party(tmp_path: Path) -> Iterator[str]:
    """An installed third-party package with an adapter named `acme`."""
    site = tmp_path / "site"
    info = site / "acme_writer-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-writer\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[liftwright.complete]\nacme = acme_writer:Writer\n")
    (site / "acme_writer.py").write_text(THIRD_PARTY)
    sys.path.insert(0, str(site))
    importlib.invalidate_caches()
    yield "acme"
    sys.path.remove(str(site))
    sys.modules.pop("acme_writer", None)
    importlib.invalidate_caches()


def ports(workspace: Path, *overrides: str, **variables: str) -> Ports:
    return make_ports(workspace, read_settings(workspace, overrides), variables)


def test_make_ports_by_default_gives_embedded_parts_that_cost_nothing(workspace: Path) -> None:
    made = ports(workspace)
    assert {port.metered for port in (made.complete, made.embed, made.index, made.screen)} == {
        False
    }
    assert made.complete.identity.provider == "embedded"
    assert not (workspace / "data").exists(), "engine and store are opened when needed"
    made.store().close()
    assert (workspace / "data" / "ledger.sqlite").is_file()


@pytest.mark.parametrize("port", PORTS)
def test_make_ports_with_an_unknown_adapter_names_the_key_and_the_nearest(
    workspace: Path, port: str
) -> None:
    nearest = adapter_names(port)[0]
    with pytest.raises(ConfigurationError) as caught:
        ports(workspace, f"azure_config.adapters.{port}={nearest}b")
    message = str(caught.value)
    assert f"adapters.{port}: found '{nearest}b'" in message
    assert f"'{nearest}'?" in message


def test_make_ports_without_the_servers_options_says_which_are_missing(workspace: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"openai_compatible: .*base_url"):
        ports(workspace, "azure_config.adapters.complete=openai_compatible")


@pytest.mark.parametrize("variables", [{}, {"SOME_KEY": ""}])
def test_make_ports_without_the_secret_names_it_and_where_it_belongs(
    workspace: Path, variables: dict[str, str]
) -> None:
    with pytest.raises(ConfigurationError, match=r"SOME_KEY.*\.env"):
        ports(workspace, "azure_config.adapters.complete=openai_compatible", SERVER, **variables)


def test_make_ports_shows_no_secret_in_any_port_log_or_error(
    workspace: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    variables = {"SOME_KEY": KEY, "OTHER": "other-canary-1"}
    with logging_to(Log(workspace / "logs")):
        made = ports(
            workspace, "azure_config.adapters.complete=openai_compatible", SERVER, **variables
        )
        with pytest.raises(LiftwrightError) as caught:
            ports(workspace, "azure_config.adapters.screen=nobody", **variables)
    shown = [repr(made), str(made), str(caught.value), repr(caught.value), caplog.text]
    shown += [repr(part) for part in (made.secrets, made.complete, made.complete.identity)]
    shown += [path.read_text() for path in (workspace / "logs").iterdir()]
    for canary in variables.values():
        assert canary not in "\n".join(shown)
    assert made.secrets("SOME_KEY") == KEY
    assert (made.complete.metered, made.complete.identity.model) == (True, "small")


def test_third_party_adapter_is_made_from_the_workspaces_site(
    workspace: Path, third_party: str
) -> None:
    made = ports(workspace, f"azure_config.adapters.complete={third_party}")
    assert made.complete.identity.provider == "acme"
    assert made.complete(None).text == "Larkspur"  # type: ignore[arg-type]


def test_make_ports_with_keys_in_a_vault_opens_it_as_an_identity(workspace: Path) -> None:
    made = ports(
        workspace,
        "azure_config.authentication.method=api_key",
        "azure_config.adapters.secrets=key_vault",
        'azure_config.key_vault={"url": "https://localhost:9"}',
    )
    assert "localhost:9" in repr(made.secrets)


def test_make_ports_with_a_vault_that_is_away_asks_it_again(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The identity's token is never requested: there is no vault at the address.
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
    made = ports(
        workspace,
        "azure_config.adapters.secrets=key_vault",
        'azure_config.key_vault={"url": "https://localhost:9"}',
        "azure_config.calls.backoff_seconds=0",
    )
    with logging_to(Log(tmp_path / "logs")), pytest.raises(ProviderUnavailable):
        made.secrets("AZURE_SEARCH_API_KEY")
    told = (tmp_path / "logs" / "system.log").read_text()
    assert told.count('"call_retried"') == 3


@pytest.mark.parametrize(
    ("port", "adapter"),
    [("telemetry", "azure_monitor"), ("telemetry", "otlp"), ("track", "mlflow")],
)
def test_make_ports_with_an_adapter_whose_block_is_null_names_the_block(
    workspace: Path, port: str, adapter: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"{adapter}: found null"):
        ports(workspace, f"adapters.{port}={adapter}")


@pytest.mark.parametrize(
    ("port", "adapter", "block", "secret"),
    [
        ("telemetry", "azure_monitor", "{}", "APPLICATIONINSIGHTS_CONNECTION_STRING"),
        (
            *("telemetry", "otlp"),
            "{endpoint: 'http://127.0.0.1:9', headers_secret: COLLECTOR_HEADERS}",
            "COLLECTOR_HEADERS",
        ),
        ("track", "mlflow", "{token_secret: TRACKER_TOKEN}", "TRACKER_TOKEN"),
    ],
)
def test_make_ports_without_a_receivers_secret_names_it(
    workspace: Path, port: str, adapter: str, block: str, secret: str
) -> None:
    wanted = (f"adapters.{port}={adapter}", f"azure_config.{adapter}={block}")
    with pytest.raises(ConfigurationError, match=f"secret {secret} is not set"):
        ports(workspace, *wanted)


def test_provider_whose_options_are_no_options_is_refused() -> None:
    with pytest.raises(TypeError, match="Options"):
        Provider(adapters={}, options=create_model("Anything"))  # type: ignore[type-var]
