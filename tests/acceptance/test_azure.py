"""The pipeline on Azure's adapters, spoken over TLS to the contract server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import metered_writer
from acceptance_samples import configure, draft_for, liftwright, read_json, run_until
from azure_server.fixtures import azure_server  # noqa: F401 - a fixture
from azure_server.openai import KEY, OpenAIService
from azure_server.safety import KEY as SAFETY_KEY
from azure_server.safety import SafetyService
from azure_server.search import KEY as SEARCH_KEY
from azure_server.search import SearchService

if TYPE_CHECKING:
    from pathlib import Path

    from azure_server.server import AzureServer, Handler

CANARIES = {
    "AZURE_OPENAI_API_KEY": KEY,
    "AZURE_SEARCH_API_KEY": SEARCH_KEY,
    "AZURE_CONTENT_SAFETY_API_KEY": SAFETY_KEY,
}


@pytest.fixture
def openai() -> OpenAIService:
    return OpenAIService()


@pytest.fixture
def azure_handlers(openai: OpenAIService) -> list[Handler]:
    return [openai, SearchService(), SafetyService(harms={"ghastly": ("Violence", 6)})]


@pytest.fixture
def on_azure(
    root: Path,
    azure_server: AzureServer,  # noqa: F811 - the fixture
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    configure(root, "azure_config.authentication", {"method": "api_key"})
    configure(
        root,
        "azure_config.azure_openai",
        {
            "endpoint": azure_server.url,
            "deployment": "thinker",
            "model": "gpt-5-mini",
        },
    )
    configure(root, "azure_config.azure_search", {"endpoint": azure_server.url})
    configure(root, "azure_config.azure_content_safety", {"endpoint": azure_server.url})
    return root


def test_run_with_azure_openai_and_content_safety_ends_with_the_same_files(
    on_azure: Path, openai: OpenAIService
) -> None:
    drafts = metered_writer.drafts_of(run_until(on_azure, "ground", run_id="embedded"))

    def write(prompt: str) -> str:
        subject, body = draft_for(prompt, drafts) or ("", "")
        return json.dumps({"subject": subject, "body": body})

    openai.write = write
    configure(on_azure, "azure_config.adapters.complete", "azure_openai")
    configure(on_azure, "azure_config.adapters.screen", "azure_content_safety")

    answer = liftwright(on_azure, "run", "--run-id", "azure", "--json")

    assert answer.status == 0, answer.err
    folder = on_azure / "data/runs/azure"
    run = read_json(folder / "run.json")
    assert run["metered_calls"] > 0
    assert run["totals"]["cost_usd"] > 0
    assert {one["decided_by"].split("/")[0] for one in read_json(folder / "decisions.json")} == {
        "azure_content_safety"
    }
    embedded = {path.name for path in (on_azure / "data/runs/embedded").iterdir()}
    assert embedded <= {path.name for path in folder.iterdir()}
    said = "".join(
        path.read_text("utf-8", "replace")
        for place in (folder, on_azure / "logs")
        for path in place.rglob("*")
        if path.is_file()
    )
    assert not [secret for secret in CANARIES.values() if secret in said]


def test_run_with_azure_search_finds_and_cites_passages(on_azure: Path) -> None:
    configure(on_azure, "azure_config.adapters.search", "azure_search")

    folder = run_until(on_azure, "generate", run_id="azure")

    passages = read_json(folder / "passages.json")
    assert all(3 <= len(found) <= 5 for found in passages.values())
    variants = read_json(folder / "variants.json")["variants"]
    assert variants
    assert all(variant["citations"] for variant in variants)


@pytest.mark.parametrize("port", ["complete", "search", "screen"])
def test_run_without_the_key_of_a_service_names_the_secret(
    on_azure: Path, port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapters = {
        "complete": ("azure_openai", "AZURE_OPENAI_API_KEY"),
        "search": ("azure_search", "AZURE_SEARCH_API_KEY"),
        "screen": ("azure_content_safety", "AZURE_CONTENT_SAFETY_API_KEY"),
    }
    adapter, secret = adapters[port]
    configure(on_azure, f"azure_config.adapters.{port}", adapter)
    monkeypatch.delenv(secret)

    answer = liftwright(on_azure, "run")

    assert answer.status == 2
    assert f"the secret {secret} is not set" in answer.err


@pytest.mark.parametrize(
    ("port", "adapter"),
    [
        ("complete", "azure_openai"),
        ("embed", "azure_openai"),
        ("search", "azure_search"),
        ("screen", "azure_content_safety"),
    ],
)
def test_run_without_the_block_of_a_service_names_it(root: Path, port: str, adapter: str) -> None:
    configure(root, f"azure_config.adapters.{port}", adapter)

    answer = liftwright(root, "run")

    assert answer.status == 2
    assert f"{adapter}: found null" in answer.err
