"""Copies a finished run's tables to an object store; the run's folder stays authoritative."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftwright.errors import ConfigurationError, InputError, LiftwrightError
from liftwright.log import event
from liftwright.model import ObjectUrl, parse_url, utc_now

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from liftwright.campaign.context import RunContext
    from liftwright.ports import Objects

_TABLES = ("segmented", "assignments", "unassigned", "engagement")
TABLE_FILES = tuple(f"{table}.parquet" for table in _TABLES)
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
        to: the folder there.
    """

    run_id: str
    at: str
    to: str
    files: tuple[Exported, ...]


def check_export(context: RunContext) -> None:
    """Check that the store can be reached, before anything is paid for.

    Raises:
        DataError: there is no such bucket, or no way in.
    """
    url = _asked(context)
    if url is not None:
        context.places.objects(url).find(parse_url(f"{url.rstrip('/')}/"))


def export(context: RunContext) -> str:
    """Upload each table to `<export_to>/<run_id>/`, and then the list of them.

    A store shows an object when all of it has arrived, so no half of one is ever seen; the list
    goes last, so who finds it finds every table whole. What is there already is not put again.

    Raises:
        DataError: the store cannot be reached, or does not take them.
    """
    home = _home(context)
    objects = context.places.objects(str(home))
    before = {one.url: one for one in _exported_before(context)}
    placed: list[Exported] = []
    put_bytes = 0
    for name, path in _whole_files(context):
        url, digest = home.below(name), _sha256(path)
        known = before.get(str(url))
        if known is not None and known.sha256 == digest and _is_there(objects, url, known):
            placed.append(known)
            continue
        stored = objects.put(path, url)
        put_bytes += stored.size
        placed.append(
            Exported(url=str(url), bytes=stored.size, sha256=digest, etag=stored.tag or "")
        )
    listed = Export(run_id=context.run.run_id, at=utc_now(), to=str(home), files=tuple(placed))
    context.folder.write(EXPORT_RECORD, listed)
    objects.put(context.folder.file(EXPORT_RECORD), home.below(EXPORT_RECORD))
    event("tables_exported", agent="pipeline", files=len(placed), put_bytes=put_bytes)
    return f"{len(_TABLES)} tables at {home}, {put_bytes / 1e6:,.1f} MB uploaded"


def _exported_before(context: RunContext) -> tuple[Exported, ...]:
    """The files uploaded before; none if their list is missing or damaged."""
    try:
        return context.folder.read(EXPORT_RECORD, Export).files
    except LiftwrightError:
        return ()


def _is_there(objects: Objects, url: ObjectUrl, known: Exported) -> bool:
    found = objects.find(url)
    return not isinstance(found, tuple) and (found.size, found.tag or "") == (
        known.bytes,
        known.etag,
    )


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def _whole_files(context: RunContext) -> Iterator[tuple[str, Path]]:
    for name in TABLE_FILES:
        path = context.folder.file(name)
        if path.is_dir():
            for part in sorted(path.iterdir()):
                yield f"{name}/{part.name}", part
        else:
            yield name, path


def _home(context: RunContext) -> ObjectUrl:
    url = _asked(context)
    if url is None:
        raise ConfigurationError("azure_config.yaml: object_stores.export_to: found null")
    return parse_url(url).below(context.run.run_id)


def _asked(context: RunContext) -> str | None:
    return context.settings.services.object_stores.export_to
