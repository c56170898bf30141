"""Folders that belong to one process; those of processes that were killed are removed."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from liftwright.errors import InputError


def scratch_folder(data: Path) -> Path:
    """A new folder in `data` for what this process alone needs.

    Raises:
        InputError: `data` cannot be written.
    """
    try:
        data.mkdir(parents=True, exist_ok=True)
        return own_folder(data, "engine-")
    except OSError as error:
        raise InputError(f"{data}: cannot be written: {error.strerror}") from None


def own_folder(place: Path, prefix: str) -> Path:
    """Make a folder in `place` whose name begins with `prefix` and this process's number.

    Raises:
        OSError: the place cannot be written.
    """
    for folder in place.glob(f"{prefix}*"):
        owner = folder.name.removeprefix(prefix).partition("-")[0]
        if owner.isdigit() and not _is_alive(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=place))


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
