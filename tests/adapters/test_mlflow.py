"""The tracker: what is recorded, once per run, in a real SQLite store and on a server."""

from __future__ import annotations

import importlib.util
import json
import os
from typing import TYPE_CHECKING

import pytest

from azure_server.faults import SERVER_WORDS, Fault
from azure_server.mlflow import MLflowService
from liftwright.adapters.mlflow import MLflow
from liftwright.adapters.mlflow.track import MLflowTrack
from liftwright.errors import ConfigurationError, ProviderUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from azure_server.server import AzureServer, Handler

TOKEN = "canary-token-40d2"  # noqa: S105 - of the tests' own server
ROW = {
    "segment": "all",
    "arm": "urgent",
    "metric": "open_rate",
    "treatment": 0.3,
    "control": 0.2,
    "difference": 0.1,
    "difference_ci": [0.01, 0.2],
    "lift": 0.5,
    "lift_ci": None,
    "p_value": 0.04,
    "p_adjusted": 0.08,
    "significant": False,
}
MEASURED = {
    "n": 40,
    "srm": {"p_value": 0.7, "ok": True},
    "arms": [
        {"arm": "control", "n": 20, "metrics": {"open_rate": {"kind": "binary", "value": 0.2}}},
        {
            "arm": "urgent",
            "n": 20,
            "metrics": {"open_rate": {"value": 0.3}, "revenue": {"value": None}},
        },
    ],
    "comparisons": [ROW, {**ROW, "segment": "Loyal", "lift": 9.0}, {**ROW, "metric": "revenue"}],
    "simulated": False,
}


@pytest.fixture
def service() -> MLflowService:
    return MLflowService(TOKEN)


@pytest.fixture
def azure_handlers(service: MLflowService) -> list[Handler]:
    return [service]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run-1"
    (folder / "report").mkdir(parents=True)
    write(folder, MEASURED)
    (folder / "run.json").write_text("{}")
    (folder / "report" / "experiment_report.pdf").write_bytes(b"%PDF-")
    return folder


def write(folder: Path, measured: Mapping[str, object]) -> None:
    (folder / "metrics.json").write_text(json.dumps(measured))


def record(**changes: object) -> dict[str, object]:
    return {
        "run_id": "run-1",
        "status": "complete",
        "fingerprint": "abc",
        "seed": 7,
        "simulated": False,
        "overrides": {"azure_config.budget_usd": 3.0},
        "inputs": {"customers": "d1"},
        "versions": {"liftwright": "0.1.0"},
        "valid_on": "2026-11-21",
        "measurements": 0,
        "totals": {"cost_usd": 0.25, "tokens": {"input": 400}, "rows": {"rejected": None}},
        **changes,
    }


def tracker(root: Path, uri: str, *, token: str | None = None, seconds: float = 20) -> MLflowTrack:
    return MLflowTrack(
        MLflow(tracking_uri=uri, timeout_seconds=seconds),
        root,
        experiment="spring",
        parameters={"arms": {"control": 0.25}, "adapters": {"complete": "azure_openai"}},
        token=token,
    )


def foreign_variables() -> dict[str, str]:
    marks = ("MLFLOW", "GIT_", "DO_NOT_TRACK")
    return {name: value for name, value in os.environ.items() if name.startswith(marks)}


def test_track_on_a_server_records_parameters_metrics_tags_and_files(
    service: MLflowService,
    azure_server: AzureServer,
    tmp_path: Path,
    folder: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    environment = foreign_variables()
    tracker(tmp_path, azure_server.url, token=TOKEN)(record(), folder)
    assert capfd.readouterr() == ("", "")
    (run,) = service.runs.values()
    assert (service.experiments, run.name, run.status) == ({"spring": "1"}, "run-1", "FINISHED")
    assert run.params == {
        "arms.control": "0.25",
        "adapters.complete": "azure_openai",
        "seed": "7",
        "fingerprint": "abc",
        "inputs.customers": "d1",
        "versions.liftwright": "0.1.0",
        "valid_on": "2026-11-21",
        "overrides": "azure_config.budget_usd",
    }
    assert run.metrics == {
        "totals/cost_usd": 0.25,
        "totals/tokens/input": 400,
        "n": 40,
        "srm/p_value": 0.7,
        "control/n": 20,
        "control/open_rate": 0.2,
        "urgent/n": 20,
        "urgent/open_rate": 0.3,
        **{
            f"urgent/{metric}.{name}": value
            for metric in ("open_rate", "revenue")
            for name, value in {
                "treatment": 0.3,
                "control": 0.2,
                "difference": 0.1,
                "difference_ci_low": 0.01,
                "difference_ci_high": 0.2,
                "lift": 0.5,
                "p_value": 0.04,
                "p_adjusted": 0.08,
                "significant": 0.0,
            }.items()
        },
    }
    assert {name: run.tags[f"liftwright.{name}"] for name in ("run_id", "status", "simulated")} == {
        "run_id": "run-1",
        "status": "complete",
        "simulated": "false",
    }
    assert run.files == {
        "run.json": b"{}",
        "metrics.json": (folder / "metrics.json").read_bytes(),
        "report/experiment_report.pdf": b"%PDF-",
    }
    assert foreign_variables() == environment


def test_track_again_brings_the_same_run_up_and_makes_no_other(
    service: MLflowService, azure_server: AzureServer, tmp_path: Path, folder: Path
) -> None:
    track = tracker(tmp_path, azure_server.url, token=TOKEN)
    track(record(status="waiting"), folder)
    (run,) = service.runs.values()
    assert run.status == "RUNNING"
    write(folder, {**MEASURED, "comparisons": [{**ROW, "lift": 0.75}], "n": 41})
    track(record(fingerprint="xyz", measurements=1), folder)
    track(record(run_id="run-2"), folder)
    assert [one.name for one in service.runs.values()] == ["run-1", "run-2"]
    assert (run.status, run.params["fingerprint"]) == ("FINISHED", "abc")
    assert run.tags["liftwright.now.fingerprint"] == "xyz"
    assert (run.metrics["n"], run.metrics["urgent/open_rate.lift"]) == (41, 0.75)
    gone = run.metrics["urgent/revenue.lift"]
    assert gone != gone  # noqa: PLR0124 - NaN alone is not itself


def test_track_of_a_simulated_experiment_marks_every_number_of_it(
    service: MLflowService, azure_server: AzureServer, tmp_path: Path, folder: Path
) -> None:
    write(folder, {**MEASURED, "simulated": True})
    track = tracker(tmp_path, azure_server.url, token=TOKEN)
    track(record(simulated=True), folder)
    (run,) = service.runs.values()
    marks = {name.partition("/")[0] for name in run.metrics}
    assert marks == {"simulated", "totals"}
    write(folder, MEASURED)
    track(record(), folder)
    assert (run.metrics["simulated/urgent/open_rate"], run.metrics["urgent/open_rate"]) == (
        0.3,
        0.3,
    )
    assert run.tags["liftwright.simulated"] == "false"


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="status", status=500),
        Fault(kind="slow", seconds=60),
        Fault(kind="reset"),
    ],
    ids=lambda fault: fault.kind,
)
def test_track_server_that_fails_is_asked_once_and_told_without_its_words(
    azure_server: AzureServer,
    tmp_path: Path,
    folder: Path,
    fault: Fault,
    capfd: pytest.CaptureFixture[str],
) -> None:
    azure_server.script("/api", [fault] * 20)
    seconds = 0.3 if fault.kind == "slow" else 60
    with pytest.raises(ProviderUnavailable, match="MLflow") as raised:
        tracker(tmp_path, azure_server.url, token=TOKEN, seconds=seconds)(record(), folder)
    assert len(azure_server.requests) == 1 or fault.kind == "slow"
    for words in (TOKEN, SERVER_WORDS, "localhost"):
        assert words not in str(raised.value)
    assert raised.value.__cause__ is None
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(
    importlib.util.find_spec("alembic") is None, reason="alembic and sqlalchemy are not installed"
)
def test_track_in_sqlite_keeps_one_run_and_its_files_beside_it(
    tmp_path: Path, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    track = tracker(tmp_path, "sqlite:///data/mlflow.db")
    track(record(), folder)
    write(folder, {**MEASURED, "n": 41, "comparisons": []})
    track(record(measurements=1), folder)
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{tmp_path}/data/mlflow.db"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.get_experiment_by_name("spring")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("run-1", "FINISHED")
    assert run.data.params["inputs.customers"] == "d1"
    assert run.data.metrics["urgent/open_rate"] == 0.3
    assert [point.value for point in client.get_metric_history(run.info.run_id, "n")] == [40, 41]
    lift = run.data.metrics["urgent/open_rate.lift"]
    assert lift != lift  # noqa: PLR0124 - NaN alone is not itself
    kept = tmp_path / "data" / "mlflow.artifacts" / run.info.run_id / "artifacts"
    assert {path.name for path in kept.rglob("*") if path.is_file()} == {
        *("run.json", "metrics.json", "experiment_report.pdf"),
    }
    assert "Traceback" not in capfd.readouterr().err


def test_track_in_a_file_that_cannot_be_written_is_told(tmp_path: Path, folder: Path) -> None:
    if importlib.util.find_spec("alembic") is None:
        with pytest.raises(ConfigurationError, match=r"liftwright\[mlops\]"):
            tracker(tmp_path, "sqlite:///data/mlflow.db")
        return
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(ProviderUnavailable, match="MLflow"):
        tracker(tmp_path, "sqlite:///data/mlflow.db")(record(), folder)


def test_check_asks_for_the_experiment_and_writes_nothing(
    tmp_path: Path, service: MLflowService, azure_server: AzureServer
) -> None:
    asked = tracker(tmp_path, azure_server.url, token=TOKEN)
    assert asked.check().startswith("MLflow (https)")
    assert (service.experiments, service.runs) == ({}, {})
