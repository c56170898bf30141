"""A run's tables, put to an object store when they are whole; its folder stays the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.domain import ObjectUrl, parse_url, utc_now
from liftwright.errors import ConfigurationError
from liftwright.log import event
from liftwright.runs import digest_file
from liftwright.stages import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from liftwright.domain import Json
    from liftwright.stages import Work

_TABLES = ("segmented", "assignments", "unassigned", "engagement")
_FILES = tuple(f"{table}.parquet" for table in _TABLES)
_RECORD = "export.json"


def exporting(work: Work) -> tuple[Stage, ...]:
    """The stage that puts the tables elsewhere; none where nobody asks for it."""
    return (_EXPORT,) if _asked(work) is not None else ()


def check_export(work: Work) -> None:
    """See that the store can be asked, before anything is paid for.

    Raises:
        DataError: there is no such bucket, or no way in.
    """
    url = _asked(work)
    if url is not None:
        work.places.objects(url).find(parse_url(f"{url.rstrip('/')}/"))


def export(work: Work) -> str:
    """Each table to `<export_to>/<run_id>/`, and then the list of all that is there.

    A store shows an object when all of it has arrived, so no half of one is ever seen; the list
    goes last, so who finds it finds every table whole.

    Raises:
        DataError: the store cannot be reached, or does not take them.
    """
    home = _home(work)
    objects = work.places.objects(str(home))
    placed: list[Json] = []
    size = 0
    for name, path in _whole_files(work):
        stored = objects.put(path, home.below(name))
        size += stored.size
        placed.append(
            {
                "url": str(stored.url),
                "bytes": stored.size,
                "sha256": digest_file(path),
                "etag": stored.tag,
            }
        )
    work.folder.write(_RECORD, {"run_id": work.run.run_id, "at": utc_now(), "files": placed})
    objects.put(work.folder.file(_RECORD), home.below(_RECORD))
    event("tables_exported", agent="pipeline", files=len(placed), bytes=size)
    return f"{len(_TABLES)} tables, {size / 1e6:,.1f} MB, to {home}"


def _whole_files(work: Work) -> Iterator[tuple[str, Path]]:
    for name in _FILES:
        path = work.folder.file(name)
        if path.is_dir():
            for part in sorted(path.iterdir()):
                yield f"{name}/{part.name}", part
        else:
            yield name, path


def _home(work: Work) -> ObjectUrl:
    url = _asked(work)
    if url is None:
        raise ConfigurationError("azure_config.yaml: object_stores.export_to: found null")
    return parse_url(url).below(work.run.run_id)


def _asked(work: Work) -> str | None:
    return work.settings.services.object_stores.export_to


_EXPORT = Stage(
    name="export",
    run=export,
    reads=_FILES,
    writes=(_RECORD,),
    settings=_asked,
)
