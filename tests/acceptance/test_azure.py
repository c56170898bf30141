"""Azure's services one at a time: paid embeddings, lasting faults, a missing key or block."""

from __future__ import annotations

import itertools
import json
import shutil
from collections import Counter
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from acceptance_samples import configure, liftwright, log_lines, read_json, run_until
from azure_campaign import ADAPTERS, KEYS, point
from azure_server.faults import Fault
from azure_server.openai import OpenAIService
from azure_server.safety import SafetyService
from azure_server.search import SearchService
from liftwright.adapters.embedded.sqlite import SqliteStore

if TYPE_CHECKING:
    from pathlib import Path

    from azure_server.server import AzureServer, Handler


@pytest.fixture
def openai() -> OpenAIService:
    return OpenAIService()


@pytest.fixture
def azure_handlers(openai: OpenAIService) -> list[Handler]:
    return [openai, SearchService(), SafetyService()]


@pytest.fixture
def on_azure(root: Path, azure_server: AzureServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace that has Azure's services configured and uses none of them."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    point(root, azure_server)
    return root


def test_run_with_paid_embeddings_pays_for_no_text_twice(
    on_azure: Path, azure_server: AzureServer, openai: OpenAIService
) -> None:
    configure(on_azure, "azure_config.azure_openai.embedding_deployment", "vectors")
    configure(on_azure, "azure_config.azure_openai.embedding_model", "text-embedding-3-small")
    configure(on_azure, "azure_config.adapters.embed", "azure_openai")
    plan = json.loads(liftwright(on_azure, "plan", "--json").out)
    (planned,) = [one for one in plan["calls"] if one["port"] == "embed"]

    folder = run_until(on_azure, "ground", run_id="first")
    # Another index, other stages: the texts are those that were paid for.
    shutil.rmtree(on_azure / "data/index")
    again = run_until(on_azure, "ground", run_id="second")

    calls = [one["context"] for one in log_lines(on_azure) if one["action"] == "azure_call"]
    told = sum("embeddings" in str(call["route"]) for call in calls)
    assert told == len(azure_server.under("/openai/v1/embeddings")) > 0
    texts = Counter(openai.served)
    assert texts
    assert set(texts.values()) == {1}
    with closing(SqliteStore(on_azure / "data/ledger.sqlite")) as store:
        rows = list(store.rows())
    paid = [row for row in rows if row["port"] == "embed" and row["status"] == "done"]
    assert {row["run_id"] for row in paid} == {"first"}
    tokens = sum(row["usage"]["tokens"]["input"] for row in paid)
    assert sum(row["cost_usd"] for row in paid) == pytest.approx(tokens * 0.02e-6, abs=1e-7)
    assert planned["input_tokens"] / 3 < tokens < 3 * planned["input_tokens"]
    assert read_json(again / "run.json")["metered_calls"] == 0
    assert read_json(folder / "run.json")["metered_calls"] == len(paid)


def test_run_on_a_repointed_embedding_deployment_keeps_no_vector_until_its_model_is_named(
    on_azure: Path, openai: OpenAIService
) -> None:
    configure(on_azure, "azure_config.azure_openai.embedding_deployment", "vectors")
    configure(on_azure, "azure_config.adapters.embed", "azure_openai")
    run_until(on_azure, "index", run_id="first")
    openai.deployments["vectors"] = replace(openai.deployments["vectors"], dimensions=64)
    document = next((on_azure / "data/content/approved_content").iterdir())
    content = json.loads(document.read_text())
    content["title"] += " today"
    document.write_text(json.dumps(content))
    for _ in range(2):
        answer = liftwright(on_azure, "run", "--run-id", "second")
        assert (answer.status, "embedding_model" in answer.out) == (3, True)
    configure(on_azure, "azure_config.azure_openai.embedding_model", "text-embedding-3-large")
    run_until(on_azure, "retrieve", run_id="third")


@pytest.mark.parametrize(("port", "secret"), [*zip(ADAPTERS, KEYS, strict=True)])
def test_run_without_the_key_or_the_block_of_a_service_names_it(
    on_azure: Path, port: str, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = ADAPTERS[port]
    configure(on_azure, f"azure_config.adapters.{port}", adapter)
    monkeypatch.delenv(secret)
    answer = liftwright(on_azure, "run")
    assert (answer.status, secret in answer.err) == (2, True)
    configure(on_azure, f"azure_config.{adapter}", None)
    answer = liftwright(on_azure, "run")
    assert (answer.status, f"{adapter}: found null" in answer.err) == (2, True)


@pytest.mark.parametrize(
    ("port", "route", "status", "named"),
    [
        ("complete", "/openai/", 401, "Azure OpenAI answered 401: AZURE_OPENAI_API_KEY"),
        ("complete", "/openai/", 404, "Azure OpenAI answered 404: azure_openai.deployment"),
        ("screen", "/contentsafety/", 403, "Content Safety answered 403: Cognitive Services User"),
        ("screen", "/contentsafety/", 503, "Content Safety answered 503"),
        ("complete", "/openai/", 503, "Azure OpenAI answered 503"),
    ],
)
def test_run_on_a_service_that_fails_for_ever_says_why_and_asks_four_times_at_most(  # noqa: PLR0913, PLR0917 - the case's parts
    on_azure: Path, azure_server: AzureServer, port: str, route: str, status: int, named: str
) -> None:
    configure(on_azure, f"azure_config.adapters.{port}", ADAPTERS[port])
    configure(on_azure, "azure_config.calls.backoff_seconds", 0.001)
    configure(on_azure, "azure_config.calls.breaker.failures", 100)
    azure_server.script(route, itertools.repeat(Fault(kind="status", status=status)))
    answer = liftwright(on_azure, "run", "--run-id", "r")
    assert answer.status == 3
    for one in (answer, liftwright(on_azure, "status", "r")):
        words = " ".join((one.out + one.err).replace("│", " ").split())
        assert [part for part in named.split(": ") if part not in words] == []
    most = 4 if status == 503 else 1
    asked = Counter(request.body for request in azure_server.under(route))
    assert set(asked.values()) == {most}
    failures = read_json(on_azure / "data/runs/r/failures.json")
    assert {one["attempts"] for one in failures} <= {most}
    assert bool(failures) == (port == "complete")
