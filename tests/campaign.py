"""A small campaign for the acceptance tests: few documents, few customers, quick adapters.

Its data is cut from the sample brand; which adapters serve it and how they are called is its own.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from typing import TYPE_CHECKING

import duckdb

import stand_in
from acceptance_samples import timeless
from liftwright.campaign import RunRequest, Workspace, init_workspace
from liftwright.model.run_files import RunFolder, all_runs

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from liftwright.campaign import RunOutcome, StageProgress
    from liftwright.model import Run

SERVICES = """
adapters:
  screen: {screen}
calls:
  retries: 1
  backoff_seconds: 0.01
  concurrency: 3
  breaker: {{failures: 3, cool_down_seconds: 0.05, probes: 2}}
prices:
  served-model:
    input_usd_per_million: 2.0
    cached_input_usd_per_million: 1.0
    output_usd_per_million: 8.0
    as_of: 2026-11-01
engine_threads: 1
"""
CHANNELS = """
email:
  variant: {body_min_words: 30, body_max_words: 200}
  control: {body_min_words: 10, body_max_words: 200}
  footer: "{brand}"
"""
DOCUMENTS = (
    "how-tarnwick-began",
    "delivery-options",
    "returns-exchanges-refunds",
    "three-year-guarantee",
    "repair-workshop",
    "trail-club-membership",
    "guided-walks",
    "boot-care",
)
CUSTOMERS = 60
STAGES = (
    *("segment", "index", "retrieve", "generate", "ground"),
    *("screen", "assign", "observe", "measure", "report"),
)
# Stages of the run are compared by name and status, the rest of the record by these.
_RECORD = ("run_id", "status", "reason", "simulated", "measurements", "overrides", "metered_calls")


def lay_down(root: Path, *, screen: str = stand_in.NAME) -> Path:
    """A workspace with the small campaign; gives its folder."""
    init_workspace(root)
    (root / "config" / "azure_config.yaml").write_text(SERVICES.format(screen=screen))
    (root / "config" / "channels.yaml").write_text(CHANNELS)
    for file in (root / "data" / "content" / "approved_content").iterdir():
        if file.stem not in DOCUMENTS:
            file.unlink()
    customers = root / "data" / "raw" / "customers.csv"
    with customers.open(newline="") as file:
        rows = list(csv.reader(file))[: CUSTOMERS + 1]
    with customers.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return root


def copy(root: Path, to: Path) -> Path:
    """A workspace of its own with the same files, those of finished runs left out."""
    ignored = shutil.ignore_patterns("runs", "ledger.sqlite*", ".lock", "*.log", "screener.json")
    shutil.copytree(root, to, ignore=ignored)
    return to


def run(
    root: Path, *overrides: str, seen: list[StageProgress] | None = None, **asked: object
) -> RunOutcome:
    """Run the campaign in this process; `seen` takes what it tells of its stages."""
    request = RunRequest(overrides=overrides, **asked)  # type: ignore[arg-type] # by name
    return Workspace(root).run(request, notify=(lambda _: None) if seen is None else seen.append)


class _Stopped(BaseException):
    """Ends a run as the end of its process would."""


def stop_before(root: Path, stage: str, *overrides: str, **asked: object) -> Path:
    """Run the campaign up to a stage, and no further; gives the run's folder."""

    def notify(step: StageProgress) -> None:
        if (step.stage, step.state) == (stage, "started"):
            raise _Stopped

    request = RunRequest(overrides=overrides, **asked)  # type: ignore[arg-type] # by name
    try:
        Workspace(root).run(request, notify=notify)
    except _Stopped:
        return all_runs(root)[-1].path
    raise AssertionError(f"the run did not come to {stage}")


def record(folder: Path) -> Run:
    """The record of a run."""
    found = RunFolder(folder).record()
    assert found is not None
    return found


def states(steps: Iterable[StageProgress]) -> dict[str, str]:
    """For each stage how it ended: kept or done."""
    return {step.stage: step.state for step in steps if step.state in ("kept", "done")}


def result(folder: Path) -> dict[str, object]:
    """All that a run says, apart from when it was said and how long it took."""
    found: dict[str, object] = {}
    for file in sorted(folder.rglob("*")):
        name = str(file.relative_to(folder))
        if file.name == "run.json":
            found[name] = _record(json.loads(file.read_text()))
        elif file.name == "metrics.json":
            found[name] = _undated(timeless(json.loads(file.read_text())))
        elif file.suffix == ".json":
            found[name] = timeless(json.loads(file.read_text()))
        elif file.suffix == ".parquet":
            found[name] = rows(file)
        elif file.is_file():
            found[name] = "there"
    return found


def _record(run: dict[str, object]) -> dict[str, object]:
    stages, audit = run["stages"], run["audit"]
    assert isinstance(stages, list)
    assert isinstance(audit, dict)
    ended = {stage["name"]: (stage["status"], sorted(stage["outputs"])) for stage in stages}
    return {**{key: run[key] for key in _RECORD}, "stages": ended, "decided": audit["count"]}


def _undated(metrics: object) -> dict[str, object]:
    """The metrics with the events of all days as one, and without the check of each day's arms.

    The day of an event is the clock's: a simulated one follows its customer's assignment by a
    fixed time, so that of two runs a minute apart each may have it on another side of midnight.
    """
    assert isinstance(metrics, dict)
    events: Counter[tuple[str, str]] = Counter()
    for day in metrics["daily"]:
        for event in ("delivered", "opened", "clicked", "converted"):
            events[day["arm"], event] += day[event]
    return {**metrics, "daily": dict(events), "srm_over_time": None}


def rows(file: Path) -> list[tuple[object, ...]]:
    """The rows of a Parquet file, without their times, in a fixed order."""
    with duckdb.connect() as engine:
        relation = engine.read_parquet(str(file))
        names = [name for name in relation.columns if not name.endswith("_at")]
        return sorted(relation.select(*names).fetchall(), key=repr)


def audit_lines(root: Path) -> list[dict[str, str]]:
    """The records of the audit log."""
    with (root / "logs" / "safety_audit.log").open(newline="") as file:
        return list(csv.DictReader(file))


def events(root: Path, action: str) -> list[dict[str, object]]:
    """The context of each event of this name in the system log."""
    lines = (root / "logs" / "system.log").read_text().splitlines()
    return [line["context"] for text in lines if (line := json.loads(text))["action"] == action]
