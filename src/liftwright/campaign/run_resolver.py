"""Resolves a request to a run: a new one, or an existing one to resume or keep."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from liftwright.campaign.bootstrap import runs_folder
from liftwright.campaign.pipeline import (
    DONE,
    MEASUREMENT_STAGES,
    digest_file,
    fingerprint_parts,
    stage_key,
)
from liftwright.errors import InputError
from liftwright.model import fingerprint, is_url
from liftwright.model.run_files import RunFolder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from liftwright.campaign.context import RunContext
    from liftwright.campaign.pipeline import Stage
    from liftwright.config import Settings
    from liftwright.model import Run
    from liftwright.model.remote_files import File

COMPLETE, UNFINISHED, WAITING = "complete", "unfinished", "waiting"
NO_EXPERIMENT, RUNNING = "no_experiment", "running"
_ID_HEX = 12
_MAX_NAMED = 8
_MAX_SHOWN = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """The options of `liftwright run`; paths are relative to the current folder.

    Customers and engagement may also be object-store URLs, as strings.

    Attributes:
        extend: the finished run to extend to late arrivals; None for a new experiment.
    """

    customers: Path | str | None = None
    content: Path | None = None
    engagement: Path | str | None = None
    run_id: str | None = None
    as_of: str | None = None
    budget_usd: float | None = None
    refresh: bool = False
    extend: str | None = None
    overrides: tuple[str, ...] = ()


def dated(run_id: str) -> str:
    """A run id with `{date}` replaced by today's date in UTC, YYYY-MM-DD."""
    return run_id.replace("{date}", datetime.now(UTC).date().isoformat())


def absolute_location(location: Path | str) -> str:
    """A path made absolute, or a URL unchanged."""
    return str(location) if is_url(str(location)) else str(Path(location).absolute())


def overrides_of(request: RunRequest) -> tuple[str, ...]:
    """The request's options as configuration overrides, recorded like those of `--set`."""
    options = {
        "customers.path": request.customers and absolute_location(request.customers),
        "experiment_config.content.path": request.content and str(request.content.absolute()),
        "customers.as_of": request.as_of,
        "azure_config.budget_usd": request.budget_usd,
    }
    # JSON strings are valid YAML, and keep a path with a colon in one piece.
    given = {key: value for key, value in options.items() if value is not None}
    return (*(f"{key}={json.dumps(value)}" for key, value in given.items()), *request.overrides)


def choose_folder(context: RunContext, request: RunRequest, stages: Sequence[Stage]) -> RunFolder:
    """The folder of the requested run: a new one, or one to resume or keep.

    Args:
        context: with the digests of the inputs.
        request: the run id; if it is None, inputs, settings and adapters determine it.
        stages: the stages of the run.

    Raises:
        InputError: the named run is finished and would have another outcome; says what differs.
    """
    home = runs_folder(context.root)
    if request.run_id is not None:
        folder = RunFolder(home / request.run_id)
        different = _differences(context, folder, stages, refresh=request.refresh)
        if different:
            # Errors in the input take precedence.
            context.load_customers()
            rest = len(different) - _MAX_NAMED
            more = f"; and {rest} more" if rest > 0 else ""
            raise InputError(
                f"--run-id {request.run_id}: the run is finished and is never "
                f"rewritten. Different now: {'; '.join(different[:_MAX_NAMED])}{more}. "
                "Choose another run id"
            )
        return folder
    # A change of the code alone keeps the id and adds a number.
    parts = fingerprint_parts(_before_measuring(stages), context)
    base = fingerprint({k: v for k, v in parts.items() if k not in ("code", "versions")})[:_ID_HEX]
    for number in range(1, 10_000):
        folder = RunFolder(home / (base if number == 1 else f"{base}-{number}"))
        if not _differences(context, folder, stages, refresh=request.refresh):
            return folder
    raise InputError(f"{home}: too many runs named {base}; remove some")


def _differences(
    context: RunContext, folder: RunFolder, stages: Sequence[Stage], *, refresh: bool
) -> tuple[str, ...]:
    """How the request differs from the finished run in a folder; empty if unfinished."""
    record = folder.record()
    if record is None or record.status not in (COMPLETE, NO_EXPERIMENT):
        return ()
    if refresh:
        return ("--refresh",)
    if not record.fingerprint_parts:
        # From a version that did not record them.
        return ("code",)
    context.open_finished(folder, record)
    # A run can be measured with real outcomes later, and repeatedly.
    is_simulated = record.simulated and context.engagement is None
    compared = stages if is_simulated else _before_measuring(stages)
    parts = tuple(differences(record.fingerprint_parts, fingerprint_parts(compared, context)))
    return parts or tuple(f"stage {name}" for name in _stages_to_run(context, record, compared))


def differences(before: Mapping[str, object], now: Mapping[str, object]) -> Iterator[str]:
    """The parts that differ between two fingerprints, with their values if short."""
    for name, value in now.items():
        yield from _value_differences(name, before.get(name), value)


def _value_differences(name: str, before: object, now: object) -> Iterator[str]:
    if before == now:
        return
    if isinstance(before, dict) and isinstance(now, dict):
        separator = "." if ": " in name else ": "
        for key in {**before, **now}:
            yield from _value_differences(f"{name}{separator}{key}", before.get(key), now.get(key))
        return
    values = [v if isinstance(v, str) else json.dumps(v) for v in (before, now)]
    is_short = all(len(value) <= _MAX_SHOWN for value in values)
    yield f"{name}: {' → '.join(values)}" if is_short else name


def _stages_to_run(context: RunContext, record: Run, stages: Sequence[Stage]) -> Iterator[str]:
    """The finished stages whose key has changed."""
    keys = {stage.name: stage.key for stage in record.stages if stage.status == DONE}
    for stage in stages:
        if stage.name in keys and keys[stage.name] != stage_key(stage, context):
            yield stage.name


def _before_measuring(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    return tuple(stage for stage in stages if stage not in MEASUREMENT_STAGES)


def input_digests(context: RunContext) -> dict[str, str]:
    """Digests of the run's inputs; equal content gives equal digests at any path."""
    paths = context.settings.customers.paths
    files = [context.file_resolver.find(context.root, path) for path in paths]
    if not all(file.exists() for file in files):
        # Raises an error that names the configuration key of the missing file.
        context.load_customers()
    if context.suppressed is not None and context.suppressed.exists():
        files.append(context.suppressed)
    inputs = {
        "customers": fingerprint([digest_of(file) for file in files]),
        "content": context.corpus.fingerprint,
    }
    if context.engagement is not None:
        files = [context.engagement]
        if (id_map := context.settings.engagement_format.id_map) is not None:
            files.append(context.file_resolver.find(context.root, id_map.path))
        inputs["engagement"] = (
            fingerprint([digest_of(file) for file in files if file.exists()])
            if len(files) > 1
            else digest_of(context.engagement)
        )
    return inputs


def digest_of(file: File) -> str:
    """The digest of an input file, local or in an object store."""
    return digest_file(file) if isinstance(file, Path) else file.digest


def engagement_file(root: Path, settings: Settings, request: RunRequest) -> str | Path | None:
    """The path or URL of the requested or configured file of real outcomes; None to simulate.

    Raises:
        InputError: the path does not exist; URLs are checked when they are read.
    """
    location = request.engagement or settings.experiment.engagement.path
    if location is None or is_url(str(location)):
        return location
    path = Path(location) if request.engagement else root / location
    if not path.exists():
        raise InputError(f"{path}: no such engagement file")
    return path
