"""An MLflow tracking server: experiments, runs and their artifacts."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from azure_server.server import InvalidRequest, Recorded, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_API = "/api/2.0/mlflow/"
_FILES = "/api/2.0/mlflow-artifacts/artifacts/"
_MINE = re.compile(r"tags\.`([\w.]+)` = '([\w.-]+)'")
_NAME = re.compile(r"[\w .\-/]{1,250}")
_MOST = {"metrics": 1000, "params": 100, "tags": 100}


@dataclass(slots=True)
class TrackedRun:
    """A run on the server."""

    run_id: str
    experiment: str
    name: str
    status: str = "RUNNING"
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def json(self) -> dict[str, Any]:
        """The run in the REST API's form."""

        def pairs(values: Mapping[str, object], **more: int) -> list[dict[str, object]]:
            # Protocol Buffers write NaN as text.
            return [
                {"key": key, "value": "NaN" if value != value else value, **more}  # noqa: PLR0124
                for key, value in values.items()
            ]

        return {
            "info": {
                "run_id": self.run_id,
                "run_uuid": self.run_id,
                "experiment_id": self.experiment,
                "run_name": self.name,
                "status": self.status,
                "start_time": 1,
                "artifact_uri": f"mlflow-artifacts:/{self.experiment}/{self.run_id}/artifacts",
                "lifecycle_stage": "active",
            },
            "data": {
                "params": pairs(self.params),
                "metrics": pairs(self.metrics, timestamp=1, step=0),
                "tags": pairs(self.tags),
            },
        }


class MLflowService:
    """A tracking server.

    Attributes:
        runs: by id, in the order in which they were created.
        experiments: ids by name.
    """

    prefix = "/api/2.0/mlflow"

    def __init__(self, token: str) -> None:
        self._token = token
        self.runs: dict[str, TrackedRun] = {}
        self.experiments: dict[str, str] = {}
        self._answers: dict[tuple[str, str], Callable[[dict[str, Any]], Reply]] = {
            ("GET", "experiments/get-by-name"): self._experiment,
            ("POST", "experiments/create"): self._create_experiment,
            ("POST", "runs/search"): self._search,
            ("POST", "runs/create"): self._create,
            ("GET", "runs/get"): lambda asked: Reply(json={"run": self._run(asked).json}),
            ("POST", "runs/log-batch"): self._log,
            ("POST", "runs/update"): self._update,
        }

    def handle(self, request: Recorded) -> Reply:
        """Answer an API call or store an artifact."""
        if request.headers.get("authorization") != f"Bearer {self._token}":
            return Reply(status=401, json={"error_code": "UNAUTHENTICATED", "message": "no"})
        if request.path.startswith(_FILES):
            return self._take_file(request)
        answer = self._answers.get((request.method, request.path.removeprefix(_API)))
        if answer is None:
            raise InvalidRequest("no such call")
        asked = request.query if request.method == "GET" else request.json
        if not isinstance(asked, dict):
            raise InvalidRequest("the body is no JSON object")
        return answer(asked)

    def _experiment(self, asked: dict[str, Any]) -> Reply:
        name = asked["experiment_name"]
        if name not in self.experiments:
            return _error(404, "RESOURCE_DOES_NOT_EXIST")
        found = {"experiment_id": self.experiments[name], "name": name}
        return Reply(json={"experiment": {**found, "lifecycle_stage": "active"}})

    def _create_experiment(self, asked: dict[str, Any]) -> Reply:
        if asked["name"] in self.experiments:
            return _error(400, "RESOURCE_ALREADY_EXISTS")
        self.experiments[asked["name"]] = str(len(self.experiments) + 1)
        return Reply(json={"experiment_id": self.experiments[asked["name"]]})

    def _search(self, asked: dict[str, Any]) -> Reply:
        wanted = _MINE.fullmatch(asked["filter"])
        if wanted is None:
            raise InvalidRequest(f"filter {asked['filter']!r}")
        found = [
            run.json
            for run in self.runs.values()
            if run.experiment in asked["experiment_ids"] and run.tags.get(wanted[1]) == wanted[2]
        ]
        return Reply(json={"runs": found[: int(asked["max_results"])]})

    def _create(self, asked: dict[str, Any]) -> Reply:
        if asked["experiment_id"] not in self.experiments.values():
            return _error(404, "RESOURCE_DOES_NOT_EXIST")
        run = TrackedRun(uuid.uuid4().hex, asked["experiment_id"], asked["run_name"])
        run.tags.update(_pairs(asked, "tags"))
        self.runs[run.run_id] = run
        return Reply(json={"run": run.json})

    def _log(self, asked: dict[str, Any]) -> Reply:
        run = self._run(asked)
        for name, value in _pairs(asked, "params").items():
            if len(value) > 500:
                raise InvalidRequest(f"parameter {name} is too long")
            if run.params.setdefault(name, value) != value:
                return _error(400, "INVALID_PARAMETER_VALUE")
        run.metrics.update({name: float(v) for name, v in _pairs(asked, "metrics").items()})
        run.tags.update(_pairs(asked, "tags"))
        return Reply(json={})

    def _update(self, asked: dict[str, Any]) -> Reply:
        run = self._run(asked)
        if asked["status"] not in {"RUNNING", "FINISHED", "FAILED", "KILLED"}:
            raise InvalidRequest(f"status {asked['status']!r}")
        run.status = asked["status"]
        return Reply(json={"run_info": run.json["info"]})

    def _take_file(self, request: Recorded) -> Reply:
        _, run_id, place, name = request.path.removeprefix(_FILES).split("/", 3)
        run = self.runs.get(run_id)
        if run is None or (request.method, place) != ("PUT", "artifacts"):
            raise InvalidRequest("only files of a run are taken")
        run.files[name] = request.body
        return Reply(json={})

    def _run(self, asked: dict[str, Any]) -> TrackedRun:
        try:
            return self.runs[asked["run_id"]]
        except KeyError:
            raise InvalidRequest("no such run") from None


def _pairs(asked: dict[str, Any], kind: str) -> dict[str, Any]:
    found = {pair["key"]: pair["value"] for pair in asked.get(kind, ())}
    if len(found) > _MOST[kind] or not all(map(_NAME.fullmatch, found)):
        raise InvalidRequest(f"{kind}: too many or with a name that is not allowed")
    return found


def _error(status: int, code: str) -> Reply:
    return Reply(status=status, json={"error_code": code, "message": "SERVER WORDS"})
