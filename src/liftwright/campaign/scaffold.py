"""A new workspace: configuration, prompts and the sample brand, from a checkout or a wheel."""

from __future__ import annotations

import shutil
from pathlib import Path

from liftwright.errors import InputError

_PARTS = ("config", "data/raw", "data/content", ".env.example")


def init_workspace(folder: Path) -> tuple[Path, ...]:
    """Lay a workspace down in a new or empty folder; gives the files, relative to it.

    Raises:
        InputError: where the folder holds something, or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: holds something already; allowed: a new or an empty folder")
    source = _source()
    try:
        for part in _PARTS:
            target = folder / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if (source / part).is_dir():
                shutil.copytree(source / part, target)
            else:
                shutil.copyfile(source / part, target)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror})") from None
    return tuple(sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file()))


def _source() -> Path:
    """The wheel carries the files inside the package; a checkout has them at its root."""
    package = Path(__file__).parents[1]
    carried = package / "workspace_files"
    return carried if carried.is_dir() else package.parents[1]
