"""Where a file of rows lies: a path of this machine, or a URL that is looked up in its store."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from liftwright.data.scratch import scratch_folder
from liftwright.errors import DataError
from liftwright.model import is_url, parse_url
from liftwright.model.remote_files import File, RemoteFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from liftwright.ports import Objects


class FileResolver:
    """Finds files by what was typed. A URL is looked up once: all of a process see one version."""

    def __init__(
        self, objects: Callable[[], Objects] | None = None, data: Path | None = None
    ) -> None:
        """Files of this machine, and of stores.

        Args:
            objects: opens the stores when a URL first asks for them; None knows paths alone.
            data: where a folder for copies is made; None takes the system's.
        """
        self._open = objects
        self._data = data
        self._objects: Objects | None = None
        self._found: dict[str, RemoteFile] = {}
        self._folder: Path | None = None

    def find(self, root: Path, place: str | Path) -> File:
        """The file at a path relative to `root`, or at a URL.

        Raises:
            DataError: a URL is not one of a store, names nothing, or its store does not answer.
        """
        text = str(place)
        if not is_url(text):
            return root / place
        if text not in self._found:
            url = parse_url(text)
            objects = self.objects(text)
            found = objects.find(url)
            if not found:
                raise DataError(f"{text}: no such object or folder")
            self._found[text] = RemoteFile(url, found, read=objects.read, scratch=self._scratch)
        return self._found[text]

    def objects(self, text: str) -> Objects:
        """The stores, for the URL `text`.

        Raises:
            DataError: there are none here.
        """
        if self._open is None:
            raise DataError(f"{text}: found a URL, allowed: a local path")
        if self._objects is None:
            self._objects = self._open()
        return self._objects

    def close(self) -> None:
        """Remove the copies."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _scratch(self) -> Path:
        if self._folder is None:
            self._folder = scratch_folder(self._data or Path(tempfile.gettempdir()))
        return self._folder
