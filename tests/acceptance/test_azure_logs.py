"""A whole run on Azure's adapters over TLS: its files, its logs, and no secret in any of them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

import metered_writer
from acceptance_samples import (
    configure,
    draft_for,
    liftwright,
    liftwright_process,
    log_lines,
    read_json,
    run_until,
)
from azure_campaign import KEYS, point_all
from azure_server.faults import Fault
from azure_server.identity import (
    COGNITIVE,
    PATH,
    SEARCH,
    EntraService,
    IdentityService,
    environment,
    principal,
    token_for,
)
from azure_server.identity import SECRET as IDENTITY_HEADER
from azure_server.openai import OpenAIService
from azure_server.safety import SafetyService
from azure_server.search import SearchService
from liftwright.adapters.embedded.sqlite import SqliteStore

if TYPE_CHECKING:
    from pathlib import Path

    from azure_server.server import AzureServer, Handler

CANARIES = (*KEYS.values(), token_for(COGNITIVE), token_for(SEARCH), IDENTITY_HEADER)


@pytest.fixture
def openai() -> OpenAIService:
    return OpenAIService(token=token_for(COGNITIVE))


@pytest.fixture
def safety() -> SafetyService:
    service = SafetyService()
    service.spoil = lambda answer: (
        {**answer, "ungroundedDetected": False} if "ungroundedDetected" in answer else answer
    )
    return service


@pytest.fixture
def azure_handlers(openai: OpenAIService, safety: SafetyService) -> list[Handler]:
    return [openai, SearchService(), safety, IdentityService(), EntraService()]


@pytest.fixture
def site(
    root: Path,
    azure_server: AzureServer,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A workspace whose every service is Azure's, with both switches on."""
    for name, value in {**KEYS, **environment(azure_server.url)}.items():
        monkeypatch.setenv(name, value)
    point_all(root, azure_server)
    configure(root, "azure_config.calls.timeout_seconds.screen", 10)
    configure(root, "azure_config.calls.timeout_seconds.search", 10)
    return root


def write_as_the_composer(site: Path, openai: OpenAIService) -> None:
    """Let the deployment say what the embedded writer says to the same passages."""
    configure(site, "azure_config.adapters.complete", "embedded")
    drafts = metered_writer.drafts_of(run_until(site, "ground", run_id="composed"))
    configure(site, "azure_config.adapters.complete", "azure_openai")

    def write(prompt: str) -> str:
        subject, body = draft_for(prompt, drafts) or ("", "")
        return json.dumps({"subject": subject, "body": body})

    openai.write = write


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def said_by(root: Path) -> str:
    """All that the workspace's files hold, the ledger and the reports among them."""
    return "".join(
        path.read_bytes().decode("utf-8", "replace") for path in root.rglob("*") if path.is_file()
    )


# ── What the logs tell ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["api_key", "managed_identity"])
def test_run_tells_of_each_request_that_was_received_and_shows_no_secret(
    site: Path, complete: Path, azure_server: AzureServer, openai: OpenAIService, method: str
) -> None:
    configure(site, "azure_config.authentication.method", method)
    write_as_the_composer(site, openai)
    azure_server.script("/openai/", [None, Fault(kind="reset"), Fault(kind="status", status=429)])
    azure_server.script("/contentsafety/", [None, Fault(kind="status", status=503)])

    shown = ""
    if method == "api_key":
        answer = liftwright(site, "run", "--run-id", "azure")
        assert answer.status == 0, answer.err
        shown = answer.out + answer.err
        folder = site / "data/runs/azure"
        written, embedded = files_in(folder), files_in(complete / "data/runs/first")
        assert written == {*embedded, "opinions.json"}
        # Each reply that was paid for is remembered, so that a second run asks for nothing.
        with closing(SqliteStore(site / "data/ledger.sqlite")) as store:
            rows = [row for row in store.rows() if row.get("run_id") == "azure"]
        done = [row for row in rows if row["status"] == "done"]
        assert len(done) == read_json(folder / "run.json")["metered_calls"] > 0
        asked = len(azure_server.requests)
        assert liftwright(site, "run", "--run-id", "azure").status == 0
        assert len(azure_server.requests) == asked
        assert liftwright(site, "verify", "azure").status == 0
    else:
        run_until(site, "screen", run_id="azure")

    calls = [e for e in log_lines(site) if e["action"] == "azure_call"]
    told = Counter((e["context"]["method"], e["context"]["route"]) for e in calls)
    received = Counter((r.method, r.path) for r in azure_server.requests)
    assert told == received
    assert {e["context"]["service"] for e in calls} == {
        *("openai", "search", "content_safety"),
        *(("identity",) if method == "managed_identity" else ()),
    }
    hashes = Counter(e["context"]["request_sha256"] for e in calls if e["context"]["request_bytes"])
    sent = Counter(hashlib.sha256(r.body).hexdigest() for r in azure_server.requests if r.body)
    assert hashes == sent
    failed = [
        e["context"] for e in calls if e["level"] == "warning" and e["context"]["route"] != PATH
    ]
    statuses = Counter(one["status"] for one in failed)
    assert (statuses[429], statuses[503]) == (1, 1)
    assert [one["error"] for one in failed if one["status"] is None] != [], "the reset connection"
    said = said_by(site) + shown
    assert [secret for secret in CANARIES if secret in said] == []


def test_run_begins_with_sizes_configuration_and_endpoints(
    site: Path, azure_server: AzureServer
) -> None:
    run_until(site, "segment", run_id="azure")

    first, *_ = log_lines(site)
    assert first["action"] == "run_started"
    context = first["context"]
    assert (context["customers"], context["documents"]) == (60, 10)
    assert context["configuration"]["seed"] == 7
    assert context["endpoints"] == dict.fromkeys(
        ("azure_openai", "azure_search", "azure_content_safety"), azure_server.url
    )


# ── What nobody may read ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("route", "status", "method"),
    [("/openai/", 401, "api_key"), ("/indexes", 403, "managed_identity")],
)
def test_run_refused_by_a_service_that_repeats_the_key_shows_it_nowhere(
    site: Path, azure_server: AzureServer, route: str, status: int, method: str
) -> None:
    configure(site, "azure_config.authentication.method", method)
    echo = f"Access denied due to invalid subscription key: {' '.join(CANARIES)}"
    error = {"error": {"code": str(status), "message": echo, "innererror": {"message": echo}}}
    azure_server.script(route, [Fault(kind="status", status=status, body=error)] * 200)

    answer = liftwright(site, "run", "--run-id", "azure")

    assert answer.status == 3
    said = said_by(site) + answer.out + answer.err
    assert [secret for secret in CANARIES if secret in said] == []
    faults = [e for e in log_lines(site) if e["context"].get("stack")]
    assert faults, "the traceback was told, without the secret"
    assert read_json(site / "data/runs/azure/run.json")["status"] == "unfinished"


@pytest.mark.parametrize("method", ["api_key", "default"])
def test_doctor_on_services_that_repeat_what_they_are_sent_shows_it_in_no_stream(
    site: Path, azure_server: AzureServer, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(site, "azure_config.authentication.method", method)
    canaries = (*CANARIES, "CANARY-wrong", "SERVER WORDS")
    for name, value in principal(azure_server.url, "CANARY-wrong").items():
        monkeypatch.setenv(name, value)
    error = {"error": {"code": "401", "message": f"denied: {' '.join(canaries)}"}}
    for route in ("/openai/", "/indexes", "/contentsafety/"):
        azure_server.script(route, [Fault(kind="status", status=401, body=error)] * 20)

    # In a process of its own, where no test's handler takes the vendors' log records.
    answer = liftwright_process(site, "doctor", "--live")

    assert answer.status == 1
    assert answer.err == ""
    said = said_by(site) + answer.out
    assert [secret for secret in canaries if secret in said] == []
    told = "AADSTS7000215" if method == "default" else "answered 401"
    assert told in " ".join(answer.out.replace("│", " ").split())
