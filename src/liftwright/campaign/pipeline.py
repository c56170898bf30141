"""The pipeline: the stages in order, the inputs of each, and how they are run.

    customers ─segment─► segmented ─────────────────────────────────────────────────┐
    content ─index─► index ─retrieve─► passages ─generate─► variants ─ground─► claims
                                                            variants ─screen─► decisions
    segmented + decisions ─assign─► assignments ─observe─► engagement ─measure─► metrics ─report

Each stage reads files of earlier stages, calls one agent, and writes its own files. Its key covers
everything that affects its outcome: the files it reads, its settings, adapters and checks, and the
code. If the key is equal and the files are unchanged, the stage is kept; there is no other resume
code. To add a stage, write a function in `stages/` and an entry in the table below.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from liftwright.campaign.stages.experiment import (
    assign_arms,
    measure_lift,
    observe,
    report,
    segment,
)
from liftwright.campaign.stages.export import EXPORT_RECORD, TABLE_FILES, export
from liftwright.campaign.stages.late_arrivals import assign_late_arrivals, segment_late_arrivals
from liftwright.campaign.stages.messages import (
    generate,
    ground,
    index,
    index_exists,
    retrieve,
    screen,
)
from liftwright.errors import InputError, hide_secrets
from liftwright.log import event, log_context
from liftwright.model import StageRun, fingerprint, to_json, utc_now
from liftwright.model.checks import DRAFTING, SAFETY, in_stage
from liftwright.tracing import span

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from liftwright.campaign.context import RunContext
    from liftwright.config import Settings
    from liftwright.model import Json

DONE, UNFINISHED = "done", "unfinished"
_FILE_OF = {
    "services": "azure_config.yaml",
    "experiment": "experiment_config.yaml",
    "customers": "customers.yaml",
    "engagement_format": "engagement.yaml",
    "safety": "safety_thresholds.yaml",
    "segments": "segments.yaml",
    "channel": "channels.yaml",
    "prompts": "prompts",
    "frames": "frames",
}
_MAX_SHOWN = 40
_WHOLE_READ_BYTES = 64 * 2**20
_NOT_IN_RESULTS = ("cli", "api")
_ENGINES = ("duckdb", "sqlglot", "numpy", "scipy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of a run.

    Attributes:
        run: the stage's function; it returns a summary for people.
        reads: the files of earlier stages that it depends on.
        writes: its files, each written atomically.
        inputs: the inputs of the run that it depends on: customers, content, engagement.
        settings: the settings that it depends on, as attribute paths of `Settings`.
        ports: the ports that it depends on.
        checks: the stage of the checks that it runs; empty if none.
        intact: whether its results outside the run's folder still exist, if a later stage needs
            them; None if there are none.
    """

    name: str
    run: Callable[[RunContext], str]
    writes: tuple[str, ...]
    reads: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    settings: tuple[str, ...] | Callable[[RunContext], tuple[str, ...]] = ()
    ports: tuple[str, ...] = ()
    checks: str = ""
    intact: Callable[[RunContext], bool] | None = None


# ── The stages ─────────────────────────────────────────────────────────────────────────────────

_RETRIEVE = Stage(
    name="retrieve",
    run=retrieve,
    reads=("segments.json", "index.json"),
    inputs=("content",),
    writes=("passages.json",),
    settings=("experiment.retrieval",),
    ports=("index", "search", "embed"),
)

STAGES = (
    Stage(
        name="segment",
        run=segment,
        inputs=("customers",),
        writes=("segmented.parquet", "segments.json", "rejected.parquet", "customers.json"),
        settings=("services.adapters.engine", "customers", "segments", "experiment.seed"),
    ),
    Stage(
        name="index",
        run=index,
        inputs=("content", "valid_documents"),
        writes=("index.json",),
        settings=("experiment.content",),
        ports=("index", "embed", "shield"),
        # `index --remove-old` may have deleted the index; only `retrieve` needs it.
        intact=lambda context: (
            is_kept(_RETRIEVE, context, stage_key(_RETRIEVE, context)) or index_exists(context)
        ),
    ),
    _RETRIEVE,
    Stage(
        name="generate",
        run=generate,
        reads=("segments.json", "passages.json"),
        writes=("variants.json", "channel.json", "failures.json"),
        settings=(
            *("experiment.brand", "experiment.tones", "experiment.generation"),
            *("experiment.grounding", "experiment.channel", "channel", "prompts", "frames"),
        ),
        ports=("complete", "embed"),
        checks=DRAFTING,
    ),
    Stage(
        name="ground",
        run=ground,
        reads=("variants.json",),
        writes=("claims.json",),
        settings=("experiment.grounding", "experiment.brand", "frames"),
        ports=("embed",),
    ),
    Stage(
        name="screen",
        run=screen,
        reads=("variants.json", "claims.json", "approvals.json"),
        writes=("decisions.json", "opinions.json"),
        settings=("safety", "experiment.approval"),
        ports=("screen", "judge"),
        checks=SAFETY,
    ),
    Stage(
        name="assign",
        run=assign_arms,
        reads=("segmented.parquet", "segments.json", "variants.json", "decisions.json"),
        inputs=("customers",),
        writes=(
            *("arms.json", "assignments.parquet", "unassigned.parquet", "history.parquet"),
            "plan.json",
        ),
        settings=(
            *("services.adapters.engine", "customers", "experiment.name", "experiment.tones"),
            *("experiment.shares", "experiment.holdout", "experiment.exclusions"),
            *("experiment.analysis", "experiment.simulation"),
        ),
    ),
    Stage(
        name="observe",
        run=observe,
        reads=("assignments.parquet",),
        inputs=("engagement",),
        writes=("engagement.parquet", "engagement.json"),
        # The settings of the simulator.
        settings=lambda context: (
            ("experiment.engagement", "engagement_format")
            if context.engagement
            else ("customers", "experiment.simulation", "experiment.seed", "experiment.name")
        ),
    ),
    Stage(
        name="measure",
        run=measure_lift,
        reads=(
            *("engagement.parquet", "engagement.json", "history.parquet", "arms.json"),
            "plan.json",
        ),
        writes=("metrics.json",),
        settings=("experiment.analysis",),
    ),
    Stage(
        name="report",
        run=report,
        reads=(
            *("segments.json", "passages.json", "variants.json", "failures.json", "claims.json"),
            *("decisions.json", "arms.json", "engagement.json", "metrics.json"),
        ),
        writes=("report/experiment_report.ipynb", "report/experiment_report.pdf"),
    ),
)


MEASUREMENT_STAGES = tuple(
    stage for stage in STAGES if stage.name in ("observe", "measure", "report")
)
"""The stages that measure a finished run again."""

LATE_ARRIVAL_STAGES = (
    Stage(
        name="segment",
        run=segment_late_arrivals,
        inputs=("customers", "extends"),
        writes=("segmented.parquet", "segments.json", "rejected.parquet", "customers.json"),
        settings=("services.adapters.engine", "customers"),
    ),
    Stage(
        name="assign",
        run=assign_late_arrivals,
        reads=("segmented.parquet", "variants.json", "decisions.json"),
        inputs=("customers", "extends"),
        writes=("arms.json", "assignments.parquet", "unassigned.parquet", "history.parquet"),
        settings=(
            *("services.adapters.engine", "customers"),
            *("experiment.holdout", "experiment.exclusions"),
        ),
    ),
    *MEASUREMENT_STAGES,
)
"""The stages of a run of late arrivals, which reuses the messages of the extended run."""

_EXPORT = Stage(
    name="export",
    run=export,
    reads=TABLE_FILES,
    writes=(EXPORT_RECORD,),
    settings=("services.object_stores.export_to",),
)


def stages_of(extends: str | None) -> tuple[Stage, ...]:
    """The stages of a run, or of a run that extends another one to late arrivals."""
    return LATE_ARRIVAL_STAGES if extends else STAGES


def export_stages(context: RunContext) -> tuple[Stage, ...]:
    """The stage that copies the tables to an object store; empty if not configured."""
    return (_EXPORT,) if context.settings.services.object_stores.export_to is not None else ()


# ── Running them ───────────────────────────────────────────────────────────────────────────────


def fingerprint_parts(stages: Sequence[Stage], context: RunContext) -> dict[str, Json]:
    """Everything that affects the outcome of stages, by name: inputs, settings, adapters, code.

    This is the single definition of when two runs are the same: it determines the keys of stages,
    the default id of a run, and whether a finished run matches a request.
    """
    parts: dict[str, Json] = {"code": code_fingerprint(), "versions": to_json(versions())}
    for stage in stages:
        settings = stage.settings(context) if callable(stage.settings) else stage.settings
        parts |= {name: context.inputs.get(name) for name in stage.inputs}
        parts |= dict(_setting(context.settings, path) for path in settings)
        parts |= {f"{port} adapter": to_json(context.identity(port)) for port in stage.ports}
        checks = in_stage(context.checks, stage.checks)
        parts |= {f"check {check.name}": check.digest for check in checks}
    # run.json records them.
    return {name: _without_secrets(value) for name, value in parts.items()}


def _without_secrets(value: Json) -> Json:
    """A value with each text that contains a secret replaced by its digest."""
    if isinstance(value, dict):
        return {key: _without_secrets(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    is_secret = isinstance(value, str) and hide_secrets(value) != value
    return fingerprint(value) if is_secret else value


def stage_key(stage: Stage, context: RunContext) -> str:
    """SHA-256 of everything that affects a stage's outcome: its parts and the files it reads."""
    written = {name: digest for s in context.run.stages for name, digest in s.outputs.items()}
    read = {
        name: written.get(name) or digest_file(context.folder.file(name))
        for name in stage.reads
        if name in written or context.folder.file(name).exists()
    }
    return fingerprint(stage.name, fingerprint_parts((stage,), context), read)


def _setting(settings: Settings, path: str) -> tuple[str, Json]:
    """The file and key of a setting, and its value as JSON."""
    from pydantic_core import to_jsonable_python

    group, *keys = path.split(".")
    value: object = settings
    for attribute in (group, *keys):
        value = getattr(value, attribute)
    file = _FILE_OF[group]
    name = f"{file}: {'.'.join(keys)}" if keys else file
    return name, _brief(_without_paths(to_jsonable_python(value)))


def _without_paths(value: Json) -> Json:
    """Settings without paths: the content of files is digested as an input."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if k != "path" or isinstance(v, dict)}
        return {key: _without_paths(item) for key, item in kept.items()}
    return [_without_paths(item) for item in value] if isinstance(value, list) else value


def _brief(value: Json) -> Json:
    """A value with lists and long texts replaced by their digests."""
    if isinstance(value, dict):
        return {key: _brief(item) for key, item in value.items()}
    is_short = not isinstance(value, list) and len(str(value)) <= _MAX_SHOWN
    return value if is_short else fingerprint(value)


def is_kept(stage: Stage, context: RunContext, key: str) -> bool:
    """Whether the stage ran with this key, and its files still exist and are unchanged."""
    previous = next((s for s in context.run.stages if s.name == stage.name), None)
    if previous is None or previous.status != DONE or previous.key != key:
        return False
    return all(
        context.folder.file(name).exists() and digest_file(context.folder.file(name)) == digest
        for name, digest in previous.outputs.items()
    )


def run_stages(stages: Sequence[Stage], context: RunContext) -> None:
    """Run the stages in order, keeping those that are up to date."""
    try:
        for stage in stages:
            key = stage_key(stage, context)
            with log_context(stage=stage.name), span("stage", stage=stage.name) as recorded:
                if is_kept(stage, context, key) and (stage.intact is None or stage.intact(context)):
                    recorded.set(outcome="kept")
                    event("stage_kept", agent="pipeline")
                    context.report_stage(stage.name, "kept")
                    continue
                started = time.perf_counter()
                event("stage_started", agent="pipeline")
                context.report_stage(stage.name, "started")
                note = stage.run(context)
                if context.ledger_used:
                    context.ledger.check_budget()
                context.calls.check_services()
                seconds = round(time.perf_counter() - started, 3)
                _record_stage(stage, context, key, seconds)
                event("stage_finished", agent="pipeline", seconds=seconds)
                context.report_stage(stage.name, "done", note)
    finally:
        context.finish_prefetch()


def _record_stage(stage: Stage, context: RunContext, key: str, seconds: float) -> None:
    record = StageRun(
        name=stage.name,
        status=DONE,
        key=key,
        outputs={
            name: digest_file(context.folder.file(name))
            for name in stage.writes
            if context.folder.file(name).exists()
        },
        seconds=seconds,
        finished_at=utc_now(),
    )
    others = tuple(s for s in context.run.stages if s.name != stage.name)
    # Recorded with each stage, so that a crash does not lose the number of paid calls.
    calls = context.paid.calls if context.paid else 0
    context.save(stages=(*others, record), metered_calls=calls)


def mark_unfinished(context: RunContext, names: Sequence[str]) -> None:
    """Mark stages with provider failures as unfinished, so that a later run repeats them."""
    context.save(
        stages=tuple(
            replace(stage, status=UNFINISHED) if stage.name in names else stage
            for stage in context.run.stages
        )
    )


# ── Digests of files and code ──────────────────────────────────────────────────────────────────


def digest_file(path: Path) -> str:
    """SHA-256 of a file or folder; of its size and modification time above 64 MB."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return fingerprint([(str(file.relative_to(path)), digest_file(file)) for file in files])
    try:
        stat = path.stat()
        if stat.st_size > _WHOLE_READ_BYTES:
            return fingerprint(path.name, stat.st_size, stat.st_mtime_ns)
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


@cache
def code_fingerprint(package: Path = Path(__file__).parents[1]) -> str:
    """SHA-256 of the code that affects results: the package's sources and engine versions."""
    files = [
        (str(path.relative_to(package)), path.read_bytes().hex())
        for pattern in ("**/*.py", "**/*.sql")
        for path in sorted(package.glob(pattern))
        if path.relative_to(package).parts[0] not in _NOT_IN_RESULTS
    ]
    return fingerprint(files, versions())


@cache
def versions() -> dict[str, str]:
    """The versions of the product and of the engines behind its numbers."""
    return {name: importlib.metadata.version(name) for name in ("liftwright", *_ENGINES)}
