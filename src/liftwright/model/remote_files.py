"""Files in object stores, with as much of the interface of `pathlib.Path` as reading tables needs.

An object is pinned to the version that was found first: reading another one is an error. Parquet is
read by range requests; any other file is copied to this machine once.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, Literal

from liftwright.errors import InputError
from liftwright.model.json import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable

    from liftwright.model.urls import ObjectUrl

_CHUNK_BYTES = 8 << 20
_DOWNLOAD_THREADS = 4


@dataclass(frozen=True, eq=False, kw_only=True)
class RemoteFile:
    """An object, or a folder: the objects directly below a prefix.

    Attributes:
        size: in bytes; 0 for a folder.
        tag: the ETag; None if the store gives none.
        version: the version or generation; None if the store gives none.
        modified_ns: when it was written, in nanoseconds since 1970.
        files: the objects of a folder; None for an object.
        fetch: reads this version of an object from a start up to an end; thread-safe.
        scratch: returns the folder for the local copy.
    """

    url: ObjectUrl
    size: int = 0
    tag: str | None = None
    version: str | None = None
    modified_ns: int = 0
    files: tuple[RemoteFile, ...] | None = None
    fetch: Callable[[RemoteFile, int, int], bytes]
    scratch: Callable[[], Path] = lambda: Path(tempfile.gettempdir())

    def __str__(self) -> str:
        return str(self.url)

    @property
    def name(self) -> str:
        """The last part of the key."""
        return PurePosixPath(self.url.key).name or self.url.container

    @property
    def suffix(self) -> str:
        """The name's extension, with its dot."""
        return PurePosixPath(self.name).suffix

    @property
    def mark(self) -> tuple[object, ...]:
        """A key that changes whenever the object's content does."""
        # Not the time, if avoidable: the same bytes uploaded again are the same input.
        return (self.size, self.tag or self.version or self.modified_ns)

    @property
    def digest(self) -> str:
        """Identifies the content by the names, sizes and ETags in the listing."""
        if self.is_dir():
            return fingerprint("folder", [(f.name, f.mark) for f in self.glob("*.parquet")])
        return fingerprint("object", self.mark)

    def exists(self) -> bool:
        """Always true: what does not exist is refused when it is looked up."""
        return True

    def is_dir(self) -> bool:
        """Whether it is a folder."""
        return self.files is not None

    def is_file(self) -> bool:
        """Whether it is an object."""
        return self.files is None

    def glob(self, pattern: str, /) -> list[RemoteFile]:
        """The objects of a folder whose names match, in order of name."""
        found = (file for file in self.files or () if PurePosixPath(file.name).match(pattern))
        return sorted(found, key=lambda file: file.name)

    def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`, or to the end of the object.

        Raises:
            DataError: the object was deleted or changed, or cannot be read.
        """
        end = min(end, self.size)
        return self.fetch(self, start, end) if start < end else b""

    def open(self, mode: Literal["rb"]) -> BinaryIO:
        """Open the local copy."""
        return self.local.open(mode)

    @cached_property
    def local(self) -> Path:
        """A copy on this machine, downloaded when it is first needed.

        Raises:
            DataError: the object cannot be read.
            InputError: the copy cannot be written.
        """
        # Imported here, because runs on local files do not need it.
        from concurrent.futures import ThreadPoolExecutor

        try:
            path = self.scratch() / f"{fingerprint(str(self), self.mark)[:12]}-{self.name}"
            with path.open("wb") as copy, ThreadPoolExecutor(_DOWNLOAD_THREADS) as pool:

                def download(start: int) -> None:
                    os.pwrite(copy.fileno(), self.read(start, start + _CHUNK_BYTES), start)

                list(pool.map(download, range(0, self.size, _CHUNK_BYTES)))
        except OSError as error:
            raise InputError(f"{self}: cannot be copied here: {error.strerror}") from None
        return path


File = Path | RemoteFile
"""A file or folder of tables, on this machine or in an object store."""
