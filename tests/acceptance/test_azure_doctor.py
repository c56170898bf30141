"""`doctor` on Azure's services: success, and for each class of fault how to mend it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from acceptance_samples import configure, liftwright
from azure_campaign import KEYS, point_all
from azure_server.faults import Fault
from azure_server.identity import (
    COGNITIVE,
    IdentityService,
    environment,
    token_for,
)
from azure_server.openai import OpenAIService
from azure_server.safety import SafetyService
from azure_server.search import SearchService
from liftwright.campaign import HealthCheck, Workspace
from liftwright.campaign.doctor import check_services
from liftwright.wiring import read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from azure_server.server import AzureServer, Handler


class Service(NamedTuple):
    """Where a service is asked, and what repairs each kind of fault."""

    route: str
    secret: str
    role: str
    endpoint: str
    key_if_gone: str | None = None


OPENAI_FAULTS = (
    *("AZURE_OPENAI_API_KEY", "Cognitive Services OpenAI User", "azure_openai.endpoint"),
)
SAFETY_FAULTS = (
    *("AZURE_CONTENT_SAFETY_API_KEY", "Cognitive Services User", "azure_content_safety.endpoint"),
)
SERVICES = {
    "writer": Service("/openai/v1/responses", *OPENAI_FAULTS, "azure_openai.deployment"),
    "embedding model": Service(
        "/openai/v1/embeddings", *OPENAI_FAULTS, "azure_openai.embedding_deployment"
    ),
    "search": Service(
        "/aliases",
        "AZURE_SEARCH_API_KEY",
        "Search Index Data Contributor",
        "azure_search.endpoint",
        "azure_search.api_version",
    ),
    "screener": Service(
        "/contentsafety/text:analyze", *SAFETY_FAULTS, "azure_content_safety.api_version"
    ),
    "prompt shields": Service("/contentsafety/text:shieldPrompt", *SAFETY_FAULTS),
    "groundedness": Service("/contentsafety/text:detectGroundedness", *SAFETY_FAULTS),
}


@pytest.fixture
def azure_handlers() -> list[Handler]:
    openai = OpenAIService(token=token_for(COGNITIVE))
    return [openai, SearchService(), SafetyService(), IdentityService()]


@pytest.fixture
def site(
    root: Path,
    azure_server: AzureServer,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    for name, value in {**KEYS, **environment(azure_server.url)}.items():
        monkeypatch.setenv(name, value)
    point_all(root, azure_server)
    configure(root, "azure_config.azure_search.vectors", value=True)
    configure(root, "azure_config.adapters.embed", "azure_openai")
    return root


def examined(site: Path) -> Mapping[str, HealthCheck]:
    return {check.name: check for check in check_services(site, read_settings(site))}


def test_doctor_without_live_lets_nothing_leave_the_machine(
    site: Path, azure_server: AzureServer
) -> None:
    configure(site, "azure_config.adapters.secrets", "key_vault")
    configure(site, "azure_config.key_vault", {"url": azure_server.url})
    configure(site, "azure_config.authentication.method", "managed_identity")

    answer = liftwright(site, "doctor", "--json")

    assert answer.status == 0
    assert azure_server.requests == []
    names = {check["name"] for check in json.loads(answer.out)["checks"]}
    assert "configuration" in names
    assert not names & SERVICES.keys()


def test_doctor_live_says_connection_successful_for_each_service(
    site: Path, azure_server: AzureServer
) -> None:
    answer = liftwright(site, "doctor", "--live", "--json")

    found = json.loads(answer.out)
    assert answer.status == 0, found
    checks = {check["name"]: check["detail"] for check in found["checks"]}
    assert checks.keys() >= SERVICES.keys()
    assert {name for name in SERVICES if "Connection successful" not in checks[name]} == set()
    assert "liftwright index" in checks["search"]
    assert len(azure_server.requests) == 7, "the search is asked for its alias and its indexes"


def test_doctor_live_with_an_identity_tries_its_tokens_and_an_index(site: Path) -> None:
    configure(site, "azure_config.authentication.method", "managed_identity")
    assert liftwright(site, "index").status == 0

    found = examined(site)

    assert {name for name, check in found.items() if not check.ok} == set()
    for name in ("identity for Cognitive Services", "identity for Search"):
        assert found[name].detail.startswith("Connection successful: managed_identity")
    assert found["search"].ok


@pytest.mark.parametrize("status", [401, 403])
def test_doctor_live_refused_names_the_secret_and_the_role(
    site: Path, azure_server: AzureServer, status: int
) -> None:
    for service in SERVICES.values():
        azure_server.script(service.route, [Fault(kind="status", status=status)])

    answer = liftwright(site, "doctor", "--live", "--json")

    assert answer.status == 1
    checks = {check["name"]: check for check in json.loads(answer.out)["checks"]}
    for name, service in SERVICES.items():
        assert not checks[name]["ok"]
        repair = service.secret if status == 401 else service.role
        assert repair in checks[name]["detail"], checks[name]
    assert checks["content"]["ok"]


def test_doctor_live_of_what_is_not_there_or_retired_names_the_key(
    site: Path, azure_server: AzureServer
) -> None:
    gone = {name: one for name, one in SERVICES.items() if one.key_if_gone}
    for service in gone.values():
        azure_server.script(service.route, [Fault(kind="status", status=410)])
    found = examined(site)
    for name, service in gone.items():
        assert not found[name].ok
        assert str(service.key_if_gone) in found[name].detail


@pytest.mark.parametrize("kind", ["reset", "slow", "status"])
def test_doctor_live_out_of_reach_names_the_address_once_for_each_service(
    site: Path, azure_server: AzureServer, kind: Any
) -> None:
    for port in ("complete", "embed", "search", "screen") if kind == "slow" else ():
        configure(site, f"azure_config.calls.timeout_seconds.{port}", 0.3)
    for name, service in SERVICES.items():
        # The index is given longer than a query; a second of patience is enough to show it.
        if kind != "slow" or name != "search":
            seconds = 60.0 if kind == "slow" else 0.0
            status = 503 if kind == "status" else 0
            fault = Fault(kind=kind, status=status, seconds=seconds)
            azure_server.script(service.route, [fault])

    found = examined(site)

    for name in SERVICES.keys() - ({"search"} if kind == "slow" else set()):
        assert not found[name].ok, name
        assert SERVICES[name].endpoint in found[name].detail
        assert "calls.timeout_seconds." in found[name].detail
    assert len(azure_server.under("/openai/v1/responses")) <= 1, "a look is one attempt"


def test_doctor_live_without_a_key_goes_on_with_the_others(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AZURE_SEARCH_API_KEY")
    found = {check.name: check for check in Workspace(site).doctor(live=True)}
    assert "AZURE_SEARCH_API_KEY" in found["search"].detail
    assert not found["configuration"].ok
    assert found["writer"].ok
    assert found["screener"].ok


def test_doctor_live_with_a_vault_that_refuses_says_which_role(
    site: Path, azure_server: AzureServer
) -> None:
    configure(site, "azure_config.adapters.secrets", "key_vault")
    configure(site, "azure_config.key_vault", {"url": azure_server.url})
    configure(site, "azure_config.authentication.method", "managed_identity")
    azure_server.script("/secrets/", [Fault(kind="status", status=403)] * 2)
    found = examined(site)
    assert not found["secrets"].ok
    assert "Key Vault Secrets User" in found["secrets"].detail
    assert found["screener"].ok


def test_doctor_live_of_a_screener_that_blocks_the_harmless_is_a_fault(
    site: Path, azure_server: AzureServer
) -> None:
    safety = next(one for one in azure_server.handlers if isinstance(one, SafetyService))
    safety.spoil = lambda answer: (
        {
            **answer,
            "categoriesAnalysis": [{**one, "severity": 6} for one in answer["categoriesAnalysis"]],
        }
        if "categoriesAnalysis" in answer
        else answer
    )
    found = examined(site)
    assert not found["screener"].ok
