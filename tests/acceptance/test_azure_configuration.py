"""What azure_config.yaml says of a service is what the service is asked; and its old indexes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from acceptance_samples import CONTENT, configure, liftwright, read_json, run_until
from azure_campaign import ADAPTERS, KEYS, point
from azure_server.openai import OpenAIService
from azure_server.safety import ANALYZE, SafetyService
from azure_server.search import Index, SearchService
from azure_server.server import AzureServer
from liftwright.campaign import Workspace
from liftwright.campaign.doctor import check_services
from liftwright.wiring import read_settings

if TYPE_CHECKING:
    from pathlib import Path

    from azure_server.server import Handler, Recorded
    from liftwright.campaign import StageProgress


@pytest.fixture
def search() -> SearchService:
    return SearchService()


@pytest.fixture
def azure_handlers(search: SearchService) -> list[Handler]:
    return [OpenAIService(), search, SafetyService(blocklists={"rivals": ("Acme",)})]


@pytest.fixture
def site(
    root: Path,
    azure_server: AzureServer,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    point(root, azure_server, *ADAPTERS)
    return root


def seen(request: Recorded) -> str:
    """All that a request says, but for what no two requests share."""
    told = {name: request.headers.get(name) for name in ("host", "authorization")}
    body = request.body.decode()
    return f"{request.method} {request.path} {sorted(request.query.items())} {told} {body}"


@pytest.mark.parametrize(
    ("key", "value", "route", "shown"),
    [
        ("azure_openai.deployment", "writer", "/openai/", '"model":"writer"'),
        ("azure_openai.api_version", "2025-04-01-preview", "/openai/", "2025-04-01-preview"),
        ("azure_openai.max_output_tokens", 777, "/openai/", '"max_output_tokens":777'),
        ("azure_search.index", "other-content", "/", "other-content"),
        ("azure_search.api_version", "2025-09-01", "/indexes", "2025-09-01"),
        ("azure_content_safety.api_version", "2024-09-01", ANALYZE, "2024-09-01"),
        (
            "azure_content_safety.output_type",
            "EightSeverityLevels",
            ANALYZE,
            '"outputType": "EightSeverityLevels"',
        ),
        ("azure_content_safety.blocklists", ["rivals"], ANALYZE, '"blocklistNames": ["rivals"]'),
    ],
)
def test_changing_a_key_of_a_service_changes_its_requests(  # noqa: PLR0913, PLR0917 - a key and what it does
    site: Path,
    azure_server: AzureServer,
    key: str,
    value: object,
    route: str,
    shown: str,
) -> None:
    check_services(site, read_settings(site))
    before = [seen(request) for request in azure_server.under(route)]
    configure(site, f"azure_config.{key}", value)

    check_services(site, read_settings(site))

    after = [seen(request) for request in azure_server.under(route)[len(before) :]]
    assert before
    assert not any(shown in request for request in before)
    assert any(shown in request for request in after)


@pytest.mark.parametrize(
    ("block", "route"),
    [
        ("azure_openai", "/openai/"),
        ("azure_search", "/indexes"),
        ("azure_content_safety", "/contentsafety/"),
    ],
)
def test_changing_an_endpoint_sends_the_requests_there(
    site: Path, azure_server: AzureServer, block: str, route: str
) -> None:
    with AzureServer([OpenAIService(), SearchService(), SafetyService()]).running() as other:
        configure(site, f"azure_config.{block}.endpoint", other.url)
        checks = check_services(site, read_settings(site))
        assert [check.name for check in checks if not check.ok] == []
        assert other.under(route)
        assert other.invalid == []
    assert azure_server.under(route) == []


# ── Old indexes ───────────────────────────────────────────────────────────────────────────────


def drop_a_document(site: Path) -> None:
    next(iter(sorted((site / CONTENT).glob("*.json")))).unlink()


def test_index_tells_of_its_progress_and_leaves_old_indexes(
    site: Path, search: SearchService
) -> None:
    steps: list[StageProgress] = []
    first = Workspace(site).index(notify=steps.append)
    assert {step.state for step in steps} == {"advanced"}
    assert (steps[0].done, steps[-1].done, steps[-1].total) == (
        0,
        first.paragraphs,
        first.paragraphs,
    )
    drop_a_document(site)
    second = Workspace(site).index()
    assert set(search.indexes) == {first.name, second.name}
    assert second.removed_indexes == ()


def test_index_remove_old_deletes_what_nobody_asks_any_more_and_lists_it(
    site: Path, search: SearchService
) -> None:
    search.indexes["somebody-elses"] = Index({"name": "somebody-elses", "fields": []})
    first = json.loads(liftwright(site, "index", "--json").out)
    drop_a_document(site)

    answer = liftwright(site, "index", "--remove-old")

    assert answer.status == 0, answer.err
    assert f"removed old index: {first['name']}" in answer.out
    second = search.aliases["approved-content"]
    assert set(search.indexes) == {"somebody-elses", second}
    again = json.loads(liftwright(site, "index", "--remove-old", "--json").out)
    assert again["name"] == second
    assert not again.get("removed_indexes")


def test_index_remove_old_keeps_what_an_unfinished_run_searches(
    site: Path, search: SearchService
) -> None:
    folder = run_until(site, "index")
    drop_a_document(site)

    assert liftwright(site, "index", "--remove-old").status == 0

    assert read_json(folder / "index.json")["name"] in search.indexes
    assert len(search.indexes) == 2


def test_index_remove_old_works_on_this_machine_too(root: Path) -> None:
    first = json.loads(liftwright(root, "index", "--json").out)["name"]
    drop_a_document(root)

    answer = liftwright(root, "index", "--remove-old")

    assert answer.status == 0
    assert f"removed old index: {first}" in answer.out
    left = {path.parent.name for path in (root / "data/index").glob("*/passages.json")}
    assert len(left) == 1
    assert first not in left
    assert read_json(root / "data/index/recent.json") == [*left]
    assert liftwright(root, "search", "boots").status == 0
