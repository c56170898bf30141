"""Runs in MLflow: a local SQLite file, a server, or Azure Machine Learning."""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from liftwright.adapters.azure.errors import not_installed
from liftwright.adapters.mlflow.values import TAG, metrics_of, parameters_of, tags_of
from liftwright.errors import ProviderUnavailable
from liftwright.log import event, silence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mlflow.entities import Run as TrackedRun
    from mlflow.tracking import MlflowClient

    from liftwright.adapters.mlflow import MLflow

_SQLITE = "sqlite:///"
_ARTIFACTS = (
    ("run.json", ""),
    ("metrics.json", ""),
    ("report/experiment_report.pdf", "report"),
    ("report/experiment_report.ipynb", "report"),
)
_STATUSES = {"complete": "FINISHED", "no_experiment": "FINISHED", "waiting": "RUNNING"}
_NEEDED = {
    "sqlite": ("mlflow-skinny", "sqlalchemy", "alembic"),
    "azureml": ("mlflow-skinny", "azureml-mlflow"),
}
_MAX_METRICS, _MAX_PARAMETERS = 1000, 100


class MLflowTrack:
    """The port `track`: one MLflow run per run of ours, identified by a tag.

    Args:
        config: the tracker.
        root: the workspace; the path of SQLite's file is relative to it.
        experiment: the name of the MLflow experiment.
        parameters: the configuration's parameters of every run: adapters, arms.
        token: a server's token.

    Raises:
        ConfigurationError: a package that the tracker needs is not installed.
    """

    def __init__(
        self,
        config: MLflow,
        root: Path,
        *,
        experiment: str,
        parameters: Mapping[str, object],
        token: str | None,
    ) -> None:
        self._scheme = config.tracking_uri.partition(":")[0]
        for package in _NEEDED.get(self._scheme, ("mlflow-skinny",)):
            try:
                version(package)
            except PackageNotFoundError as error:
                raise not_installed("adapters.track mlflow", package, "mlops") from error
        self._uri, self._artifacts = config.tracking_uri, None
        if self._scheme == "sqlite":
            file = root.resolve() / config.tracking_uri.removeprefix(_SQLITE)
            self._uri = f"{_SQLITE}{file}"
            self._artifacts = file.with_suffix(".artifacts")
        self._experiment = experiment
        self._parameters = parameters
        self._variables = {
            # Turns off the package's own telemetry; must be set before the import.
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
            "MLFLOW_CONFIGURE_LOGGING": "false",
            # Standard output is for the command's result.
            "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
            "GIT_PYTHON_REFRESH": "quiet",
            # A tracker that is down must not delay the end of a run.
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
            "MLFLOW_HTTP_REQUEST_TIMEOUT": str(round(config.timeout_seconds) or 1),
        }
        if token is not None:
            self._variables["MLFLOW_TRACKING_TOKEN"] = token

    def __call__(self, run: Mapping[str, object], folder: Path, /) -> None:
        """Record the run with its parameters, metrics and files, or update an earlier record.

        Raises:
            ProviderUnavailable: the tracker cannot be reached or refuses the run.
        """
        with self._translated_errors("accept the run"):
            tracked_id = self._record(run, folder)
        event("run_tracked", agent="tracking", tracker=self._scheme, tracked_run=tracked_id)

    def check(self) -> str:
        """Look up the experiment, which need not exist; no run is written.

        Raises:
            ProviderUnavailable: the tracker cannot be reached or refuses.
        """
        with self._translated_errors("answer"):
            from mlflow.tracking import MlflowClient

            if self._artifacts is not None:
                self._artifacts.parent.mkdir(parents=True, exist_ok=True)
            client = MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
            exists = client.get_experiment_by_name(self._experiment) is not None
        state = "exists" if exists else "does not exist yet"
        return f"MLflow ({self._scheme}); the experiment {state}"

    @contextlib.contextmanager
    def _translated_errors(self, operation: str) -> Iterator[None]:
        """Within the block, MLflow reads only our configuration, and its errors become ours."""
        # Without the cause: the packages' errors may contain an address with credentials.
        try:
            with _environment(self._variables), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                silence("mlflow", "alembic", "sqlalchemy", "azureml", "azure")
                yield
        except Exception as error:  # noqa: BLE001 - whatever MLflow, its stores and plugins raise
            code = getattr(error, "error_code", None)
            raise ProviderUnavailable(
                f"MLflow ({self._scheme}) did not {operation}: {type(error).__name__}"
                f"{f' ({code})' if code else ''}; check mlflow.tracking_uri and its access"
            ) from None

    def _record(self, run: Mapping[str, object], folder: Path) -> str:
        from mlflow.entities import Param, RunTag
        from mlflow.tracking import MlflowClient

        if self._artifacts is not None:
            self._artifacts.parent.mkdir(parents=True, exist_ok=True)
        client = MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
        tracked = self._find(client, str(run["run_id"]))
        tracked_id = tracked.info.run_id
        # Parameters can be written only once; later changes become tags.
        wanted = parameters_of(run, self._parameters)
        known = tracked.data.params
        changed = {
            f"{TAG}now.{name}": value
            for name, value in wanted.items()
            if known.get(name, value) != value
        }
        fresh = [name for name in wanted if name not in known][:_MAX_PARAMETERS]
        client.log_batch(
            tracked_id,
            params=[Param(name, wanted[name]) for name in fresh],  # type: ignore[no-untyped-call] # the package's
            tags=[RunTag(name, value) for name, value in (tags_of(run) | changed).items()],  # type: ignore[no-untyped-call] # the package's
        )
        _log_metrics(client, tracked, run, folder)
        for name, artifact_path in _ARTIFACTS:
            if (folder / name).is_file():
                client.log_artifact(tracked_id, str(folder / name), artifact_path or None)
        status = _STATUSES.get(str(run["status"]), "FAILED")
        if status == "RUNNING":
            client.update_run(tracked_id, status)
        else:
            client.set_terminated(tracked_id, status)
        return str(tracked_id)

    def _find(self, client: MlflowClient, run_id: str) -> TrackedRun:
        """Our run in MLflow, created if it does not exist."""
        experiment = client.get_experiment_by_name(self._experiment)
        if experiment is None:
            location = self._artifacts.as_uri() if self._artifacts else None
            experiment_id = client.create_experiment(self._experiment, location)
        else:
            experiment_id = experiment.experiment_id
        # Run ids have only letters, digits, '.', '_' and '-', so nothing needs quoting.
        by_tag = f"tags.`{TAG}run_id` = '{run_id}'"
        for run in client.search_runs([experiment_id], filter_string=by_tag, max_results=1):
            return run
        return client.create_run(experiment_id, tags={f"{TAG}run_id": run_id}, run_name=run_id)


def _log_metrics(
    client: MlflowClient, tracked: TrackedRun, run: Mapping[str, object], folder: Path
) -> None:
    from mlflow.entities import Metric

    values = metrics_of(run, folder, before=tracked.data.metrics)
    now, step = time.time_ns() // 1_000_000, int(str(run.get("measurements", 0)))
    metrics = [Metric(name, value, now, step) for name, value in values.items()]
    for first in range(0, len(metrics), _MAX_METRICS):
        client.log_batch(tracked.info.run_id, metrics=metrics[first : first + _MAX_METRICS])


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set these variables within the block, as MLflow reads its configuration from them."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
