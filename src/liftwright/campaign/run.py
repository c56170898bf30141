"""Runs: begun, resumed, finished, measured again. The one place that decides how a run ends."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from liftwright.campaign.bootstrap import check_ledger, make_work, runs_folder
from liftwright.campaign.late_arrivals import EXTENDING, inherit
from liftwright.campaign.pipeline import (
    MEASURING,
    STAGES,
    check_engagement,
    check_export,
    provider_stages,
)
from liftwright.campaign.requests import (
    COMPLETE,
    NO_EXPERIMENT,
    RUNNING,
    UNFINISHED,
    WAITING,
    RunOutcome,
    RunRequest,
    overrides_of,
)
from liftwright.campaign.run_context import (
    DONE,
    Stage,
    Step,
    Work,
    carry_out,
    fingerprint_parts,
    is_kept,
    stage_key,
    unfinish,
)
from liftwright.campaign.run_events import span_fields, tell_start, track
from liftwright.campaign.run_resolver import (
    choose_folder,
    digest_of,
    engagement_file,
    input_digests,
)
from liftwright.campaign.stages.export import exporting
from liftwright.campaign.totals import totals_of
from liftwright.data.rules import nearest
from liftwright.errors import (
    AwaitingApproval,
    InputError,
    LiftwrightError,
    NoExperiment,
    ProviderError,
)
from liftwright.log import Log, event, fault, logging_to, within
from liftwright.model import CATEGORIES, AuditRange, Run, StageRun, fingerprint, utc_now
from liftwright.run_folder import (
    RunFolder,
    all_runs,
    digest_file,
    locked,
    versions,
)
from liftwright.tracing import span, tracing
from liftwright.wiring import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from liftwright.config import Settings

MEASURED_FILES = ("engagement.parquet", "engagement.json", "metrics.json", "report")
_ID_FORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def run_campaign(root: Path, request: RunRequest, notify: Callable[[Step], None]) -> RunOutcome:
    """Run, resume, keep, or measure again.

    Raises:
        InputError: input, configuration or request is wrong; nothing half-written remains.
        IntegrityError: the ledger or the audit log is not what was written.
    """
    if request.run_id is not None and not _ID_FORM.fullmatch(request.run_id):
        raise InputError(
            f"--run-id: found {request.run_id!r}, allowed: letters, digits, '.', '_' and '-', "
            "80 at most, a letter or digit first"
        )
    settings = read_settings(root, overrides_of(request))
    with locked(root), logging_to(Log(root / "logs")):
        check_ledger(root)
        work = make_work(
            root,
            settings,
            engagement=engagement_file(root, settings, request),
            refresh=request.refresh,
            notify=notify,
        )
        with contextlib.closing(work), tracing(work.ports.telemetry), span("run") as one:
            try:
                outcome = _run(work, request)
                one.set(**span_fields(outcome))
                return outcome  # noqa: TRY300 - its fields belong to the span that ends here
            except LiftwrightError as error:
                fault("run_stopped", error, agent="pipeline")
                raise
            except Exception as error:
                fault("run_crashed", error, agent="pipeline")
                raise


# ── Which run it is ───────────────────────────────────────────────────────────────────────────


def _run(work: Work, request: RunRequest) -> RunOutcome:
    if request.extend is not None:
        return _extend(work, request, request.extend)
    if request.run_id is not None and work.engagement is not None:
        folder = RunFolder(runs_folder(work.root) / request.run_id)
        record = folder.record()
        if record is not None and record.status == COMPLETE:
            work.inputs = {"engagement": digest_of(work.engagement)}
            return _measure(work, folder, record)
    work.inputs = input_digests(work)
    return _run_stages(work, request)


def _extend(work: Work, request: RunRequest, run_id: str) -> RunOutcome:
    """The experiment of a finished run with its late arrivals, as a run of its own."""
    before = RunFolder(runs_folder(work.root) / run_id)
    record = before.record()
    if record is None or record.status != COMPLETE:
        known = [f.path.name for f in all_runs(work.root)]
        found = "is not finished" if record else f"no such run{nearest(run_id, known)}"
        raise InputError(f"--extend {run_id}: {found}; allowed: a finished run")
    work.inputs = {**input_digests(work), "extends": digest_file(before.file("arms.json"))}
    return _run_stages(work, request)


def _run_stages(work: Work, request: RunRequest) -> RunOutcome:
    """Begin the run that is asked for, go on with it, keep it, or measure it again."""
    stages = STAGES if request.extend is None else EXTENDING
    folder = choose_folder(work, request, stages)
    record = folder.record()
    if record is None or record.status != COMPLETE:
        return _carry_out(work, folder, record, extends=request.extend)
    if work.engagement is not None:
        return _measure(work, folder, record)
    return _keep(work, folder, record)


# ── Carrying it out ───────────────────────────────────────────────────────────────────────────


def _carry_out(
    work: Work, folder: RunFolder, before: Run | None, *, extends: str | None
) -> RunOutcome:
    """A new run, or one that stopped on its way."""
    work.folder = folder
    check_export(work)
    if before is None:
        # What is wrong with the customers is told before a folder is made.
        work.need_customers()
    work.run = _begun(work, before, extends)
    folder.clear_torn()
    with within(run=work.run.run_id):
        try:
            folder.save(work.run)
            if extends is not None:
                inherit(work)
            return _to_the_end(work, stages_of(work.run))
        except InputError:
            if before is None and not work.run.stages:
                shutil.rmtree(folder.path, ignore_errors=True)
            raise


def _begun(work: Work, before: Run | None, extends: str | None) -> Run:
    run_id = work.folder.path.name
    run = before or Run(
        run_id=run_id,
        status=RUNNING,
        fingerprint="",
        started_at=utc_now(),
        valid_on=datetime.now(UTC).date(),
        seed=work.settings.experiment.seed,
        simulated=work.engagement is None,
        overrides={},
        inputs={},
        versions={},
        audit=AuditRange(run_id=run_id, since=work.audit.mark()),
    )
    valid = [d.document_id for d in work.corpus.documents if d.is_valid(run.valid_on)]
    work.inputs = {**work.inputs, "valid_documents": fingerprint(valid)}
    parts = fingerprint_parts(STAGES if extends is None else EXTENDING, work)
    return replace(
        run,
        status=RUNNING,
        fingerprint=fingerprint(parts),
        fingerprint_parts=parts,
        extends=extends,
        reason=None,
        finished_at=None,
        simulated=work.engagement is None,
        overrides=work.settings.overrides,
        inputs=work.inputs,
        versions=versions(),
        campaign=_campaign(work.settings),
    )


def _campaign(settings: Settings) -> dict[str, object]:
    return {
        "brand": settings.experiment.brand.name,
        "thresholds": {name: settings.safety.threshold_of(name) for name in CATEGORIES},
    }


def _keep(work: Work, folder: RunFolder, record: Run) -> RunOutcome:
    """A finished run: every stage is kept; what somebody removed is made again."""
    work.take_up(folder, record)
    if not record.simulated:
        if _half_measured(record):
            raise InputError(
                f"run {record.run_id}: measuring it by a file of real outcomes was broken off; "
                f"`liftwright run --run-id {record.run_id} --engagement FILE` goes on"
            )
        for stage in stages_of(record):
            work.notify(Step(stage=stage.name, state="kept"))
        with within(run=record.run_id):
            carry_out(exporting(work), work)
        track(work)
        return RunOutcome(run=work.run, folder=folder.path, exit_status=0)
    with within(run=record.run_id):
        carry_out((*stages_of(record), *exporting(work)), work)
        event("run_kept", agent="pipeline")
        track(work)
    return RunOutcome(run=work.run, folder=folder.path, exit_status=0)


def _measure(work: Work, folder: RunFolder, record: Run) -> RunOutcome:
    """Measure a finished run by a file of real outcomes; nothing up to assign is looked at."""
    work.folder, work.run = folder, record
    check_export(work)
    folder.clear_torn()
    observe = MEASURING[0]
    with within(run=record.run_id):
        # What was broken off is no measurement, and is not set aside.
        whole = not _half_measured(record)
        if whole and not is_kept(observe, work, stage_key(observe, work)):
            # What is wrong with the file is told before the earlier measurement makes way.
            check_engagement(work)
            number = record.measurements + 1
            _copy_aside(folder.path, folder.path / "measurements" / str(number))
            work.save(measurements=number, simulated=False, stages=_unmeasured(record))
        return _to_the_end(work, MEASURING)


def _half_measured(record: Run) -> bool:
    """Whether measuring the run again was broken off."""
    status = {stage.name: stage.status for stage in record.stages}
    return any(status.get(stage.name) != DONE for stage in MEASURING)


def _unmeasured(record: Run) -> tuple[StageRun, ...]:
    measuring = [stage.name for stage in MEASURING]
    return tuple(
        replace(stage, status=UNFINISHED) if stage.name in measuring else stage
        for stage in record.stages
    )


def stages_of(record: Run) -> tuple[Stage, ...]:
    """The stages that a run goes through: one of late arrivals takes over what was said."""
    return EXTENDING if record.extends else STAGES


def _copy_aside(folder: Path, aside: Path) -> None:
    """Copy a measurement's files, whole or not at all; a copy that was broken off is redone."""
    shutil.rmtree(aside, ignore_errors=True)
    partial = aside.with_name(f".{aside.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        for name in MEASURED_FILES:
            source = folder / name
            if source.is_dir():
                shutil.copytree(source, partial / name)
            elif source.exists():
                shutil.copy2(source, partial / name)
        partial.rename(aside)
    except OSError as error:
        raise InputError(f"{aside}: cannot be written ({error.strerror})") from None


def _to_the_end(work: Work, stages: tuple[Stage, ...]) -> RunOutcome:
    started = time.perf_counter()
    tell_start(work)
    try:
        carry_out(stages, work)
    except NoExperiment as error:
        held = provider_stages(work)
        if held:
            unfinish(work, held)
            reason = f"{error}; a provider was a cause: run again to resume"
            return _stop(work, UNFINISHED, started, ProviderError.exit_status, reason)
        return _stop(work, NO_EXPERIMENT, started, error.exit_status, str(error))
    except AwaitingApproval as error:
        return _stop(work, WAITING, started, error.exit_status, str(error))
    except ProviderError as error:
        if stages is STAGES:
            # What an earlier stage went without is asked for again, too.
            unfinish(work, provider_stages(work))
        return _stop(work, UNFINISHED, started, error.exit_status, str(error))
    try:
        carry_out(exporting(work), work)
    except InputError as error:
        # The run itself is whole, and stays: run again, and only this is done.
        reason = f"{error}; the run's own files are whole, run again to export them"
        return _stop(work, UNFINISHED, started, error.exit_status, reason)
    return _stop(work, COMPLETE, started, 0)


def _stop(
    work: Work, status: str, started: float, exit_status: int, reason: str | None = None
) -> RunOutcome:
    """Write how the run ended, with what it came to."""
    seconds = round(time.perf_counter() - started, 3)
    work.save(
        status=status,
        reason=reason,
        finished_at=utc_now(),
        metered_calls=work.paid.calls if work.paid else 0,
        totals=totals_of(work, seconds),
    )
    level = "info" if status == COMPLETE else "warning"
    event(
        "run_summary",
        agent="pipeline",
        level=level,
        status=status,
        reason=reason,
        totals=work.run.totals,
    )
    track(work)
    return RunOutcome(run=work.run, folder=work.folder.path, exit_status=exit_status, reason=reason)
