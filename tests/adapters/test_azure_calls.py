from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from liftwright.adapters.azure.request_log import IDENTITY, log_request
from liftwright.log import Log, logging_to

if TYPE_CHECKING:
    from pathlib import Path

URL = "https://name.search.windows.net/indexes('a')/docs?api-version=2026-04-01&sig=CANARY"


def logged(folder: Path) -> dict[str, Any]:
    (line,) = (folder / "system.log").read_text().splitlines()
    assert "CANARY" not in line
    record: dict[str, Any] = json.loads(line)
    assert record["action"] == "azure_call"
    return record


def test_recording_tells_route_hash_size_and_status_and_no_text(tmp_path: Path) -> None:
    body = "CANARY ümlaut"
    with logging_to(Log(tmp_path)), log_request("search", "POST", URL, body) as sent:
        sent.status = 200
    record = logged(tmp_path)
    found = record["context"]
    assert record["level"] == "info"
    assert found.pop("latency_ms") >= 0
    assert found == {
        "service": "search",
        "method": "POST",
        "host": "name.search.windows.net",
        "route": "/indexes('a')/docs",
        "api_version": "2026-04-01",
        "request_sha256": hashlib.sha256(body.encode()).hexdigest(),
        "request_bytes": len(body.encode()),
        "status": 200,
        "error": None,
    }


def test_recording_of_an_error_tells_its_type_alone(tmp_path: Path) -> None:
    body = "client_secret=CANARY"
    contexts = logging_to(Log(tmp_path)), pytest.raises(ValueError, match="CANARY")
    with contexts[0], contexts[1], log_request(IDENTITY, "POST", URL, body):
        raise ValueError("CANARY")
    record = logged(tmp_path)
    assert record["level"] == "warning"
    found = {name: record["context"][name] for name in ("error", "status", "request_sha256")}
    assert found == {"error": "ValueError", "status": None, "request_sha256": None}
