"""The pipeline on Azure's adapters, spoken over TLS to the contract server."""

from __future__ import annotations

import functools
import json
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

import contract_vault
import metered_writer
from acceptance_samples import configure, draft_for, liftwright, read_json, run_until
from azure_server.fixtures import served
from azure_server.identity import (
    COGNITIVE,
    SEARCH,
    VAULT,
    IdentityService,
    environment,
    token_for,
)
from azure_server.openai import KEY, Deployment, OpenAIService
from azure_server.safety import KEY as SAFETY_KEY
from azure_server.safety import SafetyService
from azure_server.search import KEY as SEARCH_KEY
from azure_server.search import SearchService
from azure_server.vault import VaultService
from liftwright.adapters.embedded.embed import MiniLmEmbed
from liftwright.adapters.embedded.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from azure_server.server import AzureServer, Handler, Recorded

# What the tests share takes long to make: on one worker it is made once.
pytestmark = pytest.mark.xdist_group("azure")

CANARIES = {
    "AZURE_OPENAI_API_KEY": KEY,
    "AZURE_SEARCH_API_KEY": SEARCH_KEY,
    "AZURE_CONTENT_SAFETY_API_KEY": SAFETY_KEY,
}
ON_AZURE = {
    "complete": "azure_openai",
    "embed": "azure_openai",
    "search": "azure_search",
    "screen": "azure_content_safety",
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
    azure_server: AzureServer,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    configure_azure(root, azure_server)
    return root


def configure_azure(root: Path, server: AzureServer) -> None:
    """Fill in the services' blocks; the adapters stay as they are."""
    configure(root, "azure_config.authentication", {"method": "api_key"})
    configure(
        root,
        "azure_config.azure_openai",
        {
            "endpoint": server.url,
            "deployment": "thinker",
            "model": "gpt-5-mini",
            "embedding_deployment": "vectors",
        },
    )
    configure(root, "azure_config.azure_search", {"endpoint": server.url})
    configure(root, "azure_config.azure_content_safety", {"endpoint": server.url})
    configure(root, "azure_config.key_vault", {"url": server.url})


# ── Every service at once ─────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def everything(
    template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, AzureServer]]:
    """A workspace on all of Azure's services, and their server.

    The model writes the composer's drafts for the prompts that Azure's search leads to.
    """
    root = shutil.copytree(template, tmp_path_factory.mktemp("everything") / "workspace")
    packages = contract_vault.register(tmp_path_factory.mktemp("vault"))
    mini = MiniLmEmbed()
    openai = OpenAIService(
        deployments={
            "thinker": Deployment(model="gpt-5-mini-2025-08-07", reasoning=True),
            "vectors": Deployment(model="text-embedding-3-small", dimensions=384),
        },
        # What the service's model makes of a text is what the small one does.
        embed=functools.cache(lambda text, _: mini((text,))[0].tolist()),
        token=token_for(COGNITIVE),
    )
    vault = VaultService({name.replace("_", "-"): key for name, key in CANARIES.items()})
    safety = SafetyService(harms={"ghastly": ("Violence", 6)})
    handlers = (openai, SearchService(), safety, vault, IdentityService())
    with served(*handlers) as server, pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(packages)
        for name, value in environment(server.url).items():
            patch.setenv(name, value)
        for name in CANARIES:
            patch.delenv(name, raising=False)
        configure_azure(root, server)
        for port, adapter in {**ON_AZURE, "secrets": contract_vault.NAME}.items():
            if port != "complete":
                configure(root, f"azure_config.adapters.{port}", adapter)
        drafts = metered_writer.drafts_of(run_until(root, "ground", run_id="composer"))
        configure(root, "azure_config.adapters.complete", "azure_openai")

        def write(prompt: str) -> str:
            subject, body = draft_for(prompt, drafts) or ("", "")
            return json.dumps({"subject": subject, "body": body})

        openai.write = write
        yield root, server


def test_run_on_every_service_ends_with_the_files_of_an_embedded_run(
    everything: tuple[Path, AzureServer],
    complete: Path,
    tmp_path: Path,
) -> None:
    template, server = everything
    root = shutil.copytree(template, tmp_path / "workspace")
    before = len(server.requests)

    answer = liftwright(root, "run", "--run-id", "azure", "--json")

    assert answer.status == 0, answer.err
    folder = root / "data/runs/azure"
    embedded = complete / "data/runs/first"
    assert files_in(folder) == files_in(embedded)
    asked = server.requests[before:]
    assert {one.path.split("/")[1] for one in asked} >= {"openai", "contentsafety", "secrets"}
    # Each reply that was paid for is remembered.
    run = read_json(folder / "run.json")
    rows = ledger_rows(root)
    assert {row["status"] for row in rows} <= {"done", "part"}
    told = [row for row in rows if row.get("run_id") == "azure" and row["status"] == "done"]
    assert len(told) == run["metered_calls"] > 0
    said = text_below(root / "data/runs") + text_below(root / "logs")
    told = answer.out + answer.err + said + ledger_text(root)
    secrets = (*CANARIES.values(), token_for(COGNITIVE), token_for(SEARCH), token_for(VAULT))
    assert not [secret for secret in secrets if secret in told]

    paid = len(paid_requests(server))
    again = liftwright(root, "run", "--run-id", "azure", "--json")
    assert again.status == 0
    assert len(paid_requests(server)) == paid, "a second run asks for nothing"
    assert liftwright(root, "verify", "azure").status == 0
    report = liftwright(root, "report", "azure", "--format", "pdf")
    assert report.status == 0
    assert (folder / "report/experiment_report.pdf").read_bytes().startswith(b"%PDF")


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def text_below(folder: Path) -> str:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return "".join(path.read_text("utf-8", "replace") for path in files)


def ledger_rows(root: Path) -> list[dict[str, object]]:
    with closing(SqliteStore(root / "data/ledger.sqlite")) as store:
        return [dict(row) for row in store.rows()]


def ledger_text(root: Path) -> str:
    return json.dumps(ledger_rows(root), default=str)


def paid_requests(server: AzureServer) -> list[Recorded]:
    """What a service may bill: questions, not the upkeep of an index or a secret."""
    paid = ("/openai/", "/contentsafety/")
    return [
        request
        for request in server.requests
        if request.path.startswith(paid) or request.path.endswith("search.post.search")
    ]


# ── One service at a time ─────────────────────────────────────────────────────────────────────


def test_run_with_paid_embeddings_pays_for_no_text_twice(
    on_azure: Path, openai: OpenAIService
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

    texts = Counter(openai.served)
    assert texts
    assert set(texts.values()) == {1}
    with closing(sqlite3.connect(on_azure / "data/ledger.sqlite")) as ledger:
        rows = [json.loads(row) for (row,) in ledger.execute("select row from records")]
    paid = [row for row in rows if row["port"] == "embed" and row["status"] == "done"]
    assert {row["run_id"] for row in paid} == {"first"}
    tokens = sum(row["usage"]["tokens"]["input"] for row in paid)
    assert sum(row["cost_usd"] for row in paid) == pytest.approx(tokens * 0.02e-6, abs=1e-9 * 99)
    assert planned["input_tokens"] / 3 < tokens < 3 * planned["input_tokens"]
    assert read_json(again / "run.json")["metered_calls"] == 0
    assert read_json(folder / "run.json")["metered_calls"] == len(paid)


@pytest.mark.parametrize(
    ("port", "secret"),
    [
        ("complete", "AZURE_OPENAI_API_KEY"),
        ("search", "AZURE_SEARCH_API_KEY"),
        ("screen", "AZURE_CONTENT_SAFETY_API_KEY"),
    ],
)
def test_run_without_the_key_or_the_block_of_a_service_names_it(
    on_azure: Path, port: str, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = ON_AZURE[port]
    configure(on_azure, f"azure_config.adapters.{port}", adapter)
    monkeypatch.delenv(secret)
    answer = liftwright(on_azure, "run")
    assert (answer.status, secret in answer.err) == (2, True)
    configure(on_azure, f"azure_config.{adapter}", None)
    answer = liftwright(on_azure, "run")
    assert (answer.status, f"{adapter}: found null" in answer.err) == (2, True)
