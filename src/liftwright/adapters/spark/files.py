"""How Spark reads and writes files: URLs, CSV options, and the files that a write leaves.

Spark writes a folder of parts with random names. They are renamed in order, and a folder with a
single part becomes that file.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from liftwright.errors import DataError

if TYPE_CHECKING:
    from liftwright.model.remote_files import File

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
"""Every field is text, unchanged; a row of another width is an error."""

_PART = ".part"
_WILDCARDS = str.maketrans({sign: f"\\{sign}" for sign in "*?[]{}"})
# The characters that Java leaves unquoted in the path of a URI; beyond ASCII it quotes only spaces.
_UNQUOTED = "!$&'()*+,;=:@-._~/"
_LAST_ASCII = 0x7F


def reading_url(file: File) -> str:
    """The URL by which Spark reads a file, with Hadoop's wildcards escaped.

    Objects are read by Hadoop's connectors; `spark.config` names their packages.

    Raises:
        DataError: the URL does not name the storage account; Hadoop does not see our environment.
    """
    if isinstance(file, Path):
        return "file://" + _escaped(str(file.absolute()))
    url = file.url
    key = _escaped(url.key)
    if url.store == "s3":
        return f"s3a://{url.container}/{key}"
    if url.store == "gcs":
        return f"gs://{url.container}/{key}"
    if url.account is None:
        raise DataError(
            f"{url}: Spark needs the account in the URL: "
            "abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH"
        )
    return f"abfss://{url.container}@{url.account}.dfs.{url.suffix}/{key}"


def name_in_metadata(file: File) -> str:
    """The file's name as `_metadata.file_name` has it, quoted as a part of a URI."""
    return "".join(
        sign if ord(sign) > _LAST_ASCII and sign.isprintable() else quote(sign, safe=_UNQUOTED)
        for sign in file.name
    )


def _escaped(path: str) -> str:
    return path.translate(_WILDCARDS)


def writing_url(path: Path) -> str:
    """The URL of a local path for writing."""
    return "file://" + str(path.absolute())


def new_part(path: Path) -> Path:
    """A new temporary name for what will become `path`.

    It is random because a JVM keeps writing for a moment after its parent process was killed.
    """
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{_PART}")


def remove_parts(path: Path) -> None:
    """Remove the unfinished parts of `path`, of this or of a killed process."""
    for other in path.parent.iterdir():
        if other.name.startswith(f".{path.name}.") and other.name.endswith(_PART):
            _remove(other)


def publish(part: Path, path: Path) -> None:
    """Rename the folder `part` to `path`, so that a partial table is never visible.

    An existing folder is moved aside and left to `remove_parts`.
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
        _move_aside(path)
        part.rename(path)
    _sync(path.parent)


def _move_aside(path: Path) -> None:
    """Free the name: a folder cannot be renamed onto another."""
    if path.is_dir():
        path.rename(new_part(path))
    else:
        path.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    # Another process may remove it too.
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
