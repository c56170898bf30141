"""Which run a request means, and what differs from a finished one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from liftwright.campaign.bootstrap import runs_folder
from liftwright.campaign.pipeline import MEASURING
from liftwright.campaign.requests import COMPLETE, NO_EXPERIMENT
from liftwright.campaign.run_context import DONE, fingerprint_parts, stage_key
from liftwright.errors import InputError
from liftwright.model import fingerprint, is_url
from liftwright.run_folder import RunFolder, digest_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from liftwright.campaign.requests import RunRequest
    from liftwright.campaign.run_context import Stage, Work
    from liftwright.config import Settings
    from liftwright.model import Run
    from liftwright.model.remote_files import File

_ID_HEX = 12
_MOST_NAMED = 8
_LONGEST_SHOWN = 40


def choose_folder(work: Work, request: RunRequest, stages: Sequence[Stage]) -> RunFolder:
    """The folder of the run that this request means: a new one, or one to go on with.

    Args:
        work: with the inputs' digests.
        request: names the run, or leaves that to the inputs, settings and adapters.
        stages: those that the run goes through.

    Raises:
        InputError: the named run is finished and would not come out the same; says what differs.
    """
    home = runs_folder(work.root)
    if request.run_id is not None:
        folder = RunFolder(home / request.run_id)
        found = _differences(work, folder, stages, refresh=request.refresh)
        if found:
            # What is wrong with the input is told before this.
            work.need_customers()
            more = f"; and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
            raise InputError(
                f"--run-id {request.run_id}: that run is finished, and a finished run is never "
                f"rewritten. Different now: {'; '.join(found[:_MOST_NAMED])}{more}. "
                "Choose another id"
            )
        return folder
    # Other code, and it alone, gives the same id with a number.
    parts = fingerprint_parts(_before_measuring(stages), work)
    base = fingerprint({k: v for k, v in parts.items() if k not in ("code", "versions")})[:_ID_HEX]
    for number in range(1, 10_000):
        folder = RunFolder(home / (base if number == 1 else f"{base}-{number}"))
        if not _differences(work, folder, stages, refresh=request.refresh):
            return folder
    raise InputError(f"{home}: too many runs of {base}; remove some")


def _differences(
    work: Work, folder: RunFolder, stages: Sequence[Stage], *, refresh: bool
) -> tuple[str, ...]:
    """Why the run in a folder would not come out the same; nothing where it is not finished."""
    record = folder.record()
    if record is None or record.status not in (COMPLETE, NO_EXPERIMENT):
        return ()
    if refresh:
        return ("--refresh",)
    if not record.fingerprint_parts:
        # Made by a version that did not record them.
        return ("code",)
    work.take_up(folder, record)
    # Real outcomes are a measurement: they may come later, and as often as anybody likes.
    is_simulated = record.simulated and work.engagement is None
    compared = stages if is_simulated else _before_measuring(stages)
    named = tuple(differences(record.fingerprint_parts, fingerprint_parts(compared, work)))
    return named or tuple(f"stage {name}" for name in _stages_to_run(work, record, compared))


def differences(before: Mapping[str, object], now: Mapping[str, object]) -> Iterator[str]:
    """What differs between the parts of two fingerprints, one name each, with short values."""
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


def _stages_to_run(work: Work, record: Run, stages: Sequence[Stage]) -> Iterator[str]:
    """The stages that were done and have another key now."""
    keys = {stage.name: stage.key for stage in record.stages if stage.status == DONE}
    for stage in stages:
        if stage.name in keys and keys[stage.name] != stage_key(stage, work):
            yield stage.name


def _before_measuring(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    return tuple(stage for stage in stages if stage not in MEASURING)


def input_digests(work: Work) -> dict[str, str]:
    """Digests of the run's inputs; equal content gives equal digests wherever it lies."""
    found = [work.places.find(work.root, name) for name in work.settings.customers.paths]
    if not all(file.exists() for file in found):
        # The data plane says it best, with the key that names the file.
        work.need_customers()
    if work.suppressed is not None and work.suppressed.exists():
        found.append(work.suppressed)
    inputs = {
        "customers": fingerprint([digest_of(file) for file in found]),
        "content": work.corpus.fingerprint,
    }
    if work.engagement is not None:
        inputs["engagement"] = digest_of(work.engagement)
    return inputs


def digest_of(file: File) -> str:
    """What names the content of an input, here or in an object store."""
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
        raise InputError(f"{path}: no such file of engagement")
    return path
