"""Temporary folders owned by one process; the folders of dead processes are removed."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from liftwright.errors import InputError


def scratch_folder(data: Path) -> Path:
    """A new temporary folder in `data` for this process.

    Raises:
        InputError: `data` cannot be written.
    """
    try:
        data.mkdir(parents=True, exist_ok=True)
        return process_folder(data, "engine-")
    except OSError as error:
        raise InputError(f"{data}: cannot be written: {error.strerror}") from None


def process_folder(parent: Path, prefix: str) -> Path:
    """Make a folder in `parent` whose name begins with `prefix` and this process's id.

    Raises:
        OSError: `parent` cannot be written.
    """
    for folder in parent.glob(f"{prefix}*"):
        owner = folder.name.removeprefix(prefix).partition("-")[0]
        if owner.isdigit() and not _is_alive(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=parent))


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
