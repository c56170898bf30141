"""Files in object stores, with as much of the interface of `pathlib.Path` as reading tables needs.

An object is pinned to the version that was found first: reading another one is an error. Parquet is
read by range requests; any other file is copied to this machine once.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, Literal

from liftwright.errors import DataError, InputError
from liftwright.model.json import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable

    from liftwright.model.urls import ObjectUrl

_CHUNK_BYTES = 8 << 20
_DOWNLOAD_THREADS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object's metadata.

    Attributes:
        size: in bytes.
        tag: the ETag; None if the store gives none.
        version: the version or generation; None if the store gives none.
        modified_ns: when it was written, in nanoseconds since 1970.
    """

    url: ObjectUrl
    size: int
    tag: str | None
    version: str | None
    modified_ns: int

    @property
    def mark(self) -> tuple[object, ...]:
        """A key that changes whenever the content does."""
        # Not the time, if avoidable: the same bytes uploaded again are the same input.
        return (self.size, self.tag or self.version or self.modified_ns)


@dataclass(eq=False, slots=True, kw_only=True)
class RemoteFile:
    """An object, or a folder: the objects directly below a prefix.

    Attributes:
        found: the object, or the objects of the folder.
        read_range: reads an object from a start up to an end.
        scratch: returns a folder for copies, removed at the end of the process.
    """

    url: ObjectUrl
    found: StoredObject | tuple[StoredObject, ...]
    read_range: Callable[[StoredObject, int, int], bytes]
    scratch: Callable[[], Path]
    _copy: Path | None = None

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
    def stored(self) -> StoredObject:
        """The object's metadata.

        Raises:
            DataError: it is a folder.
        """
        if isinstance(self.found, tuple):
            raise DataError(f"{self}: a folder; one object is expected")
        return self.found

    @property
    def mark(self) -> tuple[object, ...]:
        """A key that changes whenever the object's content does."""
        return self.stored.mark

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
        return isinstance(self.found, tuple)

    def is_file(self) -> bool:
        """Whether it is an object."""
        return not self.is_dir()

    def glob(self, pattern: str, /) -> list[RemoteFile]:
        """The objects directly below a prefix whose names match, by name."""
        inside = self.found if isinstance(self.found, tuple) else ()
        files = [
            RemoteFile(url=one.url, found=one, read_range=self.read_range, scratch=self.scratch)
            for one in inside
            if PurePosixPath(one.url.key).match(pattern)
        ]
        return sorted(files, key=lambda file: file.name)

    def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`, or to the end of the object.

        Raises:
            DataError: the object was deleted or changed, or cannot be read.
        """
        stored = self.stored
        end = min(end, stored.size)
        return self.read_range(stored, start, end) if start < end else b""

    def open(self, mode: Literal["rb"]) -> BinaryIO:
        """Open the local copy."""
        return self.local().open(mode)

    def local(self) -> Path:
        """A copy on this machine, downloaded at the first call.

        Raises:
            DataError: the object cannot be read.
            InputError: the copy cannot be written.
        """
        if self._copy is None:
            self._copy = self._download()
        return self._copy

    def _download(self) -> Path:
        # Imported here, because runs on local files do not need it.
        from concurrent.futures import ThreadPoolExecutor

        try:
            path = self.scratch() / f"{fingerprint(str(self), self.mark)[:12]}-{self.name}"
            with path.open("wb") as file, ThreadPoolExecutor(_DOWNLOAD_THREADS) as pool:

                def download(start: int) -> None:
                    os.pwrite(file.fileno(), self.read(start, start + _CHUNK_BYTES), start)

                list(pool.map(download, range(0, self.stored.size, _CHUNK_BYTES)))
        except OSError as error:
            raise InputError(f"{self}: cannot be copied here: {error.strerror}") from None
        return path


File = Path | RemoteFile
"""A file or folder of tables, on this machine or in an object store."""
