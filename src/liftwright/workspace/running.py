"""Runs: begun, resumed, finished, measured again. The one place that decides how a run ends."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import shutil
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from liftwright.audit import AuditLog
from liftwright.domain import CATEGORIES, AuditRange, Run, StageRun, fingerprint, utc_now
from liftwright.errors import (
    AwaitingApproval,
    ConfigurationError,
    InputError,
    IntegrityError,
    LiftwrightError,
    NoExperiment,
    ProviderError,
)
from liftwright.log import Log, event, fault, logging_to, within
from liftwright.pipeline import (
    MEASURING,
    STAGES,
    check_engagement,
    provider_stages,
    without_paths,
)
from liftwright.runs import (
    RunFolder,
    all_runs,
    code_fingerprint,
    digest_file,
    locked,
    versions,
    write_whole,
)
from liftwright.settings import environment, read_settings
from liftwright.stages import DONE, Stage, Step, Work, carry_out, is_kept, stage_key, unfinish
from liftwright.wiring import make_observer, make_ports
from liftwright.workspace.totals import totals_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from liftwright.ports import Ports
    from liftwright.settings import Settings

COMPLETE, UNFINISHED, WAITING = "complete", "unfinished", "waiting"
NO_EXPERIMENT, RUNNING = "no_experiment", "running"
MEASURED_FILES = ("engagement.parquet", "engagement.json", "metrics.json", "report")
_ID_HEX = 12
_ID_FORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What `liftwright run` was asked; paths are relative to the caller's folder."""

    customers: Path | None = None
    content: Path | None = None
    engagement: Path | None = None
    run_id: str | None = None
    as_of: str | None = None
    budget_usd: float | None = None
    refresh: bool = False
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """How a run ended, and where its files lie.

    Attributes:
        exit_status: 0 complete · 1 no experiment, or waiting · 3 a provider, or the budget.
        reason: why it is not complete; None where it is.
    """

    run: Run
    folder: Path
    exit_status: int
    reason: str | None = None


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
            engagement=_engagement(root, settings, request),
            refresh=request.refresh,
            notify=notify,
        )
        with contextlib.closing(work):
            try:
                return _run(work, request)
            except LiftwrightError as error:
                fault("run_stopped", error, agent="pipeline")
                raise
            except Exception as error:
                fault("run_crashed", error, agent="pipeline")
                raise


def overrides_of(request: RunRequest) -> tuple[str, ...]:
    """The request's options as overrides of the configuration, recorded like those of `--set`."""
    options = {
        "customers.path": request.customers and str(request.customers.absolute()),
        "experiment_config.content.path": request.content and str(request.content.absolute()),
        "customers.as_of": request.as_of,
        "azure_config.budget_usd": request.budget_usd,
    }
    # A JSON text is a YAML text: a path with a colon stays one text.
    given = {key: value for key, value in options.items() if value is not None}
    return (*(f"{key}={json.dumps(value)}" for key, value in given.items()), *request.overrides)


def overrides_again(run: Run) -> tuple[str, ...]:
    """The overrides that a run recorded, as they were given."""
    return tuple(f"{key}={json.dumps(value)}" for key, value in run.overrides.items())


def make_work(
    root: Path,
    settings: Settings,
    *,
    engagement: Path | None = None,
    refresh: bool = False,
    notify: Callable[[Step], None] = lambda _: None,
) -> Work:
    """What the stages share, from a workspace's settings; its run and folder are set later."""
    ports = make_ports(root, settings, environment(root))
    _check_budget(settings, ports)
    return Work(
        root=root,
        settings=settings,
        ports=ports,
        folder=RunFolder(root),
        audit=audit_log(root),
        observer=lambda tables: make_observer(tables, settings, engagement),
        engagement=engagement,
        refresh=refresh,
        notify=notify,
    )


def _check_budget(settings: Settings, ports: Ports) -> None:
    """A budget can only be kept where the paid model has a price."""
    services = settings.services
    model = services.openai_compatible.model if services.openai_compatible else ""
    if services.budget_usd is not None and ports.complete.metered and model not in services.prices:
        raise ConfigurationError(
            f"config/azure_config.yaml: prices: {model!r} is missing; a budget of "
            f"{services.budget_usd:g} USD cannot be kept without the model's price"
        )


def audit_log(root: Path) -> AuditLog:
    """The workspace's audit log, keyed where LIFTWRIGHT_AUDIT_KEY is set."""
    key = environment(root).get("LIFTWRIGHT_AUDIT_KEY", "").encode() or None
    return AuditLog(root / "logs" / "safety_audit.log", key)


def log_key(root: Path) -> bytes:
    """The key under which customers appear in logs: LIFTWRIGHT_LOG_KEY, else the workspace's own.

    The workspace's own is random, made at first use and readable by its owner alone.
    """
    given = environment(root).get("LIFTWRIGHT_LOG_KEY", "")
    if given:
        return given.encode()
    path = root / "data" / "log.key"
    if not path.is_file():
        write_whole(path, secrets.token_hex(32).encode(), mode=0o600)
    return path.read_bytes()


def check_ledger(root: Path) -> None:
    """Refuse a workspace whose runs paid for calls that no ledger remembers.

    Raises:
        IntegrityError: naming the run.
    """
    ledger = root / "data" / "ledger.sqlite"
    if ledger.is_file():
        return
    for folder in all_runs(root):
        record = folder.record()
        if record is not None and record.metered_calls:
            raise IntegrityError(
                f"{ledger}: is missing, though run {record.run_id} counts "
                f"{record.metered_calls} paid calls; restore it, or move the run away"
            )


def runs_folder(root: Path) -> Path:
    """Where the runs of a workspace lie."""
    return root / "data" / "runs"


# ── Which run it is ───────────────────────────────────────────────────────────────────────────


def _run(work: Work, request: RunRequest) -> RunOutcome:
    if request.run_id is not None and work.engagement is not None:
        folder = RunFolder(runs_folder(work.root) / request.run_id)
        record = folder.record()
        if record is not None and record.status == COMPLETE:
            work.inputs = {"engagement": digest_file(work.engagement)}
            return _measure(work, folder, record)
    work.inputs = _inputs(work)
    base = fingerprint(work.inputs["customers"], work.inputs["content"], _shaping(work.settings))
    prints = fingerprint(base, code_fingerprint())
    folder = _choose(work, request, base[:_ID_HEX], prints)
    record = folder.record()
    if record is not None and record.status == COMPLETE:
        if work.engagement is not None:
            return _measure(work, folder, record)
        return _keep(work, folder, record)
    return _carry_out(work, folder, record, prints)


def _choose(work: Work, request: RunRequest, base: str, prints: str) -> RunFolder:
    """The folder of the run that this request means: a new one, or one to go on with."""
    home = runs_folder(work.root)
    if request.run_id is not None:
        folder = RunFolder(home / request.run_id)
        record = folder.record()
        if _is_other(record, prints, refresh=request.refresh):
            # What is wrong with the input is told before this.
            work.need_customers()
            raise InputError(
                f"--run-id {request.run_id}: that run is finished, and its inputs, configuration "
                "or code were others; a finished run is never rewritten. Choose another id"
            )
        return folder
    for number in range(1, 10_000):
        folder = RunFolder(home / (base if number == 1 else f"{base}-{number}"))
        if not _is_other(folder.record(), prints, refresh=request.refresh):
            return folder
    raise InputError(f"{home}: too many runs of {base}; remove some")


def _is_other(record: Run | None, prints: str, *, refresh: bool) -> bool:
    if record is None or record.status not in (COMPLETE, NO_EXPERIMENT):
        return False
    return refresh or record.fingerprint != prints


def _inputs(work: Work) -> dict[str, str]:
    """Digests of the run's inputs; equal content gives equal digests wherever it lies."""
    config, root = work.settings.customers, work.root
    files = [config.path] if config.path else []
    for orders in config.orders:
        files += [orders.path, *([orders.id_map.path] if orders.id_map else [])]
    for name in files:
        if not (root / name).exists():
            # The data plane says it best, with the key that names the file.
            work.need_customers()
    inputs = {
        "customers": fingerprint([digest_file(root / name) for name in files]),
        "content": work.corpus.fingerprint,
    }
    if work.engagement is not None:
        inputs["engagement"] = digest_file(work.engagement)
    return inputs


def _shaping(settings: Settings) -> object:
    """The configuration that shapes results: not where files lie, nor how calls are made."""
    services = settings.services.model_dump(mode="json")
    experiment = settings.experiment.model_dump(mode="json", exclude={"engagement": True})
    experiment["content"].pop("path")
    return (
        {name: services[name] for name in ("adapters", "openai_compatible")},
        experiment,
        without_paths(settings.customers.model_dump(mode="json")),
        settings.safety.model_dump(mode="json"),
        settings.segments.model_dump(mode="json"),
        settings.channel.model_dump(mode="json"),
        dict(settings.prompts),
        {tone: frames.model_dump(mode="json") for tone, frames in settings.frames.items()},
    )


def _engagement(root: Path, settings: Settings, request: RunRequest) -> Path | None:
    configured = settings.experiment.engagement.path
    path = request.engagement or (root / configured if configured else None)
    if path is not None and not path.exists():
        raise InputError(f"{path}: no such file of engagement")
    return path


# ── Carrying it out ───────────────────────────────────────────────────────────────────────────


def _carry_out(work: Work, folder: RunFolder, before: Run | None, prints: str) -> RunOutcome:
    """A new run, or one that stopped on its way."""
    work.folder = folder
    if before is None:
        # What is wrong with the customers is told before a folder is made.
        work.need_customers()
    work.run = _begun(work, before, prints)
    folder.clear_torn()
    with within(run=work.run.run_id):
        try:
            folder.save(work.run)
            return _to_the_end(work, STAGES)
        except InputError:
            if before is None and not work.run.stages:
                shutil.rmtree(folder.path, ignore_errors=True)
            raise


def _begun(work: Work, before: Run | None, prints: str) -> Run:
    run_id = work.folder.path.name
    run = before or Run(
        run_id=run_id,
        status=RUNNING,
        fingerprint=prints,
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
    return replace(
        run,
        status=RUNNING,
        fingerprint=prints,
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
    work.folder, work.run = folder, record
    work.inputs = {**work.inputs, "valid_documents": record.inputs.get("valid_documents", "")}
    if not record.simulated:
        if _half_measured(record):
            raise InputError(
                f"run {record.run_id}: measuring it by a file of real outcomes was broken off; "
                f"`liftwright run --run-id {record.run_id} --engagement FILE` goes on"
            )
        for stage in STAGES:
            work.notify(Step(stage=stage.name, state="kept"))
        return RunOutcome(run=record, folder=folder.path, exit_status=0)
    with within(run=record.run_id):
        carry_out(STAGES, work)
        event("run_kept", agent="pipeline")
    return RunOutcome(run=work.run, folder=folder.path, exit_status=0)


def _measure(work: Work, folder: RunFolder, record: Run) -> RunOutcome:
    """Measure a finished run by a file of real outcomes; nothing up to assign is looked at."""
    work.folder, work.run = folder, record
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
    _tell_start(work)
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
        return _stop(work, UNFINISHED, started, error.exit_status, str(error))
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
    work.ports.track(work.run.totals, work.folder.path)
    return RunOutcome(run=work.run, folder=work.folder.path, exit_status=exit_status, reason=reason)


def _tell_start(work: Work) -> None:
    settings = work.settings
    event(
        "run_started",
        agent="pipeline",
        experiment=settings.experiment.name,
        arms=settings.experiment.arm_shares(),
        adapters=settings.services.adapters.model_dump(),
        customers=work.customers.rows_kept if work.customers_read else None,
        inputs=work.inputs,
        overrides=sorted(settings.overrides),
    )
