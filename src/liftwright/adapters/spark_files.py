"""How Spark reads and writes files: their URLs, the form of CSV, and what it leaves when it writes.

Spark writes a folder of parts under names that differ each time. Here the parts get plain names in
order, and a folder with one part becomes that file.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CSV_OPTIONS = {
    "header": "true",
    "quote": '"',
    "escape": '"',
    "multiLine": "true",
    "mode": "FAILFAST",
    "nullValue": "",
    "ignoreLeadingWhiteSpace": "false",
    "ignoreTrailingWhiteSpace": "false",
    "enforceSchema": "true",
    "maxCharsPerColumn": "-1",
}
"""Every field as text in its exact bytes; a row of another width is an error."""

_PATTERNS = str.maketrans({sign: f"\\{sign}" for sign in "*?[]{}"})


def reading_url(path: Path) -> str:
    """The URL of a local file for reading; characters that Hadoop takes for patterns are plain."""
    return "file://" + str(path.absolute()).translate(_PATTERNS)


def writing_url(path: Path) -> str:
    """The URL of a local path for writing."""
    return "file://" + str(path.absolute())


def publish(part: Path, path: Path) -> None:
    """Give what Spark wrote to the folder `part` the name `path`, so that no half is ever there."""
    written = sorted(file for file in part.iterdir() if file.name.startswith("part-"))
    for other in part.iterdir():
        if other not in written:
            other.unlink()
    if len(written) == 1 and not path.is_dir():
        _sync(written[0])
        written[0].replace(path)
        part.rmdir()
    else:
        for number, file in enumerate(written):
            _sync(file)
            file.rename(part / f"part-{number:05}.parquet")
        _make_way(path)
        part.rename(path)
    _sync(path.parent)


def _make_way(path: Path) -> None:
    """Move what has the name aside, then remove it: a folder cannot be renamed onto another."""
    if path.is_dir():
        aside = path.with_name(f".{path.name}.old.part")
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)
        shutil.rmtree(aside)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
