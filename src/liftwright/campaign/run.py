"""Starts, resumes, keeps and measures runs, and decides how a run ends."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from liftwright.campaign.bootstrap import (
    check_ledger,
    open_context,
    runs_folder,
    workspace_lock,
)
from liftwright.campaign.pipeline import (
    DONE,
    MEASUREMENT_STAGES,
    UNFINISHED,
    digest_file,
    export_stages,
    fingerprint_parts,
    is_kept,
    mark_unfinished,
    run_stages,
    stage_key,
    stages_of,
    versions,
)
from liftwright.campaign.run_resolver import (
    COMPLETE,
    NO_EXPERIMENT,
    RUNNING,
    WAITING,
    choose_folder,
    dated,
    digest_of,
    engagement_file,
    input_digests,
    overrides_of,
)
from liftwright.campaign.run_summary import log_run_started, totals_of, track_run
from liftwright.campaign.stages.experiment import check_engagement
from liftwright.campaign.stages.export import check_export
from liftwright.campaign.stages.late_arrivals import inherit_messages
from liftwright.data import did_you_mean
from liftwright.errors import (
    AwaitingApproval,
    InputError,
    LiftwrightError,
    NoExperiment,
    ProviderError,
)
from liftwright.log import Log, event, fault, log_context, logging_to
from liftwright.model import (
    CATEGORIES,
    AuditRange,
    Failure,
    Run,
    SafetyDecision,
    StageRun,
    fingerprint,
    utc_now,
)
from liftwright.model.messages import UNAVAILABLE
from liftwright.model.run_files import RunFolder, all_runs
from liftwright.tracing import span, tracing
from liftwright.wiring import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from liftwright.campaign.context import RunContext, StageProgress
    from liftwright.campaign.pipeline import Stage
    from liftwright.campaign.run_resolver import RunRequest
    from liftwright.config import Settings

MEASURED_FILES = ("engagement.parquet", "engagement.json", "metrics.json", "report")
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_START, _MEASURE, _KEEP = "start", "measure", "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """The outcome of a run, and its folder.

    Attributes:
        exit_status: 0 complete · 1 no experiment · 3 provider or budget · 5 waiting for approval.
        reason: why the run is not complete; None if it is.
        repeated: whether the run had already finished, and no stage ran again.
    """

    run: Run
    folder: Path
    exit_status: int
    reason: str | None = None
    repeated: bool = False


def run_campaign(
    root: Path, request: RunRequest, notify: Callable[[StageProgress], None]
) -> RunOutcome:
    """Start a run, resume it, keep it, or measure it again.

    Raises:
        InputError: input, configuration or request is wrong; no partial files remain.
        IntegrityError: the ledger or the audit log is missing or was altered.
    """
    if request.run_id is not None:
        request = replace(request, run_id=dated(request.run_id))
        if not _RUN_ID.fullmatch(str(request.run_id)):
            raise InputError(
                f"--run-id: found {request.run_id!r}, allowed: letters, digits, '.', '_', '-' and "
                "{date}, at most 80 characters, starting with a letter or digit"
            )
    settings = read_settings(root, overrides_of(request))
    with workspace_lock(root), logging_to(Log(root / "logs")):
        check_ledger(root)
        engagement = engagement_file(root, settings, request)
        context = open_context(
            root, settings, engagement=engagement, refresh=request.refresh, notify=notify
        )
        with (
            contextlib.closing(context),
            tracing(context.ports.telemetry),
            span("run") as recorded,
        ):
            try:
                action, folder, record = _resolve(context, request)
                if record is not None and action == _KEEP:
                    outcome = _keep(context, folder, record)
                else:
                    if record is not None and action == _MEASURE:
                        stages = _begin_measuring(context, folder, record)
                    else:
                        stages = _begin(context, folder, record, extends=request.extend)
                    outcome = _run_to_end(context, stages)
                    if record is not None and record.status in (COMPLETE, NO_EXPERIMENT):
                        repeated = record.stages == outcome.run.stages
                        outcome = replace(outcome, repeated=repeated)
                recorded.set(
                    run_id=outcome.run.run_id,
                    outcome=outcome.run.status,
                    exit_status=outcome.exit_status,
                    simulated=outcome.run.simulated,
                    metered_calls=outcome.run.metered_calls,
                )
                return outcome  # noqa: TRY300 - inside the span
            except LiftwrightError as error:
                fault("run_stopped", error, agent="pipeline")
                raise
            except Exception as error:
                fault("run_crashed", error, agent="pipeline")
                raise


def _resolve(context: RunContext, request: RunRequest) -> tuple[str, RunFolder, Run | None]:
    """The action, the run's folder, and its record; None for a new run."""
    if request.extend is not None:
        arms = _finished(context.root, request.extend).file("arms.json")
        context.inputs = {**input_digests(context), "extends": digest_file(arms)}
    elif request.run_id is not None and context.engagement is not None:
        folder = RunFolder(runs_folder(context.root) / request.run_id)
        record = folder.record()
        if record is not None and record.status == COMPLETE:
            # Stages up to `assign` are neither read nor compared, whatever has changed since.
            context.inputs = {"engagement": digest_of(context.engagement)}
            return _MEASURE, folder, record
        context.inputs = input_digests(context)
    else:
        context.inputs = input_digests(context)
    folder = choose_folder(context, request, stages_of(request.extend))
    record = folder.record()
    if record is None or record.status != COMPLETE:
        return _START, folder, record
    return (_KEEP if context.engagement is None else _MEASURE), folder, record


def _finished(root: Path, run_id: str) -> RunFolder:
    """The folder of a finished run, to be extended."""
    folder = RunFolder(runs_folder(root) / run_id)
    record = folder.record()
    if record is None or record.status != COMPLETE:
        known = [run.path.name for run in all_runs(root)]
        problem = "is not finished" if record else f"no such run{did_you_mean(run_id, known)}"
        raise InputError(f"--extend {run_id}: {problem}; allowed: a finished run")
    return folder


# ── Start or resume ───────────────────────────────────────────────────────────────────────────


def _begin(
    context: RunContext, folder: RunFolder, record: Run | None, *, extends: str | None
) -> tuple[Stage, ...]:
    """Start a run or resume an unfinished one; returns its stages."""
    context.folder = folder
    check_export(context)
    if record is None:
        # Unreadable customers are reported before a folder is created.
        context.load_customers()
    context.run = _new_record(context, record, extends)
    folder.remove_partial_files()
    folder.save(context.run)
    if extends is not None:
        inherit_messages(context)
    return stages_of(extends)


def _new_record(context: RunContext, previous: Run | None, extends: str | None) -> Run:
    run_id = context.folder.path.name
    run = previous or Run(
        run_id=run_id,
        status=RUNNING,
        fingerprint="",
        started_at=utc_now(),
        valid_on=datetime.now(UTC).date(),
        seed=context.settings.experiment.seed,
        simulated=context.engagement is None,
        overrides={},
        inputs={},
        versions={},
        audit=AuditRange(run_id=run_id, since=context.audit.mark()),
    )
    valid = [d.document_id for d in context.corpus.documents if d.is_valid(run.valid_on)]
    context.inputs = {**context.inputs, "valid_documents": fingerprint(valid)}
    parts = fingerprint_parts(stages_of(extends), context)
    return replace(
        run,
        status=RUNNING,
        fingerprint=fingerprint(parts),
        fingerprint_parts=parts,
        extends=extends,
        reason=None,
        finished_at=None,
        simulated=context.engagement is None,
        overrides=context.settings.overrides,
        inputs=context.inputs,
        versions=versions(),
        campaign=_campaign(context.settings),
    )


def _campaign(settings: Settings) -> dict[str, object]:
    return {
        "brand": settings.experiment.brand.name,
        "thresholds": {name: settings.safety.threshold_of(name) for name in CATEGORIES},
    }


# ── Keep ──────────────────────────────────────────────────────────────────────────────────────


def _keep(context: RunContext, folder: RunFolder, record: Run) -> RunOutcome:
    """Keep every stage of a finished run; deleted files are written again."""
    context.open_finished(folder, record)
    stages = stages_of(record.extends)
    with log_context(run=record.run_id):
        if record.simulated:
            run_stages((*stages, *export_stages(context)), context)
            event("run_kept", agent="pipeline")
        else:
            if _is_half_measured(record):
                raise InputError(
                    f"run {record.run_id}: its measurement with real outcomes was "
                    f"interrupted; `liftwright run --run-id {record.run_id} --engagement FILE` "
                    "resumes it"
                )
            # Without the engagement file, the keys of the measuring stages cannot be compared.
            for stage in stages:
                context.report_stage(stage.name, "kept")
            run_stages(export_stages(context), context)
        track_run(context)
    return RunOutcome(run=context.run, folder=folder.path, exit_status=0, repeated=True)


# ── Measure again ─────────────────────────────────────────────────────────────────────────────


def _begin_measuring(context: RunContext, folder: RunFolder, record: Run) -> tuple[Stage, ...]:
    """Prepare to measure a finished run with real outcomes; returns the stages."""
    context.folder, context.run = folder, record
    check_export(context)
    folder.remove_partial_files()
    observe = MEASUREMENT_STAGES[0]
    # An interrupted measurement is not archived.
    if not _is_half_measured(record) and not is_kept(observe, context, stage_key(observe, context)):
        # An unreadable file is reported before the earlier measurement is moved.
        check_engagement(context)
        number = record.measurements + 1
        _archive_measurement(folder.path, folder.path / "measurements" / str(number))
        context.save(measurements=number, simulated=False, stages=_unmeasured(record))
    return MEASUREMENT_STAGES


def _is_half_measured(record: Run) -> bool:
    """Whether a repeated measurement of the run was interrupted."""
    status = {stage.name: stage.status for stage in record.stages}
    return any(status.get(stage.name) != DONE for stage in MEASUREMENT_STAGES)


def _unmeasured(record: Run) -> tuple[StageRun, ...]:
    measuring = [stage.name for stage in MEASUREMENT_STAGES]
    return tuple(
        replace(stage, status=UNFINISHED) if stage.name in measuring else stage
        for stage in record.stages
    )


def _archive_measurement(folder: Path, target: Path) -> None:
    """Copy a measurement's files atomically; an interrupted copy is repeated."""
    shutil.rmtree(target, ignore_errors=True)
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        for name in MEASURED_FILES:
            source = folder / name
            if source.is_dir():
                shutil.copytree(source, partial / name)
            elif source.exists():
                shutil.copy2(source, partial / name)
        partial.rename(target)
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror})") from None


# ── How a run ends ────────────────────────────────────────────────────────────────────────────


def _run_to_end(context: RunContext, stages: tuple[Stage, ...]) -> RunOutcome:
    """Run the stages, then the export, and record how the run ended."""
    started = time.perf_counter()
    with log_context(run=context.run.run_id):
        log_run_started(context)
        try:
            run_stages(stages, context)
        except NoExperiment as error:
            failed = _stages_failed_by_provider(context)
            if failed:
                mark_unfinished(context, failed)
                causes = "; ".join(_provider_messages(context))
                reason = f"{error}; {causes}; run again to resume"
                return _end(context, UNFINISHED, started, ProviderError.exit_status, reason)
            return _end(context, NO_EXPERIMENT, started, error.exit_status, str(error))
        except AwaitingApproval as error:
            return _end(context, WAITING, started, error.exit_status, str(error))
        except ProviderError as error:
            if stages is not MEASUREMENT_STAGES and context.run.extends is None:
                # Failed calls of earlier stages are repeated, too.
                mark_unfinished(context, _stages_failed_by_provider(context))
            return _end(context, UNFINISHED, started, error.exit_status, str(error))
        except InputError:
            if not context.run.stages:
                # The first stage of a new run rejected the input, so there is no run.
                shutil.rmtree(context.folder.path, ignore_errors=True)
            raise
        try:
            run_stages(export_stages(context), context)
        except InputError as error:
            # The run itself is complete; running again only repeats the export.
            reason = f"{error}; the run is complete; run again to retry the export"
            return _end(context, UNFINISHED, started, error.exit_status, reason)
        return _end(context, COMPLETE, started, 0)


def _provider_messages(context: RunContext) -> tuple[str, ...]:
    """The different errors of providers that failed or blocked a variant, the first two."""
    messages = []
    if context.folder.file("failures.json").is_file():
        failures = context.folder.read_list("failures.json", Failure)
        messages += [one.reasons[0] for one in failures if one.cause == "provider"]
    if context.folder.file("decisions.json").is_file():
        for decision in context.folder.read_list("decisions.json", SafetyDecision):
            # `unavailable: ProviderRefused: ` precedes the message.
            messages += [
                reason.split(": ", 2)[-1]
                for reason in decision.reasons
                if reason.startswith(UNAVAILABLE)
            ]
    return tuple(dict.fromkeys(messages))[:2]


def _stages_failed_by_provider(context: RunContext) -> tuple[str, ...]:
    """The stages with provider failures, which a later run repeats."""
    failed = []
    if context.folder.file("failures.json").is_file():
        failures = context.folder.read_list("failures.json", Failure)
        if any(failure.cause == "provider" for failure in failures):
            failed.append("generate")
    if context.folder.file("decisions.json").is_file():
        decisions = context.folder.read_list("decisions.json", SafetyDecision)
        if any(decision.is_unavailable for decision in decisions):
            failed.append("screen")
    return tuple(failed)


def _end(
    context: RunContext, status: str, started: float, exit_status: int, reason: str | None = None
) -> RunOutcome:
    """Record how the run ended, with its totals."""
    seconds = round(time.perf_counter() - started, 3)
    context.save(
        status=status,
        reason=reason,
        finished_at=utc_now(),
        metered_calls=context.paid.calls if context.paid else 0,
        totals=totals_of(context, seconds),
    )
    event(
        "run_summary",
        agent="pipeline",
        level="info" if status == COMPLETE else "warning",
        status=status,
        reason=reason,
        totals=context.run.totals,
    )
    track_run(context)
    return RunOutcome(
        run=context.run, folder=context.folder.path, exit_status=exit_status, reason=reason
    )
