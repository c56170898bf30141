"""Files in object stores, seen as much like a path of this machine as reading rows needs.

An object is pinned to the version that its listing showed: whoever reads a later one is refused.
Parquet is read in pieces where it lies; anything else is copied once and read from the copy.
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

_PIECE_BYTES = 8 << 20
_READERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """What a store says of one object.

    Attributes:
        size: in bytes.
        tag: the store's name of the content (an ETag); None where it gives none.
        version: the store's number of the version (a generation); None where it gives none.
        modified_ns: when it was written, in nanoseconds since 1970.
    """

    url: ObjectUrl
    size: int
    tag: str | None
    version: str | None
    modified_ns: int

    @property
    def mark(self) -> tuple[object, ...]:
        """What changes whenever the content does."""
        # The time alone would call the same bytes, put there again, another input.
        return (self.size, self.tag or self.version or self.modified_ns)


class RemoteFile:
    """One object, or a prefix with the objects directly below it."""

    def __init__(
        self,
        url: ObjectUrl,
        found: StoredObject | tuple[StoredObject, ...],
        *,
        read: Callable[[StoredObject, int, int], bytes],
        scratch: Callable[[], Path],
    ) -> None:
        """What was found at `url`.

        Args:
            url: the place.
            found: the object, or those below the prefix.
            read: gives the bytes of an object from one place up to another.
            scratch: gives a folder of this process for copies.
        """
        self.url = url
        self._found = found
        self._read = read
        self._scratch = scratch
        self._copy: Path | None = None

    def __str__(self) -> str:
        return str(self.url)

    @property
    def name(self) -> str:
        """The last part of the key."""
        return PurePosixPath(self.url.key).name or self.url.container

    @property
    def suffix(self) -> str:
        """The ending of the name, with its dot."""
        return PurePosixPath(self.name).suffix

    @property
    def stored(self) -> StoredObject:
        """The one object that this is.

        Raises:
            DataError: it is a folder.
        """
        if isinstance(self._found, tuple):
            raise DataError(f"{self}: a folder; one object is expected")
        return self._found

    @property
    def digest(self) -> str:
        """What names the content: by the names, sizes and tags of what was listed."""
        if isinstance(self._found, tuple):
            inside = [(one.name, one.stored.mark) for one in self.glob("*.parquet")]
            return fingerprint("folder", inside)
        return fingerprint("object", self._found.mark)

    @property
    def mark(self) -> tuple[object, ...]:
        """What changes whenever the content of the one object does."""
        return self.stored.mark

    def exists(self) -> bool:
        """Yes: what is not there is refused when it is looked for."""
        return True

    def is_dir(self) -> bool:
        """Whether it is a prefix."""
        return isinstance(self._found, tuple)

    def is_file(self) -> bool:
        """Whether it is an object."""
        return not self.is_dir()

    def glob(self, pattern: str, /) -> list[RemoteFile]:
        """The objects directly below a prefix whose names match, by name."""
        inside = self._found if isinstance(self._found, tuple) else ()
        remotes = [
            RemoteFile(one.url, one, read=self._read, scratch=self._scratch)
            for one in inside
            if PurePosixPath(one.url.key).match(pattern)
        ]
        return sorted(remotes, key=lambda remote: remote.name)

    def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`, or to where the object ends.

        Raises:
            DataError: the object is gone or another by now, or cannot be read.
        """
        stored = self.stored
        end = min(end, stored.size)
        return self._read(stored, start, end) if start < end else b""

    def open(self, mode: Literal["rb"]) -> BinaryIO:
        """The whole of it, copied to this machine when it is first asked for."""
        return self.local().open(mode)

    def local(self) -> Path:
        """A copy on this machine, made when it is first asked for; it goes with the process.

        Raises:
            DataError: the object cannot be read.
            InputError: the disk has no room.
        """
        if self._copy is None:
            self._copy = self._fetch()
        return self._copy

    def _fetch(self) -> Path:
        # Imported here: a run on this machine's files does without.
        from concurrent.futures import ThreadPoolExecutor

        stored = self.stored
        try:
            path = self._scratch() / f"{fingerprint(str(self), stored.mark)[:12]}-{self.name}"
            with path.open("wb") as file, ThreadPoolExecutor(_READERS) as readers:

                def fetch(start: int) -> None:
                    piece = self.read(start, start + _PIECE_BYTES)
                    os.pwrite(file.fileno(), piece, start)

                list(readers.map(fetch, range(0, stored.size, _PIECE_BYTES)))
        except OSError as error:
            raise InputError(f"{self}: cannot be copied here: {error.strerror}") from None
        return path


File = Path | RemoteFile
"""Where rows lie: a path of this machine, or a place in an object store."""
