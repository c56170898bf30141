"""The fsspec filesystem through which DuckDB reads Parquet from object stores by range requests.

fsspec's own buffered files are not safe here: DuckDB reads one file from several threads (ADR 009).
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fsspec import AbstractFileSystem

from liftwright.errors import LiftwrightError

if TYPE_CHECKING:
    from liftwright.model.remote_files import RemoteFile


class RemoteFileSystem(AbstractFileSystem):  # type: ignore[misc] # fsspec has no types
    """The objects that one engine has opened.

    Attributes:
        files: by URL, and by the pattern that DuckDB is given for it.
        error: the last error of a read; DuckDB wraps it in its own.
    """

    protocol = ("s3", "s3a", "abfss", "az", "gs")
    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, RemoteFile] = {}
        self.error: LiftwrightError | None = None

    def glob(self, path: str, **_: object) -> list[str]:
        """The URL of the one object that the pattern matches."""
        return [str(self.files[path])]

    def info(self, path: str, **_: object) -> dict[str, object]:
        """The object's name and size."""
        return {"name": path, "size": self.files[path].size, "type": "file"}

    def modified(self, path: str) -> datetime:
        """When the object was written."""
        return datetime.fromtimestamp(self.files[path].modified_ns / 1e9, UTC)

    def open(self, path: str, mode: str = "rb", **_: object) -> RemoteReader:
        """Open the object for reading."""
        del mode  # DuckDB writes no objects
        return RemoteReader(self, self.files[path])


class RemoteReader:
    """An open object. DuckDB calls `seek` and then `read`; each thread has its own position."""

    def __init__(self, filesystem: RemoteFileSystem, file: RemoteFile) -> None:
        self._filesystem = filesystem
        self._file = file
        self._thread = threading.local()

    def seek(self, offset: int) -> None:
        """Set the position of this thread."""
        self._thread.position = offset

    def read(self, size: int) -> bytes:
        """The next `size` bytes, or those up to the end."""
        start: int = getattr(self._thread, "position", 0)
        try:
            data = self._file.read(start, start + size)
        except LiftwrightError as error:
            self._filesystem.error = error
            raise
        self._thread.position = start + len(data)
        return data

    def close(self) -> None:
        """Do nothing: no connection is held."""
