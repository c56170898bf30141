"""Resolves a request to a run: a new one, or an existing one that it may resume or keep."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from liftwright.campaign.bootstrap import runs_folder
from liftwright.campaign.pipeline import DONE, MEASURING, digest_file, fingerprint_parts, stage_key
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
_MOST_NAMED = 8
_LONGEST_SHOWN = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """The options of `liftwright run`; paths are relative to the caller's folder.

    Customers and engagement may also be URLs of an object store, as texts.

    Attributes:
        extend: the finished run whose experiment takes in late arrivals; None begins one.
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


def absolute_location(place: Path | str) -> str:
    """A path made absolute, or a URL as it is."""
    return str(place) if is_url(str(place)) else str(Path(place).absolute())


def overrides_of(request: RunRequest) -> tuple[str, ...]:
    """The request's options as overrides of the configuration, recorded like those of `--set`."""
    options = {
        "customers.path": request.customers and absolute_location(request.customers),
        "experiment_config.content.path": request.content and str(request.content.absolute()),
        "customers.as_of": request.as_of,
        "azure_config.budget_usd": request.budget_usd,
    }
    # A JSON text is a YAML text: a path with a colon stays one text.
    given = {key: value for key, value in options.items() if value is not None}
    return (*(f"{key}={json.dumps(value)}" for key, value in given.items()), *request.overrides)


def choose_folder(context: RunContext, request: RunRequest, stages: Sequence[Stage]) -> RunFolder:
    """The folder of the run that the request asks for: a new one, or one to resume or keep.

    Args:
        context: with the inputs' digests.
        request: names the run, or leaves that to the inputs, settings and adapters.
        stages: those that the run goes through.

    Raises:
        InputError: the named run is finished and would not come out the same; says what differs.
    """
    home = runs_folder(context.root)
    if request.run_id is not None:
        folder = RunFolder(home / request.run_id)
        found = _differences(context, folder, stages, refresh=request.refresh)
        if found:
            # What is wrong with the input is told before this.
            context.load_customers()
            more = f"; and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
            raise InputError(
                f"--run-id {request.run_id}: the run is finished and is never "
                f"rewritten. Different now: {'; '.join(found[:_MOST_NAMED])}{more}. "
                "Choose another run id"
            )
        return folder
    # Other code, and it alone, gives the same id with a number.
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
    """What makes the request differ from the finished run in a folder; empty if unfinished."""
    record = folder.record()
    if record is None or record.status not in (COMPLETE, NO_EXPERIMENT):
        return ()
    if refresh:
        return ("--refresh",)
    if not record.fingerprint_parts:
        # Made by a version that did not record them.
        return ("code",)
    context.open_finished(folder, record)
    # Real outcomes are a measurement: they may come later, and as often as anybody likes.
    is_simulated = record.simulated and context.engagement is None
    compared = stages if is_simulated else _before_measuring(stages)
    named = tuple(differences(record.fingerprint_parts, fingerprint_parts(compared, context)))
    return named or tuple(f"stage {name}" for name in _stages_to_run(context, record, compared))


def differences(before: Mapping[str, object], now: Mapping[str, object]) -> Iterator[str]:
    """The names of the parts that differ between two fingerprints, with their values if short."""
    for name, value in now.items():
        yield from _differences_below(name, before.get(name), value)


def _differences_below(name: str, before: object, now: object) -> Iterator[str]:
    if before == now:
        return
    if isinstance(before, dict) and isinstance(now, dict):
        joint = "." if ": " in name else ": "
        for key in {**before, **now}:
            yield from _differences_below(f"{name}{joint}{key}", before.get(key), now.get(key))
        return
    values = [v if isinstance(v, str) else json.dumps(v) for v in (before, now)]
    is_short = all(len(value) <= _LONGEST_SHOWN for value in values)
    yield f"{name}: {' → '.join(values)}" if is_short else name


def _stages_to_run(context: RunContext, record: Run, stages: Sequence[Stage]) -> Iterator[str]:
    """The stages that were done and have another key now."""
    keys = {stage.name: stage.key for stage in record.stages if stage.status == DONE}
    for stage in stages:
        if stage.name in keys and keys[stage.name] != stage_key(stage, context):
            yield stage.name


def _before_measuring(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    return tuple(stage for stage in stages if stage not in MEASURING)


def input_digests(context: RunContext) -> dict[str, str]:
    """Digests of the run's inputs; equal content gives equal digests at any path."""
    found = [context.places.find(context.root, name) for name in context.settings.customers.paths]
    if not all(file.exists() for file in found):
        # The data plane says it best, with the key that names the file.
        context.load_customers()
    if context.suppressed is not None and context.suppressed.exists():
        found.append(context.suppressed)
    inputs = {
        "customers": fingerprint([digest_of(file) for file in found]),
        "content": context.corpus.fingerprint,
    }
    if context.engagement is not None:
        inputs["engagement"] = digest_of(context.engagement)
    return inputs


def digest_of(file: File) -> str:
    """The digest of an input file, here or in an object store."""
    return digest_file(file) if isinstance(file, Path) else file.digest


def engagement_file(root: Path, settings: Settings, request: RunRequest) -> str | Path | None:
    """The file of real outcomes that was named or configured, or its URL; None simulates.

    Raises:
        InputError: where a path is not there; a URL is looked up when it is read.
    """
    configured = settings.experiment.engagement.path
    place = request.engagement or configured
    if place is None or is_url(str(place)):
        return place
    path = Path(place) if request.engagement else root / place
    if not path.exists():
        raise InputError(f"{path}: no such engagement file")
    return path
