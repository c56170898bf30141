"""Resolves paths and URLs to files."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from liftwright.data.file_copies import write_copy
from liftwright.data.file_format import file_format, file_version
from liftwright.data.scratch import scratch_folder
from liftwright.errors import DataError
from liftwright.model import is_url, parse_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from liftwright.config import FileOptions
    from liftwright.model.remote_files import File, RemoteFile
    from liftwright.ports import CsvFormat, Objects


class FileResolver:
    """Resolves a URL once, so that a whole process sees one version of the object."""

    def __init__(
        self, objects: Callable[[], Objects] | None = None, data: Path | None = None
    ) -> None:
        """Resolve local files, and objects if `objects` is given.

        Args:
            objects: opens the object stores at the first URL; None refuses URLs.
            data: the parent of the folder for copies; None takes the system's temporary folder.
        """
        self._open = objects
        self._data = data
        self._objects: Objects | None = None
        self._found: dict[str, RemoteFile] = {}
        self._folder: Path | None = None
        self._copies: dict[tuple[object, ...], tuple[Path, tuple[str, ...]]] = {}

    def find(self, root: Path, place: str | Path) -> File:
        """The file at a path relative to `root`, or at a URL.

        Raises:
            DataError: the URL is invalid or names nothing, or the store fails or denies access.
        """
        text = str(place)
        if not is_url(text):
            return root / place
        if text not in self._found:
            found = self.objects(text).find(parse_url(text))
            if found is None:
                raise DataError(f"{text}: no such object or folder")
            self._found[text] = replace(found, scratch=self._scratch)
        return self._found[text]

    def objects(self, url: str) -> Objects:
        """The object stores, for use with `url`.

        Raises:
            DataError: URLs are refused.
        """
        if self._open is None:
            raise DataError(f"{url}: found a URL, allowed: a local path")
        if self._objects is None:
            self._objects = self._open()
        return self._objects

    def readable(self, path: File, options: FileOptions) -> tuple[File, CsvFormat, tuple[str, ...]]:
        """A CSV file that engines read: `path` itself, or a copy; its format, and warnings.

        Raises:
            DataError: the file is not a single table, is ambiguous, or contradicts the options.
        """
        form = file_format(path, options)
        if form.direct:
            return path, form.csv, form.warnings
        key = (path, file_version(path), options)
        if key not in self._copies:
            copy = self._scratch() / f"{len(self._copies)}.csv"
            self._copies[key] = (copy, write_copy(form, copy))
        copy, left_out = self._copies[key]
        return copy, form.csv, (*form.warnings, *left_out)

    def close(self) -> None:
        """Remove the copies."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _scratch(self) -> Path:
        if self._folder is None:
            self._folder = scratch_folder(self._data or Path(tempfile.gettempdir()))
        return self._folder
