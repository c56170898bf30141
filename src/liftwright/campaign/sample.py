"""The sample workspace: its files, and its brand values that are left in a configuration."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from liftwright.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from liftwright.config import Brand
    from liftwright.model import Document

_PARTS = ("config", "data/raw", "data/content", ".env.example")
_CONTENT = "data/content/approved_content"


def leftover_brand_values(brand: Brand, documents: Sequence[Document]) -> tuple[str, ...]:
    """The keys of the brand that have the sample's values although the content is another.

    Args:
        brand: the configured sender.
        documents: the content; it is another if most of its ids are not the sample's.
    """
    import yaml

    source = _source()
    file = source / "config" / "experiment_config.yaml"
    if not file.is_file() or not (source / _CONTENT).is_dir():
        return ()
    values = yaml.safe_load(file.read_text(encoding="utf-8"))["brand"]
    own = brand.model_dump(mode="json")
    leftover = tuple(f"brand.{key}" for key, value in values.items() if own.get(key) == value)
    if not leftover:
        return ()
    sample = {
        json.loads(document.read_text(encoding="utf-8"))["document_id"]
        for document in (source / _CONTENT).glob("*.json")
    }
    same = sum(document.document_id in sample for document in documents)
    return leftover if same * 2 < len(documents) else ()


def init_workspace(folder: Path) -> tuple[Path, ...]:
    """Create a workspace in a new or empty folder; returns the relative paths of its files.

    Raises:
        InputError: the folder is not empty, or not writable.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: not empty, allowed: a new or empty folder")
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
    """The folder of the sample files: inside the package in a wheel, the root in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "workspace_files"
    return installed if installed.is_dir() else package.parents[1]
