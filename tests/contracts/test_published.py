"""Requests of the Azure adapters against the services' published descriptions, in full.

The descriptions are not part of the project: where they are not beside the checkout, the tests are
skipped by name.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from azure_server.fixtures import served
from azure_server.identity import IdentityService, environment
from azure_server.openai import KEY as OPENAI_KEY
from azure_server.openai import OpenAIService
from azure_server.safety import KEY as SAFETY_KEY
from azure_server.safety import SafetyService
from azure_server.search import KEY as SEARCH_KEY
from azure_server.search import SearchService
from azure_server.vault import VaultService
from contracts.test_complete import prompt
from contracts.test_search import DOCUMENTS, quietly
from liftwright.adapters.azure import AzureContentSafety, AzureOpenAI, AzureSearch, KeyVault
from liftwright.adapters.azure.content_safety import AzureContentSafetyScreen
from liftwright.adapters.azure.identity import credential_for
from liftwright.adapters.azure.key_vault import KeyVaultSecrets
from liftwright.adapters.azure.openai import AzureOpenAIComplete, AzureOpenAIEmbed
from liftwright.adapters.azure.search import AzurePassageSearch, AzureSearchIndex
from liftwright.adapters.embedded.embed import MiniLmEmbed
from liftwright.config import Authentication
from liftwright.model import Query

if TYPE_CHECKING:
    from collections.abc import Iterator

    from azure_server.server import AzureServer, Recorded

SPECS = Path(__file__).parents[2] / "../shared/azure-specs"


@pytest.fixture(scope="module")
def server() -> Iterator[AzureServer]:
    """A server with a request of every Azure adapter."""
    vault = VaultService({"SOME-KEY": "canary"})
    handlers = (OpenAIService(), SearchService(), SafetyService(), vault, IdentityService())
    with served(*handlers) as running, pytest.MonkeyPatch.context() as patch:
        for name, value in environment(running.url).items():
            patch.setenv(name, value)
        _ask_openai(running.url)
        _ask_search(running.url)
        AzureContentSafetyScreen(
            AzureContentSafety(endpoint=running.url), api_key=SAFETY_KEY, timeout_seconds=60
        )("Our shops open at nine.")
        credential = credential_for(Authentication(method="managed_identity"))
        vault_client = KeyVaultSecrets(
            KeyVault(url=running.url), credential, {}, verify_challenge_resource=False
        )
        assert vault_client("SOME_KEY") == "canary"
        yield running


def _ask_openai(url: str) -> None:
    for version in (None, "2025-03-01-preview"):
        config = AzureOpenAI(
            endpoint=url,
            deployment="writer",
            model="gpt-4.1-mini",
            reasoning=False,
            temperature=0.5,
            api_version=version,
            embedding_deployment="vectors",
            embedding_dimensions=256,
        )
        AzureOpenAIComplete(
            config, api_key=OPENAI_KEY, token_provider=None, price=None, timeout_seconds=60
        )(prompt())
        AzureOpenAIEmbed(config, api_key=OPENAI_KEY, token_provider=None, timeout_seconds=60)(
            ("a",)
        )


def _ask_search(url: str) -> None:
    config, embed = AzureSearch(endpoint=url), MiniLmEmbed()
    index = AzureSearchIndex(config, embed, api_key=SEARCH_KEY)
    name = index(DOCUMENTS, progress=quietly).name
    search = AzurePassageSearch(config, embed, name, api_key=SEARCH_KEY, timeout_seconds=60)
    assert search(Query(text="boots", top_k=3, categories=("product",)))


# The file, the definition, and where the requests are that it describes.
BODIES = {
    "responses v1": ("AIFoundryOpenAIV1.json", "AzureCreateResponse", "/openai/v1/responses"),
    "embeddings v1": ("AIFoundryOpenAIV1.json", "AzureCreateEmbeddingRequest", "/openai/v1/emb"),
    "responses dated": ("AIFoundryOpenAI.json", "createResponse", "/openai/responses"),
    "index": ("searchservice-2024-07-01.json", "SearchIndex", "PUT /indexes('"),
    "documents": ("searchindex-2024-07-01.json", "IndexBatch", "docs/search.index"),
    "search": ("searchindex-2024-07-01.json", "SearchRequest", "docs/search.post.search"),
    "analyze": ("contentsafety-2023-10-01.json", "AnalyzeTextOptions", "text:analyze"),
}


def published(name: str) -> dict[str, Any]:
    file = SPECS / name
    if not file.is_file():
        pytest.skip(f"the published description {name} is not beside this checkout")
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def bodies(server: AzureServer, where: str) -> list[Recorded]:
    found = [one for one in server.requests if one.json and where in f"{one.method} {one.path}"]
    assert found, f"nothing was asked for under {where}"
    return found


def checker(kind: str) -> Draft202012Validator:
    file, definition, _ = BODIES[kind]
    content = _opened(published(file))
    place = "components/schemas" if "components" in content else "definitions"
    schema = {**content, "$ref": f"#/{place}/{definition}"}
    if kind != "documents":  # whose action stands next to its own fields
        schema["unevaluatedProperties"] = False
    return Draft202012Validator(schema)


@pytest.mark.parametrize("kind", BODIES)
def test_request_is_one_that_the_published_description_admits(
    server: AzureServer, kind: str
) -> None:
    check = checker(kind)
    for request in bodies(server, BODIES[kind][2]):
        wrong = [f"{one.json_path}: {one.message[:200]}" for one in check.iter_errors(request.json)]
        assert wrong == []


def test_secret_is_asked_for_where_the_published_description_says(server: AzureServer) -> None:
    paths = published("keyvault-secrets-7.5.json")["paths"]
    assert "get" in paths["/secrets/{secret-name}/{secret-version}"]
    asked = server.under("/secrets/")
    assert {(one.method, one.path.rstrip("/")) for one in asked} == {("GET", "/secrets/SOME-KEY")}
    assert {tuple(one.query) for one in asked} == {("api-version",)}


def _opened(value: Any) -> Any:
    """The description without extensible enums."""
    if isinstance(value, dict):
        is_open = value.get("x-ms-enum", {}).get("modelAsString") if "enum" in value else False
        return {
            name: _opened(item) for name, item in value.items() if not (is_open and name == "enum")
        }
    return [_opened(item) for item in value] if isinstance(value, list) else value
