"""Copies a finished run's tables to an object store; the run's folder stays authoritative."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftwright.errors import ConfigurationError, InputError, LiftwrightError
from liftwright.log import event
from liftwright.model import parse_url, utc_now

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from liftwright.campaign.context import RunContext
    from liftwright.ports import Objects

TABLE_FILES = (
    "segmented.parquet",
    "assignments.parquet",
    "unassigned.parquet",
    "engagement.parquet",
)
EXPORT_RECORD = "export.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """One uploaded file, with its size, digest and ETag."""

    url: str
    bytes: int
    sha256: str
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """The uploaded files of a run, as `export.json` lists them.

    Attributes:
        to: the URL of the folder that has them.
    """

    run_id: str
    at: str
    to: str
    files: tuple[Exported, ...]


def check_export(context: RunContext) -> None:
    """Check that the export folder can be listed, before anything is paid for.

    Raises:
        DataError: the bucket does not exist, or the store fails or denies access.
    """
    export_to = context.settings.services.object_stores.export_to
    if export_to is not None:
        context.file_resolver.objects(export_to).find(parse_url(f"{export_to.rstrip('/')}/"))


def export(context: RunContext) -> str:
    """Upload the tables to `<export_to>/<run_id>/`, then their list; skip unchanged files.

    A store shows an object once all of it has arrived, and the list is uploaded last: whoever finds
    it finds every table complete.

    Raises:
        DataError: the store fails or denies access.
    """
    export_to = context.settings.services.object_stores.export_to
    if export_to is None:
        raise ConfigurationError("azure_config.yaml: object_stores.export_to: found null")
    folder = parse_url(export_to).below(context.run.run_id)
    objects = context.file_resolver.objects(export_to)
    previous = _previous(context)
    files, uploaded_bytes = [], 0
    for path in _table_files(context):
        url = folder.below(path.relative_to(context.folder.path).as_posix())
        sha256 = _sha256(path)
        file = previous.get(str(url))
        if file is None or file.sha256 != sha256 or not _is_there(objects, file):
            stored = objects.put(path, url)
            uploaded_bytes += stored.size
            file = Exported(url=str(url), bytes=stored.size, sha256=sha256, etag=stored.tag or "")
        files.append(file)
    record = Export(run_id=context.run.run_id, at=utc_now(), to=str(folder), files=tuple(files))
    context.folder.write(EXPORT_RECORD, record)
    objects.put(context.folder.file(EXPORT_RECORD), folder.below(EXPORT_RECORD))
    event("tables_exported", agent="pipeline", files=len(files), put_bytes=uploaded_bytes)
    return f"{len(TABLE_FILES)} tables at {folder}, {uploaded_bytes / 1e6:,.1f} MB uploaded"


def _previous(context: RunContext) -> dict[str, Exported]:
    """The files of the last export by URL; empty if its list is missing or damaged."""
    try:
        return {file.url: file for file in context.folder.read(EXPORT_RECORD, Export).files}
    except LiftwrightError:
        return {}


def _is_there(objects: Objects, file: Exported) -> bool:
    found = objects.find(parse_url(file.url))
    return found is not None and (found.size, found.tag or "") == (file.bytes, file.etag)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def _table_files(context: RunContext) -> Iterator[Path]:
    """The files of the tables; Spark may write a table as a folder of them."""
    for name in TABLE_FILES:
        path = context.folder.file(name)
        if path.is_dir():
            yield from sorted(path.iterdir())
        else:
            yield path
