"""The files of the embedded index: one folder per index, written atomically.

`<folder>/<name>/` has `passages.json` (the passages and the fields that filters use) and
`arrays.npz` (the vectors and the inverted index). A folder is written under a temporary name,
renamed when it is complete, and never changed afterwards, so readers need no lock.
`<folder>/recent.json` lists the latest indexes, whose vectors the next one reuses.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from liftwright.adapters.embedded.bm25 import Bm25
from liftwright.errors import InputError, ProviderRefused

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from liftwright.ports import Vectors

MAX_INDEXES = 4
RENAME_ATTEMPTS = 3
# The errors of numpy, zipfile and json for an incomplete or foreign file.
_BROKEN = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexEntry:
    """A passage of the index, with its document's filter fields, in the order of the arrays."""

    document_id: str
    version: str
    title: str
    category: str
    section: str
    paragraph_index: int
    text: str
    digest: str
    audience: tuple[str, ...] = ()
    audience_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredIndex:
    """An index in its stored form.

    Attributes:
        documents: the fingerprint of each document, by id.
        vectors: one row of length 1 per entry.
    """

    name: str
    embedder: str
    documents: Mapping[str, str]
    entries: tuple[IndexEntry, ...]
    vectors: Vectors
    lexical: Bm25

    def by_digest(self) -> dict[str, Vectors]:
        """The vectors by the digest of their text."""
        return {entry.digest: self.vectors[row] for row, entry in enumerate(self.entries)}


def read_index(folder: Path, name: str) -> StoredIndex:
    """Read the index with this name.

    Raises:
        ProviderRefused: it does not exist, or its files are corrupt.
    """
    import numpy as np

    try:
        about = json.loads((folder / name / "passages.json").read_bytes())
        with np.load(folder / name / "arrays.npz", allow_pickle=False) as arrays:
            vectors = arrays["vectors"]
            lexical = Bm25.of(
                about["vocabulary"],
                arrays["starts"],
                arrays["passages"],
                arrays["impacts"],
                len(about["entries"]),
            )
        entries = tuple(_entry(row) for row in about["entries"])
    except _BROKEN as error:
        message = f"{folder / name}: the index is missing or corrupt; run `liftwright index`"
        raise ProviderRefused(message) from error
    return StoredIndex(
        name=name,
        embedder=about["embedder"],
        documents=about["documents"],
        entries=entries,
        vectors=vectors,
        lexical=lexical,
    )


def _entry(row: Mapping[str, Any]) -> IndexEntry:
    # Without `from_json`, which would take seconds for a large index.
    return IndexEntry(**{**row, "audience": tuple(row["audience"])})


def write_index(folder: Path, index: StoredIndex) -> None:
    """Write an index atomically, and mark it as the latest.

    Raises:
        InputError: the folder cannot be written.
    """
    import numpy as np

    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".making-", dir=folder))
        try:
            np.savez(
                temporary / "arrays.npz",
                vectors=index.vectors,
                starts=index.lexical.starts,
                passages=index.lexical.passages,
                impacts=index.lexical.impacts,
            )
            about = {
                "name": index.name,
                "embedder": index.embedder,
                "documents": dict(index.documents),
                "vocabulary": index.lexical.vocabulary,
                "entries": [asdict(entry) for entry in index.entries],
            }
            (temporary / "passages.json").write_text(json.dumps(about), encoding="utf-8")
            _rename(temporary, folder, index.name)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        mark_latest(folder, index.name)
    except OSError as error:
        message = f"{folder}: the index cannot be written ({error.strerror}); allowed: a writable "
        raise InputError(f"{message}folder with enough space") from error


def _rename(temporary: Path, folder: Path, name: str) -> None:
    """Rename into place, replacing a corrupt index, but not one that was written meanwhile."""
    for attempt in range(RENAME_ATTEMPTS):
        try:
            temporary.rename(folder / name)
        except OSError:
            if try_read_index(folder, name):
                return
            if attempt == RENAME_ATTEMPTS - 1:
                raise
            with contextlib.suppress(OSError):
                (folder / name).rename(temporary.with_suffix(f".{attempt}"))
            shutil.rmtree(temporary.with_suffix(f".{attempt}"), ignore_errors=True)
        else:
            return


def try_read_index(folder: Path, name: str) -> StoredIndex | None:
    """The index with this name; None if it is missing or corrupt."""
    try:
        return read_index(folder, name)
    except ProviderRefused:
        return None


def recent_names(folder: Path) -> list[str]:
    """The names of the latest indexes, newest first."""
    try:
        names = json.loads((folder / "recent.json").read_bytes())
    except (OSError, ValueError):
        return []
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def mark_latest(folder: Path, name: str) -> None:
    """Mark `name` as the latest index, and remove those that are no longer recent."""
    before = recent_names(folder)
    if before[:1] == [name]:
        return
    names = [name, *(other for other in before if other != name)]
    _write_recent(folder, names[:MAX_INDEXES])
    for old in names[MAX_INDEXES:]:
        if Path(old).name == old:
            shutil.rmtree(folder / old, ignore_errors=True)


def _write_recent(folder: Path, names: list[str]) -> None:
    handle, temporary = tempfile.mkstemp(prefix=".making-", dir=folder)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(names, file)
    Path(temporary).replace(folder / "recent.json")


def latest_index(folder: Path) -> StoredIndex | None:
    """The newest readable index; None if there is none."""
    for name in recent_names(folder):
        if index := try_read_index(folder, name):
            return index
    return None


def index_names(folder: Path) -> list[str]:
    """The names of all indexes in the folder, recent or not."""
    return sorted(path.parent.name for path in folder.glob("[!.]*/passages.json"))


def remove_indexes(folder: Path, names: Collection[str]) -> None:
    """Delete these indexes.

    Raises:
        InputError: an index cannot be deleted.
    """
    for name in names:
        try:
            shutil.rmtree(folder / name)
        except OSError as error:
            message = f"{folder / name}: cannot be removed ({error.strerror}); allowed: a writable "
            raise InputError(f"{message}folder") from error
    if names:
        _write_recent(folder, [name for name in recent_names(folder) if name not in names])
