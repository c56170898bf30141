"""The contracts of `telemetry` and `track`, ports that must not disturb a run."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from azure_server.fixtures import served
from azure_server.mlflow import MLflowService
from azure_server.monitor import HEADER, KEY, CollectorService, MonitorService
from contracts.promises import in_threads
from liftwright.adapters.embedded import JsonTrack, NoTelemetry
from liftwright.adapters.mlflow import MLflow
from liftwright.adapters.mlflow.track import MLflowTrack
from liftwright.adapters.telemetry import AzureMonitor, Otlp
from liftwright.adapters.telemetry.exporters import azure_monitor_telemetry, otlp_telemetry
from liftwright.ports import Span

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from liftwright.ports import Telemetry, Track


TOKEN = "canary-token-77a1"  # noqa: S105 - of the tests' own server


def off() -> Iterator[Telemetry]:
    yield NoTelemetry()


def otlp() -> Iterator[Telemetry]:
    with served(CollectorService()) as server:
        headers = json.dumps({HEADER[0]: HEADER[1]})
        yield otlp_telemetry(Otlp(endpoint=server.url, flush_seconds=60), headers)


def azure_monitor() -> Iterator[Telemetry]:
    with served(MonitorService()) as server:
        connection = f"InstrumentationKey={KEY};IngestionEndpoint={server.url}/"
        yield azure_monitor_telemetry(AzureMonitor(flush_seconds=60), connection)


def as_json(_: Path) -> Iterator[Track]:
    yield JsonTrack()


def mlflow(folder: Path) -> Iterator[Track]:
    with served(MLflowService(TOKEN)) as server:
        yield MLflowTrack(
            MLflow(tracking_uri=server.url, timeout_seconds=20),
            folder,
            experiment="spring",
            parameters={"arms": {"control": 0.25}},
            token=TOKEN,
        )


TELEMETRY = {"off": off, "otlp": otlp, "azure_monitor": azure_monitor}
TRACKERS = {"json": as_json, "mlflow": mlflow}


@pytest.fixture(autouse=True)
def _same_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the variables that the adapters set."""
    for name in [name for name in os.environ if name.startswith("APPLICATIONINSIGHTS_")]:
        monkeypatch.delenv(name)


@pytest.fixture(params=TELEMETRY.values(), ids=TELEMETRY)
def telemetry(request: pytest.FixtureRequest) -> Iterator[Telemetry]:
    yield from request.param()


@pytest.fixture(params=TRACKERS.values(), ids=TRACKERS)
def track(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Track]:
    yield from request.param(tmp_path)


def test_telemetry_takes_spans_from_threads_and_is_closed_twice(telemetry: Telemetry) -> None:
    def record(one: Span) -> None:
        telemetry.start(one)
        one.end()
        telemetry.end(one)

    run = Span(name="run", fields={"stage": "segment", "seconds": 0.5, "many": True})
    spans = [Span(name="call", parent=run, fields={"number": number}) for number in range(40)]
    assert in_threads(record, [*spans, run]) == [None] * 41
    telemetry.close()
    telemetry.close()


def test_track_takes_a_finished_run_and_leaves_its_folder_alone(
    track: Track, tmp_path: Path
) -> None:
    run: dict[str, object] = {"run_id": "r1", "status": "complete", "totals": {"calls": 3}}
    folder = tmp_path / "r1"
    folder.mkdir()
    (folder / "run.json").write_text('{"run_id": "r1"}', encoding="utf-8")
    (folder / "metrics.json").write_text('{"n": 4}', encoding="utf-8")

    def contents() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    before, given = contents(), dict(run)
    for _ in range(2):  # a run is tracked again when it is measured again
        track(run, folder)
    assert contents() == before
    assert run == given
