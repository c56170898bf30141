"""The files of the embedded index: a folder per index, written whole, read at once.

`<folder>/<name>/` holds `passages.json` (what is shown, and what filters look at) and
`arrays.npz` (vectors and the inverted index). A folder is made under another name and renamed
when it is complete, and never changed after that, so that readers need no lock.
`<folder>/recent.json` names the latest indexes, whose vectors the next one takes over.
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

KEPT_INDEXES = 4
RENAME_ATTEMPTS = 3
# What numpy, zipfile and json raise on a file that is torn or is not theirs.
_BROKEN = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One passage of the index and its document's filters; the order is that of the arrays."""

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
class Stored:
    """An index as it is kept.

    Attributes:
        documents: each document's fingerprint, by id.
        vectors: one row per entry, of length 1.
    """

    name: str
    embedder: str
    documents: Mapping[str, str]
    entries: tuple[Entry, ...]
    vectors: Vectors
    lexical: Bm25

    def by_digest(self) -> dict[str, Vectors]:
        """The vectors by the text that each is of."""
        return {entry.digest: self.vectors[row] for row, entry in enumerate(self.entries)}


def read_index(folder: Path, name: str) -> Stored:
    """The index of that name.

    Raises:
        ProviderRefused: there is none, or its files are broken.
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
        message = f"{folder / name}: the index is missing or broken; make it with liftwright index"
        raise ProviderRefused(message) from error
    return Stored(
        name=name,
        embedder=about["embedder"],
        documents=about["documents"],
        entries=entries,
        vectors=vectors,
        lexical=lexical,
    )


def _entry(row: Mapping[str, Any]) -> Entry:
    # Field by field as stored: a large index is read in a second only without `from_json`.
    return Entry(**{**row, "audience": tuple(row["audience"])})


def write_index(folder: Path, index: Stored) -> None:
    """Keep an index, whole or not at all, and note it as the latest.

    Raises:
        InputError: the folder cannot be written.
    """
    import numpy as np

    try:
        folder.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=".making-", dir=folder))
        try:
            np.savez(
                making / "arrays.npz",
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
            (making / "passages.json").write_text(json.dumps(about), encoding="utf-8")
            _put(making, folder, index.name)
        finally:
            shutil.rmtree(making, ignore_errors=True)
        note_recent(folder, index.name)
    except OSError as error:
        message = f"{folder}: the index cannot be written ({error.strerror}); allowed: a folder "
        raise InputError(f"{message}that can be written, with room") from error


def _put(made: Path, folder: Path, name: str) -> None:
    """Rename into place; a broken index gives way, one that another made meanwhile stays."""
    for attempt in range(RENAME_ATTEMPTS):
        try:
            made.rename(folder / name)
        except OSError:
            if index_if_whole(folder, name):
                return
            if attempt == RENAME_ATTEMPTS - 1:
                raise
            with contextlib.suppress(OSError):
                (folder / name).rename(made.with_suffix(f".{attempt}"))
            shutil.rmtree(made.with_suffix(f".{attempt}"), ignore_errors=True)
        else:
            return


def index_if_whole(folder: Path, name: str) -> Stored | None:
    """The index of that name; None where it is missing or broken."""
    try:
        return read_index(folder, name)
    except ProviderRefused:
        return None


def recent_names(folder: Path) -> list[str]:
    """The latest indexes, the newest first."""
    try:
        names = json.loads((folder / "recent.json").read_bytes())
    except (OSError, ValueError):
        return []
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def note_recent(folder: Path, name: str) -> None:
    """Make `name` the latest index; those that are no longer recent are removed."""
    before = recent_names(folder)
    if before[:1] == [name]:
        return
    names = [name, *(other for other in before if other != name)]
    _write_recent(folder, names[:KEPT_INDEXES])
    for old in names[KEPT_INDEXES:]:
        if Path(old).name == old:
            shutil.rmtree(folder / old, ignore_errors=True)


def _write_recent(folder: Path, names: list[str]) -> None:
    handle, made = tempfile.mkstemp(prefix=".making-", dir=folder)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(names, file)
    Path(made).replace(folder / "recent.json")


def latest_index(folder: Path) -> Stored | None:
    """The newest index that can be read; None where there is none."""
    for name in recent_names(folder):
        if index := index_if_whole(folder, name):
            return index
    return None


def index_names(folder: Path) -> list[str]:
    """The names of all indexes in the folder, recent or not."""
    return sorted(path.parent.name for path in folder.glob("[!.]*/passages.json"))


def remove_indexes(folder: Path, names: Collection[str]) -> None:
    """Delete these indexes.

    Raises:
        InputError: one of them cannot be deleted.
    """
    for name in names:
        try:
            shutil.rmtree(folder / name)
        except OSError as error:
            message = f"{folder / name}: cannot be removed ({error.strerror}); allowed: a folder "
            raise InputError(f"{message}that can be written") from error
    if names:
        _write_recent(folder, [name for name in recent_names(folder) if name not in names])
