"""Which run a request means: its inputs, the settings that shape it, its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from liftwright.campaign.bootstrap import runs_folder
from liftwright.campaign.pipeline import without_paths
from liftwright.campaign.requests import COMPLETE, NO_EXPERIMENT
from liftwright.errors import InputError
from liftwright.model import fingerprint, is_url
from liftwright.run_folder import RunFolder, digest_file

if TYPE_CHECKING:
    from liftwright.campaign.requests import RunRequest
    from liftwright.campaign.run_context import Work
    from liftwright.config import Settings
    from liftwright.model import Run
    from liftwright.model.remote_files import File

# Of azure_config.yaml; how calls are made and paid shapes no result.
_SERVICES = (
    "adapters",
    "openai_compatible",
    "azure_openai",
    "azure_search",
    "azure_content_safety",
)


def choose_folder(work: Work, request: RunRequest, base: str, prints: str) -> RunFolder:
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


def shaping_settings(settings: Settings) -> object:
    """The configuration that shapes results: not where files lie, nor how calls are made."""
    services = settings.services.model_dump(mode="json")
    experiment = settings.experiment.model_dump(mode="json", exclude={"engagement": True})
    experiment["content"].pop("path")
    return (
        {name: services[name] for name in _SERVICES},
        experiment,
        without_paths(settings.customers.model_dump(mode="json")),
        settings.safety.model_dump(mode="json"),
        settings.segments.model_dump(mode="json"),
        settings.channel.model_dump(mode="json"),
        dict(settings.prompts),
        {tone: frames.model_dump(mode="json") for tone, frames in settings.frames.items()},
    )


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
