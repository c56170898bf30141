"""Objects as files of DuckDB: it reads the pieces of Parquet that it needs where they lie."""

from __future__ import annotations

import io
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fsspec import AbstractFileSystem

from liftwright.errors import LiftwrightError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from liftwright.model.remote_files import RemoteFile


class ObjectFiles(AbstractFileSystem):  # type: ignore[misc] # fsspec has no types
    """The objects that were opened, by the names that DuckDB knows them by."""

    protocol = ("s3", "s3a", "abfss", "az", "gs")
    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self._files: dict[str, RemoteFile] = {}
        self.fault: LiftwrightError | None = None
        """What went wrong in reading, before DuckDB wrapped it in its own words."""

    def add(self, names: Iterable[tuple[str, RemoteFile]]) -> None:
        """Make objects known by the names that statements say."""
        for name, remote in names:
            self._files[name] = self._files[str(remote)] = remote

    def take_fault(self) -> LiftwrightError | None:
        """What went wrong since this was last asked."""
        fault, self.fault = self.fault, None
        return fault

    def glob(self, path: str, **_: object) -> list[str]:
        """The one object of that name."""
        return [str(self._files[path])]

    def info(self, path: str, **_: object) -> dict[str, object]:
        """The object's name and size."""
        return {"name": path, "size": self._files[path].stored.size, "type": "file"}

    def modified(self, path: str) -> datetime:
        """When the object was written."""
        return datetime.fromtimestamp(self._files[path].stored.modified_ns / 1e9, UTC)

    def open(self, path: str, mode: str = "rb", **_: object) -> ObjectReader:
        """The object, to be read in pieces."""
        del mode  # nothing is written through it
        return ObjectReader(self, self._files[path])


class ObjectReader(io.RawIOBase):
    """An object whose pieces are fetched when they are read; each thread has its own place."""

    def __init__(self, files: ObjectFiles, remote: RemoteFile) -> None:
        super().__init__()
        self._files = files
        self._remote = remote
        self._place = threading.local()

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Where this thread reads next."""
        at: int = getattr(self._place, "at", 0)
        return at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place from the start, from here, or from the end."""
        size = self._remote.stored.size
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: size}[whence]
        self._place.at = start + offset
        return self.tell()

    def read(self, size: int = -1) -> bytes:
        """The next bytes, at most `size`; all that are left where it is negative."""
        start = self.tell()
        end = self._remote.stored.size if size < 0 else start + size
        try:
            piece = self._remote.read(start, end)
        except LiftwrightError as error:
            self._files.fault = error
            raise
        self._place.at = start + len(piece)
        return piece
