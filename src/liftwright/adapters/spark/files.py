"""How Spark reads and writes files: their URLs, the form of CSV, and what it leaves when it writes.

Spark writes a folder of parts under names that differ each time. Here the parts get plain names in
order, and a folder with one part becomes that file.
"""

from __future__ import annotations

import contextlib
import os
import secrets
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

_PART = ".part"
_PATTERNS = str.maketrans({sign: f"\\{sign}" for sign in "*?[]{}"})


def reading_url(path: Path) -> str:
    """The URL of a local file for reading."""
    return "file://" + plain(str(path.absolute()))


def plain(path: str) -> str:
    """A path in which the characters that Hadoop takes for patterns are meant as they are."""
    return path.translate(_PATTERNS)


def writing_url(path: Path) -> str:
    """The URL of a local path for writing."""
    return "file://" + str(path.absolute())


def new_part(path: Path) -> Path:
    """Where to write what shall become `path`.

    A name of its own each time: a Java machine whose process was killed goes on for a moment.
    """
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{_PART}")


def remove_parts(path: Path) -> None:
    """Remove whatever this or a killed process began beside `path` and did not end."""
    for other in path.parent.iterdir():
        if other.name.startswith(f".{path.name}.") and other.name.endswith(_PART):
            _remove(other)


def publish(part: Path, path: Path) -> None:
    """Give what Spark wrote to the folder `part` the name `path`, so that no half is ever there.

    A folder that had the name is moved aside, for `remove_parts`.
    """
    written = sorted(file for file in part.iterdir() if file.name.startswith("part-"))
    for other in part.iterdir():
        if other not in written:
            _remove(other)
    for file in written:
        _sync(file)
    if len(written) == 1 and not path.is_dir():
        written[0].replace(path)
        part.rmdir()
    else:
        for number, file in enumerate(written):
            file.rename(part / f"part-{number:05}.parquet")
        _sync(part)
        _make_way(path)
        part.rename(path)
    _sync(path.parent)


def _make_way(path: Path) -> None:
    """Move what has the name aside: a folder cannot be renamed onto another."""
    if path.is_dir():
        path.rename(new_part(path))
    else:
        path.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    # Another may be removing it too.
    with contextlib.suppress(FileNotFoundError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
