"""Azure clients: unusable addresses and keys, and secrets that a service repeats in a fault."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from azure_server.faults import SERVER_WORDS, Fault
from azure_server.identity import (
    COGNITIVE,
    PATH,
    SEARCH,
    IdentityService,
    environment,
    token_for,
)
from azure_server.identity import SECRET as IDENTITY_HEADER
from azure_server.openai import KEY, OpenAIService
from azure_server.safety import KEY as SAFETY_KEY
from azure_server.safety import SafetyService
from azure_server.search import KEY as SEARCH_KEY
from azure_server.search import SearchService
from azure_server.vault import VaultService
from configuration import lay_down
from liftwright.adapters.azure import AzureContentSafety, AzureOpenAI, AzureSearch, KeyVault
from liftwright.adapters.azure.content_safety import AzureContentSafetyScreen
from liftwright.adapters.azure.key_vault import KeyVaultSecrets
from liftwright.adapters.azure.openai import AzureOpenAIComplete
from liftwright.adapters.azure.search import AzurePassageSearch
from liftwright.campaign.healthcheck import connection_prompt
from liftwright.errors import ConfigurationError, ProviderError
from liftwright.log import Log, fault, logging_to
from liftwright.model import JudgeRequest, Query
from liftwright.wiring import AdapterFactory, read_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from azure_server.server import AzureServer, Handler

KEYS = {
    "AZURE_OPENAI_API_KEY": KEY,
    "AZURE_SEARCH_API_KEY": SEARCH_KEY,
    "AZURE_CONTENT_SAFETY_API_KEY": SAFETY_KEY,
}
VAULTED = "CANARY-vaulted"
CONNECTION = "InstrumentationKey=CANARY-connection"
CANARIES = (
    *KEYS.values(),
    *map(token_for, (COGNITIVE, SEARCH, "https://vault.azure.net")),
    *(IDENTITY_HEADER, VAULTED, CONNECTION, SERVER_WORDS),
)
CONFIG = """
adapters:
  complete: azure_openai
  embed: azure_openai
  search: azure_search
  screen: azure_content_safety
authentication: {{method: {method}}}
azure_openai:
  {{endpoint: "{url}", deployment: thinker, model: m, embedding_deployment: vectors}}
azure_search: {{endpoint: "{url}", vectors: false}}
azure_content_safety: {{endpoint: "{url}", prompt_shields: true, groundedness: true}}
key_vault: {{url: "{url}"}}
"""
ASKED: dict[str, Callable[[Any], object]] = {
    "complete": lambda port: port(None),
    "embed": lambda port: port(("a text",)),
    "search": lambda port: port.search("approved-content")(Query(text="boots", top_k=1)),
    "screen": lambda port: port("a text"),
    "shield": lambda port: port("a text"),
    "judge": lambda port: port(JudgeRequest(text="a text", sources=("a text",))),
}


@pytest.fixture
def azure_handlers() -> list[Handler]:
    openai = OpenAIService(token=token_for(COGNITIVE))
    vault = VaultService({"NAME": VAULTED})
    return [openai, SearchService(), SafetyService(), IdentityService(), vault]


def one_by_one(
    root: Path, server: AzureServer, method: str, monkeypatch: pytest.MonkeyPatch
) -> AdapterFactory:
    for name, value in environment(server.url).items():
        monkeypatch.setenv(name, value)
    file = lay_down(root) / "config/azure_config.yaml"
    file.write_text(CONFIG.format(method=method, url=server.url), encoding="utf-8")
    return AdapterFactory(root, read_settings(root), {**KEYS, "APPLICATIONINSIGHTS": CONNECTION})


@pytest.mark.parametrize("method", ["api_key", "managed_identity"])
@pytest.mark.parametrize("status", [401, 500])
def test_no_service_that_repeats_a_secret_gets_it_into_a_traceback(  # noqa: PLR0913, PLR0917 - fixtures
    tmp_path: Path,
    azure_server: AzureServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    method: str,
    status: int,
) -> None:
    ports = one_by_one(tmp_path, azure_server, method, monkeypatch)
    prompt = connection_prompt(read_settings(tmp_path))
    echo = f"denied: {' '.join(CANARIES)}"
    body = {"error": {"code": str(status), "message": echo, "innererror": {"message": echo}}}
    shown = []
    for name, ask in ASKED.items():
        port = ports.make(name)
        wrong = Fault(kind="status", status=status, body=body)
        for route in ("/openai/", "/indexes", "/contentsafety/"):
            azure_server.script(route, [wrong])
        with (
            caplog.at_level(logging.WARNING),
            logging_to(Log(tmp_path / "logs")),
            pytest.raises(ProviderError) as caught,
        ):
            ask(port) if name != "complete" else port(prompt)
        with logging_to(Log(tmp_path / "logs")):
            fault("call_failed", caught.value, agent="calls")
        shown += ["".join(traceback.format_exception(caught.value)), repr(caught.value), repr(port)]
    shown += [caplog.text, (tmp_path / "logs/system.log").read_text()]
    said = "".join(shown)
    assert [canary for canary in CANARIES if canary in said] == []
    assert len(azure_server.requests) >= len(ASKED)


def test_no_identity_that_repeats_a_secret_gets_it_into_a_traceback(
    tmp_path: Path, azure_server: AzureServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = one_by_one(tmp_path, azure_server, "managed_identity", monkeypatch)
    body = {"statusCode": 401, "message": " ".join(CANARIES)}
    azure_server.script(PATH, [Fault(kind="status", status=401, body=body)] * 20)
    for name in ("embed", "screen"):
        with pytest.raises(ProviderError) as caught:
            ASKED[name](ports.make(name))
        said = "".join(traceback.format_exception(caught.value))
        assert [canary for canary in CANARIES if canary in said] == []


def client(service: str, address: str, key: str | None) -> object:
    """A client of a service, before any request."""
    if service == "azure_openai":
        config = AzureOpenAI(endpoint=address, deployment="d", model="m")
        return AzureOpenAIComplete(
            config, api_key=key, token_provider=None, price=None, timeout_seconds=1
        )
    if service == "azure_search":
        found = AzureSearch(endpoint=address, vectors=False)
        return AzurePassageSearch(found, None, "name", api_key=key, timeout_seconds=1)
    if service == "key_vault":
        return KeyVaultSecrets(KeyVault(url=address), object(), {})  # type: ignore[arg-type]
    options = AzureContentSafety(endpoint=address)
    return AzureContentSafetyScreen(options, api_key=key, timeout_seconds=1)


@pytest.mark.parametrize(
    ("service", "key"),
    [
        ("azure_openai", "endpoint"),
        ("azure_search", "endpoint"),
        ("azure_content_safety", "endpoint"),
        ("key_vault", "url"),
    ],
)
@pytest.mark.parametrize("address", ["http://a.example", "a.example", "https://", "https://a/x"])
def test_client_with_an_unusable_address_names_the_key(
    service: str, key: str, address: str
) -> None:
    with pytest.raises(ConfigurationError, match=rf"{service}\.{key}"):
        client(service, address, "key")


@pytest.mark.parametrize(
    ("service", "named"),
    [
        ("azure_openai", "AZURE_OPENAI_API_KEY"),
        ("azure_search", "AZURE_SEARCH_API_KEY"),
        ("azure_content_safety", "key"),
    ],
)
@pytest.mark.parametrize("key", [None, "", "two words", "line\n"])
def test_client_with_an_unusable_key_names_the_secret_and_does_not_show_it(
    service: str, named: str, key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "of-the-environment")
    with pytest.raises(ConfigurationError, match=named) as caught:
        client(service, "https://a.example", key)
    assert not key or key not in str(caught.value)
