"""The specification's snippets for Azure's services, against the contract server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import liftwright
from acceptance_samples import configure
from azure_campaign import ADAPTERS, point
from azure_server.faults import Fault
from azure_server.identity import COGNITIVE, IdentityService, environment, token_for
from azure_server.openai import OpenAIService
from azure_server.safety import SafetyService
from azure_server.search import SearchService
from liftwright import (
    AzureOpenAIClient,
    check_safety,
    create_index,
    index_exists,
)
from liftwright.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from azure_server.server import AzureServer, Handler


@pytest.fixture
def search() -> SearchService:
    return SearchService()


@pytest.fixture
def azure_handlers(search: SearchService) -> list[Handler]:
    return [
        OpenAIService(token=token_for(COGNITIVE)),
        search,
        SafetyService(harms={"ghastly": ("Hate", 6)}),
        IdentityService(),
    ]


@pytest.fixture
def on_azure(root: Path, azure_server: AzureServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in environment(azure_server.url).items():
        monkeypatch.setenv(name, value)
    point(root, azure_server, *ADAPTERS)
    configure(root, "azure_config.authentication", {"method": "managed_identity"})
    configure(root, "azure_config.azure_search", {"endpoint": azure_server.url})
    monkeypatch.chdir(root)
    return root


def test_snippet_test_connection_says_successful_for_each_service(on_azure: Path) -> None:
    del on_azure
    found = liftwright.test_connection()
    assert all("Connection successful" in told for told in found.values()), found
    told = " ".join(found.values())
    assert "azure_openai" in told or "gpt-5-mini" in told
    assert "azure_content_safety" in told
    assert len(found) >= 3


@pytest.mark.usefixtures("on_azure")
def test_snippet_test_connection_of_a_service_that_is_away_says_what_is_wrong(
    azure_server: AzureServer,
) -> None:
    azure_server.script("/openai/", [Fault(kind="status", status=401)] * 8)
    wrong = [told for told in liftwright.test_connection().values() if "successful" not in told]
    assert any("401" in told for told in wrong)


def test_snippet_create_index_and_index_exists(on_azure: Path, search: SearchService) -> None:
    del on_azure
    assert not index_exists("approved-content-none")
    made = create_index()
    assert made["errors"] == []
    assert made["documents"] == 10
    assert index_exists(made["name"])
    definition = search.indexes[made["name"]].definition
    fields = {field["name"] for field in definition["fields"]}
    assert {"document_id", "title", "category"} <= fields
    assert definition["semantic"]["configurations"]
    held = dict(search.indexes[made["name"]].documents)
    assert create_index() == made
    assert search.indexes[made["name"]].documents == held


@pytest.mark.usefixtures("on_azure")
def test_snippet_generate_completion_gives_text_and_tokens() -> None:
    result = AzureOpenAIClient().generate_completion("Write a subject and a body.")
    assert json.loads(result["text"])["body"]
    assert result["tokens_used"] == 1200
    assert result["cost_usd"] > 0


def test_snippet_client_where_another_adapter_writes_says_so(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    with pytest.raises(ConfigurationError, match=r"adapters\.complete: found 'embedded"):
        AzureOpenAIClient()


@pytest.mark.usefixtures("on_azure")
def test_snippet_check_safety_gives_the_severity_of_each_category() -> None:
    harmless = check_safety({"body": "Our shops open at nine."})
    assert (harmless["status"], harmless["hate_severity"]) == ("pass", 0)
    harmful = check_safety({"body": "A ghastly message."})
    assert (harmful["status"], harmful["hate_severity"]) == ("block", 6)
